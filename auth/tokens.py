"""Signed tokens: JWTs that this registry signs and nobody else can.

- The key is looked up by us and decides the algorithm; a header that holds more than alg, kid and typ is refused.
- A token that was verified once is remembered by its SHA-256 while its key stands; its expiry is looked at every time.
- What a token says is written and read in `auth.claims`.
"""

import hashlib
import json
import math
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

import jwt

from auth.callers import Caller
from auth.claims import LEEWAY_SECONDS, Parties, TokenKind, VerifiedToken, claims_about, claims_behind, read_claims
from auth.errors import ScopeInvalid, TokenInvalid
from auth.key_ring import KeyRing, RingKey
from auth.keys import ALGORITHMS
from auth.scopes import Scope

AUTHORIZATION_SECONDS: Final = 43_200
"""Life of an authorization token: 12 hours, as Amazon ECR has it."""
LONGEST_LIFE_SECONDS: Final = AUTHORIZATION_SECONDS
"""No signed token lives longer."""
LEAST_LIFE_SECONDS: Final = 60
"""Clients take a shorter life, or none, for one without end (containerd)."""

_MAX_TOKEN_BYTES = 16 * 1024
_REMEMBERED_TOKENS = 4096

_HEADER_MEMBERS = {"alg", "kid", "typ"}
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KINDS = {kind.value: kind for kind in TokenKind}
_JWS = jwt.PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and what the token endpoint says about it; times are seconds."""

    text: str = field(repr=False)
    id: str
    issued_at: int
    expires_in: int


def _new_id() -> str:
    return uuid.uuid4().hex


class TokenIssuer:
    """Signs tokens with the key of the ring that signs at the moment."""

    def __init__(
        self,
        ring: KeyRing,
        parties: Parties,
        ttl_seconds: int,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._ring = ring
        self._parties = parties
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._new_id = new_id

    def mint(
        self,
        caller: Caller,
        scopes: Sequence[Scope] = (),
        kind: TokenKind = TokenKind.ACCESS,
        audience: str | None = None,
    ) -> IssuedToken:
        """A token for this caller that carries these scopes; whether it may have one was asked before.

        It is for this registry, or for the audience that is named in its place, which is told nothing but who and what.
        It is dated so that nothing which ended the caller's earlier tokens ends it, and lives no longer than what the
        caller came with. Raises ScopeInvalid or SessionInvalid if it would be too long, TokenInvalid when what the
        caller came with ends within a minute.
        """
        now, token_id, key = int(self._now()), self._new_id(), self._ring.signing_key()
        issued_at = max(now, math.ceil(caller.valid_after))
        is_for_others = audience not in {None, self._parties.audience}
        expires_at = self._expiry(caller, issued_at, kind)
        claims = {
            "iss": self._parties.issuer,
            "aud": audience or self._parties.audience,
            "exp": expires_at,
            "nbf": now,
            "iat": issued_at,
            "jti": token_id,
            **claims_about(caller, scopes, kind),
            **({} if is_for_others else claims_behind(caller)),
        }
        payload = json.dumps(claims, separators=(",", ":")).encode()
        headers = {"kid": key.kid, "typ": kind.value}
        text = _JWS.encode(payload, key.private_key, key.algorithm, headers=headers)
        if len(text) > _MAX_TOKEN_BYTES:
            message = "more than one token can carry: ask for fewer repositories at once"
            raise ScopeInvalid(message)
        return IssuedToken(text, token_id, issued_at, expires_at - issued_at)

    def _expiry(self, caller: Caller, issued_at: int, kind: TokenKind) -> int:
        life = AUTHORIZATION_SECONDS if kind is TokenKind.AUTHORIZATION else self._ttl_seconds
        if caller.expires_at is None:
            return issued_at + life
        expires_at = min(issued_at + life, int(caller.expires_at))
        if expires_at - issued_at < LEAST_LIFE_SECONDS:
            _refuse("less than a minute is left of what it was asked for with: log in again")
        return expires_at


class TokenVerifier:
    """Tells the tokens of this registry from all others."""

    def __init__(self, ring: KeyRing, expected: Parties, now: Callable[[], float] = time.time) -> None:
        self._ring = ring
        self._expected = expected
        self._now = now
        self._edition = ring.edition
        self._remembered: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    def verify(self, text: str, kind: TokenKind = TokenKind.ACCESS) -> VerifiedToken:
        """What the token says, if it is ours, for us, of this kind, and current; raises TokenInvalid."""
        if len(text) > _MAX_TOKEN_BYTES or not text.isascii():
            _refuse("it is malformed or too long")
        if self._edition is not self._ring.edition:
            self._edition = self._ring.edition
            self._remembered.clear()
        remembered_as = hashlib.sha256(text.encode()).digest()
        remembered = self._remembered.get(remembered_as)
        if remembered is None:
            return self._verify(text, kind, remembered_as)
        if self._now() >= remembered.until:
            # Whatever ended, the first look says what it was.
            del self._remembered[remembered_as]
            return self._verify(text, kind, remembered_as)
        if remembered.kind is not kind:
            _refuse_kind(remembered.kind)
        return remembered

    def _verify(self, text: str, kind: TokenKind, remembered_as: bytes) -> VerifiedToken:
        payload, found, ring_key = self._verify_signature(text)
        if found is not kind:
            _refuse_kind(found)
        token = read_claims(payload, kind, self._expected, self._now())
        until = token.expires_at + LEEWAY_SECONDS
        token = replace(token, until=min(until, ring_key.retires_at or until))
        self._remembered[remembered_as] = token
        if len(self._remembered) > _REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)
        return token

    def _verify_signature(self, text: str) -> tuple[bytes, TokenKind, RingKey]:
        # Dots are counted before anything is split (golang-jwt CVE-2025-30204).
        if text.count(".") != 2:  # noqa: PLR2004  header, payload, signature: RFC 7515, section 7.1
            _refuse("it is malformed or too long")
        try:
            header = _JWS.get_unverified_header(text)
            kind, ring_key = self._read_header(header)
            payload: bytes = _JWS.decode(text, ring_key.public_key, algorithms=[ring_key.algorithm])
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            message = "it was not signed by this registry"
            raise TokenInvalid(message) from error
        return payload, kind, ring_key

    def _read_header(self, header: dict[str, Any]) -> tuple[TokenKind, RingKey]:
        """The token's kind, and our own key of its id; nothing else that the header says about keys is believed."""
        kid, typ = header.get("kid"), header.get("typ", TokenKind.ACCESS.value)
        kind = _KINDS.get(typ) if isinstance(typ, str) else None
        if not header.keys() <= _HEADER_MEMBERS or kind is None:
            _refuse("its header holds what this registry never writes")
        ring_key = self._ring.find(kid) if isinstance(kid, str) and _KEY_ID.fullmatch(kid) else None
        if ring_key is None:
            _refuse("it names no signing key of this registry")
        if header.get("alg") != ring_key.algorithm:
            _refuse("its algorithm is not the one of its key")
        return kind, ring_key


def _refuse(reason: str) -> NoReturn:
    raise TokenInvalid(reason)


def _refuse_kind(kind: TokenKind) -> NoReturn:
    """Tell whoever has a token of another kind what that one is for."""
    if kind is TokenKind.AUTHORIZATION:
        _refuse("it is an authorization token: use it as the password of the user AWS")
    _refuse("it is a bearer token: it is no password")
