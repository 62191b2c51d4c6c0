"""The keys that sign tokens: made here, kept sealed in the database, published by their public half.

What is sealed (see `auth.sealing`) is the key's PKCS #8 DER, under the key's id.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth.sealing import Seal
from storage.errors import KeyFileInvalid

Algorithm = Literal["ES256", "EdDSA", "RS256"]
"""What a key can sign with: P-256, Ed25519 or RSA (RFC 7518, section 3.1; RFC 8037, section 3.1)."""

ES256: Final = "ES256"
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_COORDINATE_BYTES = 32
_RSA_BITS = 3072
_LEAST_RSA_BITS = 2048  # RFC 7518, section 3.3
_RSA_EXPONENT = 65537
_PURPOSE = "signing-key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; `kid` is its RFC 7638 thumbprint, so an id can never come to name another key."""

    kid: str
    algorithm: Algorithm
    private_key: PrivateKey = field(repr=False)

    @classmethod
    def of(cls, private_key: PrivateKey) -> "SigningKey":
        """This private key under its thumbprint; the kind of key decides the algorithm."""
        return cls(_thumbprint(private_key.public_key()), _algorithm_of(private_key), private_key)

    @property
    def public_key(self) -> PublicKey:
        """The half that verifies."""
        return self.private_key.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """The public half as RFC 7517 writes it."""
        return {**_required_members(self.public_key), "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def generate_signing_key(algorithm: Algorithm = ES256) -> SigningKey:
    """A fresh key; an RSA key takes some tenths of a second. No command takes its id for a flag."""
    while (key := _draw(algorithm)).kid.startswith("-"):
        pass
    return key


def _draw(algorithm: Algorithm) -> SigningKey:
    match algorithm:
        case "ES256":
            return SigningKey.of(ec.generate_private_key(ec.SECP256R1()))
        case "EdDSA":
            return SigningKey.of(ed25519.Ed25519PrivateKey.generate())
        case "RS256":
            return SigningKey.of(rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS))


def seal_private_key(
    key: SigningKey, secrets_key: bytes, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """The private half, readable again only with the 32-byte secrets key and under the same id."""
    plain = key.private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Seal(secrets_key, _PURPOSE).close(key.kid, plain, random_bytes=random_bytes)


def open_private_key(kid: str, sealed: bytes, secrets_key: bytes) -> SigningKey:
    """The key that was sealed under this id; raises KeyFileInvalid for another secrets key or changed bytes."""
    opened = Seal(secrets_key, _PURPOSE).open(kid, sealed)
    # Sealed by ourselves: testing the primes again takes 100 ms of an RSA key, and the event loop waits.
    private_key = serialization.load_der_private_key(opened, password=None, unsafe_skip_rsa_key_validation=True)
    if isinstance(private_key, PrivateKey) and _is_strong(private_key):
        key = SigningKey.of(private_key)
        if key.kid == kid:
            return key
    raise KeyFileInvalid(f"signing key {kid} is not the key that its name says: the database was changed")


def _algorithm_of(private_key: PrivateKey) -> Algorithm:
    match private_key:
        case ed25519.Ed25519PrivateKey():
            return "EdDSA"
        case rsa.RSAPrivateKey():
            return "RS256"
        case _:
            return "ES256"


def _is_strong(private_key: PrivateKey) -> bool:
    match private_key:
        case rsa.RSAPrivateKey():
            return private_key.key_size >= _LEAST_RSA_BITS
        case ec.EllipticCurvePrivateKey():
            return isinstance(private_key.curve, ec.SECP256R1)
        case _:
            return True


def _thumbprint(public_key: PublicKey) -> str:
    """RFC 7638: SHA-256 of the required members, sorted, without white space."""
    canonical = json.dumps(_required_members(public_key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _required_members(public_key: PublicKey) -> dict[str, str]:
    match public_key:
        case ed25519.Ed25519PublicKey():
            raw = public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
        case rsa.RSAPublicKey():
            numbers = public_key.public_numbers()
            return {"e": _base64url_number(numbers.e), "kty": "RSA", "n": _base64url_number(numbers.n)}
        case _:
            point = public_key.public_numbers()
            # RFC 7518 section 6.2.1: coordinates keep their leading zeros.
            x, y = (_base64url(coordinate.to_bytes(_COORDINATE_BYTES, "big")) for coordinate in (point.x, point.y))
            return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _base64url_number(number: int) -> str:
    """RFC 7518 section 2, Base64urlUInt: no leading zeros."""
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
