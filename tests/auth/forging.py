"""Tokens put together by hand, for tests of what must pass and what must not."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from auth.actions import ScopeType, ScopeWord
from auth.callers import Caller
from auth.claims import Parties, TokenKind
from auth.errors import TokenInvalid
from auth.keys import SigningKey
from auth.principals import Principal, PrincipalKind
from auth.scopes import Scope
from auth.tokens import TokenVerifier

ISSUER, AUDIENCE = "https://registry.example", "registry.example"
PARTIES = Parties(ISSUER, AUDIENCE)
NOW = 1_700_000_000
BOB = Caller(Principal("123456789012", "bob", PrincipalKind.USER))
PUSH = Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.PULL, ScopeWord.PUSH}))


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(key: SigningKey, header: object, payload: str | bytes) -> str:
    """A token put together by hand, with a true signature of this key."""
    content = payload.encode() if isinstance(payload, str) else payload
    signing_input = f"{encode(json.dumps(header).encode())}.{encode(content)}"
    assert isinstance(key.private_key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signing_input}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def claims(**changes: object) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": "bob",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "nbf": NOW,
        "iat": NOW,
        "jti": "1",
        "access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}],
    } | changes


def header(key: SigningKey, **changes: object) -> dict[str, Any]:
    return {"alg": "ES256", "typ": "JWT", "kid": key.kid} | changes


def refused(verifier: TokenVerifier, text: str, kind: TokenKind = TokenKind.ACCESS) -> str:
    """The reason for which this token is refused."""
    with pytest.raises(TokenInvalid) as raised:
        verifier.verify(text, kind)
    return raised.value.reason
