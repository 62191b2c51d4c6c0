"""Identity tokens: JWTs that an identity provider signed, read and verified before anything of them is believed.

- The provider's own keys decide the algorithms; a header that brings a key, or says where one lies, is refused.
- Issuer and audience are compared whole; exp must be there, nbf and iat must be right where they are.
- Source: OpenID Connect Core 1.0, section 3.1.3.7; RFC 7519; RFC 8725 (best current practices).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import jwt

from auth.errors import WebIdentityInvalid
from auth.foreign_keys import ALGORITHMS, ForeignKeys
from auth.identity_providers import IdentityProvider
from auth.strict_json import read_object

LEEWAY_SECONDS: Final = 60

_MOST_TOKEN_BYTES: Final = 16 * 1024
_MOST_ISSUER_CHARACTERS: Final = 255
_MOST_SUBJECT_CHARACTERS: Final = 255
# Kubernetes renews the tokens that it mounts after a day at the latest, give or take its own pace.
_MOST_AGE_SECONDS: Final = 25 * 3600
_MOST_TIME: Final = 2**53  # the last second that every JSON reader agrees on (RFC 8259, section 6)
_KEYS_IN_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
_TYPES: Final = frozenset({"jwt", "jose", "at+jwt"})
_JWS: Final = jwt.PyJWS(algorithms=sorted(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """What a token says of itself; whoever sent it may have made it up."""

    text: str = field(repr=False)
    issuer: str
    kid: str | None
    algorithm: str
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a provider says that somebody is."""

    provider: IdentityProvider
    subject: str
    claims: Mapping[str, Any]


def read_token(text: str) -> UnverifiedToken:
    """What a token says of itself; raises WebIdentityInvalid."""
    # Dots are counted before anything is split: header, payload, signature (RFC 7515, section 7.1).
    if len(text) > _MOST_TOKEN_BYTES or not text.isascii() or text.count(".") != 2:  # noqa: PLR2004
        _refuse("it is malformed or too long")
    try:
        decoded = _JWS.decode_complete(text, options={"verify_signature": False})
        claims = read_object(decoded["payload"])
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        message = "it is malformed or too long"
        raise WebIdentityInvalid(message) from error
    kid, algorithm = _read_header(decoded["header"])
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not 0 < len(issuer) <= _MOST_ISSUER_CHARACTERS or not issuer.isprintable():
        _refuse("it names no issuer")
    return UnverifiedToken(text, issuer, kid, algorithm, claims)


def verify_token(token: UnverifiedToken, provider: IdentityProvider, keys: ForeignKeys, now: float) -> Identity:
    """Who the token is about, if this provider signed it, for this registry, and it is current.

    Raises WebIdentityInvalid.
    """
    key = keys.find(token.kid, token.algorithm)
    if key is None:
        _refuse("it was signed with no key that its issuer publishes for that")
    try:
        _JWS.decode(token.text, key.public_key, algorithms=[token.algorithm])
    except (jwt.PyJWTError, ValueError) as error:
        message = "its signature is not that of its issuer"
        raise WebIdentityInvalid(message) from error
    if token.issuer != provider.issuer:
        _refuse("another issuer made it")
    if not set(audiences_of(token.claims)) & set(provider.audiences):
        _refuse("it is meant for another service: ask its issuer for one with an audience of this provider")
    _check_times(token.claims, now)
    subject = token.claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MOST_SUBJECT_CHARACTERS:
        _refuse("it names no subject")
    return Identity(provider, subject, token.claims)


def audiences_of(claims: Mapping[str, Any]) -> list[str]:
    """Whom a token is meant for: one audience, or a list (RFC 7519, section 4.1.3)."""
    audience = claims.get("aud")
    listed: list[object] = audience if isinstance(audience, list) else [audience]
    texts = [each for each in listed if isinstance(each, str)]
    if len(texts) < len(listed):
        _refuse("its audience cannot be read")
    return texts


def _read_header(header: dict[str, Any]) -> tuple[str | None, str]:
    if header.keys() & _KEYS_IN_HEADERS:
        _refuse("its header holds what only its issuer may say")
    kind, kid, algorithm = header.get("typ", "JWT"), header.get("kid"), header.get("alg")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        _refuse("it is no identity token")
    if not isinstance(kid, str | None):
        _refuse("its key id is no text")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        _refuse("its algorithm is none that is accepted")
    return kid, algorithm


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    if now >= _read_time(claims.get("exp")) + LEEWAY_SECONDS:
        _refuse("it has expired")
    begins = [_read_time(claims[name]) for name in ("nbf", "iat") if name in claims]
    if any(begin > now + LEEWAY_SECONDS for begin in begins):
        _refuse("it is not valid yet: compare the clocks")
    if "iat" in claims and claims["iat"] < now - _MOST_AGE_SECONDS:
        _refuse("it was issued too long ago: ask its issuer for another")


def _read_time(value: object) -> float:
    """Seconds since the epoch; a bool is an int to Python and 1e400 an infinity, and neither is a time."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("its dates are missing or not numbers")
    if not (0 <= value <= _MOST_TIME and math.isfinite(value)):
        _refuse("its dates are missing or not numbers")
    return value


def _refuse(reason: str) -> NoReturn:
    raise WebIdentityInvalid(reason)
