"""Bearer tokens: JWTs that this registry signs and nobody else can.

- The key is looked up by us and decides the algorithm; a header that holds more than alg, kid and typ is refused.
- Issuer and audience are compared whole; exp, nbf and iat must be there and be numbers.
- A token that was verified once is remembered by its SHA-256 until it expires; its expiry is looked at every time.
"""

import hashlib
import json
import math
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from auth.actions import ScopeType, ScopeWord
from auth.errors import ScopeInvalid, TokenInvalid
from auth.keys import ES256, SigningKey
from auth.scopes import Access, Scope

_MAX_TOKEN_BYTES = 16 * 1024
_LEEWAY_SECONDS = 60
_REMEMBERED_TOKENS = 4096
_MAX_TIME = 2**53  # the last second that every JSON reader agrees on (RFC 8259, section 6)

_HEADER_MEMBERS = {"alg", "kid", "typ"}
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_JWS = jwt.PyJWS(algorithms=[ES256])


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and what the token endpoint says about it; times are seconds."""

    text: str = field(repr=False)
    issued_at: int
    expires_in: int


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says, once its signature and its dates have been checked.

    `subject` is the name of a principal, empty for an anonymous caller; `access_key` is the id of the access key that
    it was fetched with, None for a password.
    """

    subject: str
    access: Access
    issued_at: float
    expires_at: float
    access_key: str | None = None


def _new_id() -> str:
    return uuid.uuid4().hex


class TokenIssuer:
    """Signs tokens with the newest of its keys, which are given oldest first."""

    def __init__(
        self,
        keys: Sequence[SigningKey],
        issuer: str,
        audience: str,
        ttl_seconds: int,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._key = keys[-1]
        self._issuer = issuer
        self._audience = audience
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._new_id = new_id

    def mint(
        self,
        subject: str,
        scopes: Sequence[Scope],
        *,
        access_key: str | None = None,
        not_before: float = 0,
        audience: str | None = None,
    ) -> IssuedToken:
        """A token for this principal's name that carries these scopes; raises ScopeInvalid if it would be too long.

        It is dated no earlier than `not_before`, which tells it from the principal's tokens that were revoked. It is
        for this registry, or for the audience that is named in its place.
        """
        now = int(self._now())
        issued_at = max(now, math.ceil(not_before))
        claims: dict[str, object] = {
            "iss": self._issuer,
            "sub": subject,
            "aud": audience or self._audience,
            "exp": issued_at + self._ttl_seconds,
            "nbf": now,
            "iat": issued_at,
            "jti": self._new_id(),
            "access": [_claim(scope) for scope in scopes],
        }
        if access_key is not None:
            claims["access_key"] = access_key
        payload = json.dumps(claims, separators=(",", ":")).encode()
        text = _JWS.encode(payload, self._key.private_key, self._key.algorithm, headers={"kid": self._key.kid})
        if len(text) > _MAX_TOKEN_BYTES:
            message = "more than one token can carry: ask for fewer repositories at once"
            raise ScopeInvalid(message)
        return IssuedToken(text, issued_at, self._ttl_seconds)


class TokenVerifier:
    """Tells the tokens of this registry from all others."""

    def __init__(
        self, keys: Iterable[SigningKey], issuer: str, audience: str, now: Callable[[], float] = time.time
    ) -> None:
        self._keys = {key.kid: (key.public_key, key.algorithm) for key in keys}
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._remembered: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    def verify(self, text: str) -> VerifiedToken:
        """What the token says, if it is ours, for us, and current; raises TokenInvalid."""
        if len(text) > _MAX_TOKEN_BYTES or not text.isascii():
            _refuse("it is malformed or too long")
        remembered_as = hashlib.sha256(text.encode()).digest()
        verified = self._remembered.get(remembered_as)
        if verified is None:
            verified = self._read_claims(self._verify_signature(text))
            self._remember(remembered_as, verified)
        elif self._now() >= verified.expires_at + _LEEWAY_SECONDS:
            del self._remembered[remembered_as]
            _refuse("it has expired")
        return verified

    def _verify_signature(self, text: str) -> bytes:
        # Dots are counted before anything is split (golang-jwt CVE-2025-30204).
        if text.count(".") != 2:  # noqa: PLR2004  header, payload, signature: RFC 7515, section 7.1
            _refuse("it is malformed or too long")
        try:
            header = _JWS.get_unverified_header(text)
            public_key, algorithm = self._key_of(header)
            payload: bytes = _JWS.decode(text, public_key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            message = "it was not signed by this registry"
            raise TokenInvalid(message) from error
        return payload

    def _key_of(self, header: dict[str, Any]) -> tuple[ec.EllipticCurvePublicKey, str]:
        """Our own key of this id; nothing else that the header says about keys is believed."""
        kid = header.get("kid")
        if not header.keys() <= _HEADER_MEMBERS or header.get("typ", "JWT") != "JWT":
            _refuse("its header holds what this registry never writes")
        if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid) or kid not in self._keys:
            _refuse("it names no signing key of this registry")
        public_key, algorithm = self._keys[kid]
        if header.get("alg") != algorithm:
            _refuse("its algorithm is not the one of its key")
        return public_key, algorithm

    def _read_claims(self, payload: bytes) -> VerifiedToken:
        try:
            claims = json.loads(payload)
        except (ValueError, RecursionError) as error:
            message = "its claims cannot be read"
            raise TokenInvalid(message) from error
        if not isinstance(claims, dict):
            _refuse("its claims cannot be read")
        issued_at, expires_at = self._check_times(claims)
        # An identity or refresh token, or one for a neighbour whose name begins like ours, must not pass.
        if claims.get("iss") != self._issuer:
            _refuse("another registry issued it")
        if claims.get("aud") != self._audience:
            _refuse("it is meant for another service")
        subject, access_key = claims.get("sub"), claims.get("access_key")
        if not isinstance(subject, str) or not isinstance(claims.get("jti"), str):
            _refuse("its claims cannot be read")
        if not isinstance(access_key, str | None):
            _refuse("its claims cannot be read")
        return VerifiedToken(subject, _read_access(claims.get("access")), issued_at, expires_at, access_key)

    def _check_times(self, claims: dict[str, Any]) -> tuple[float, float]:
        """When the token was issued and expires, if it is valid at this moment, give or take the leeway."""
        now = self._now()
        expires_at, not_before, issued_at = (_read_time(claims.get(name)) for name in ("exp", "nbf", "iat"))
        if now >= expires_at + _LEEWAY_SECONDS:
            _refuse("it has expired")
        if max(not_before, issued_at) > now + _LEEWAY_SECONDS:
            _refuse("it is not valid yet: compare the clocks")
        return issued_at, expires_at

    def _remember(self, remembered_as: bytes, verified: VerifiedToken) -> None:
        self._remembered[remembered_as] = verified
        if len(self._remembered) > _REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)


def jwks_document(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """The public halves of these keys as a JWK set (RFC 7517, section 5)."""
    return {"keys": [key.jwk for key in keys]}


def _refuse(reason: str) -> NoReturn:
    raise TokenInvalid(reason)


def _claim(scope: Scope) -> dict[str, str | list[str]]:
    actions = [word.value for word in scope.ordered_actions]
    return {"type": scope.type.value, "name": scope.name, "actions": actions}


def _read_time(value: object) -> float:
    """Seconds since the epoch; a bool is an int to Python and 1e400 an infinity to JSON, and neither is a time."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("its dates are missing or not numbers")
    if not (0 <= value <= _MAX_TIME and math.isfinite(value)):
        _refuse("its dates are missing or not numbers")
    return value


def _read_access(claim: object) -> Access:
    if not isinstance(claim, list):
        _refuse("its access claim cannot be read")
    try:
        return Access(tuple(map(_read_scope, claim)))
    except (KeyError, TypeError, ValueError) as error:
        message = "its access claim cannot be read"
        raise TokenInvalid(message) from error


def _read_scope(entry: dict[str, Any]) -> Scope:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError
    return Scope(ScopeType(entry["type"]), name, frozenset(map(ScopeWord, entry["actions"])))
