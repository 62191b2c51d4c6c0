"""The keys that sign tokens: made here, kept sealed in the database, published by their public half.

What is sealed (see `auth.sealing`) is the key's PKCS #8 DER, under the key's id.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth.sealing import Seal
from storage.errors import KeyFileInvalid

ES256: Final = "ES256"

_COORDINATE_BYTES = 32
_PURPOSE = "signing-key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 key pair; `kid` is its RFC 7638 thumbprint, so an id can never come to name another key."""

    kid: str
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def of(cls, private_key: ec.EllipticCurvePrivateKey) -> "SigningKey":
        """This private key under its thumbprint."""
        return cls(_thumbprint(private_key.public_key()), private_key)

    @property
    def algorithm(self) -> str:
        """The one algorithm that this key signs with."""
        return ES256

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The half that verifies."""
        return self.private_key.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """The public half as RFC 7517 writes it."""
        return {**_required_members(self.public_key), "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def generate_signing_key() -> SigningKey:
    """A fresh ES256 key."""
    return SigningKey.of(ec.generate_private_key(ec.SECP256R1()))


def seal_private_key(
    key: SigningKey, root_key: bytes, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """The private half, readable again only with the 32-byte root key and under the same id."""
    plain = key.private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Seal(root_key, _PURPOSE).close(key.kid, plain, random_bytes=random_bytes)


def open_private_key(kid: str, sealed: bytes, root_key: bytes) -> SigningKey:
    """The key that was sealed under this id; raises KeyFileInvalid for another root key or changed bytes."""
    private_key = serialization.load_der_private_key(Seal(root_key, _PURPOSE).open(kid, sealed), password=None)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey) or _thumbprint(private_key.public_key()) != kid:
        raise KeyFileInvalid(f"signing key {kid} is not the key that its name says: the database was changed")
    return SigningKey(kid, private_key)


def _thumbprint(public_key: ec.EllipticCurvePublicKey) -> str:
    """RFC 7638: SHA-256 of the required members, sorted, without white space."""
    canonical = json.dumps(_required_members(public_key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _required_members(public_key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    point = public_key.public_numbers()
    # RFC 7518 section 6.2.1: coordinates keep their leading zeros.
    x, y = (_base64url(coordinate.to_bytes(_COORDINATE_BYTES, "big")) for coordinate in (point.x, point.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
