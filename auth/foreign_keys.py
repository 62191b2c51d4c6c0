"""The public keys of an identity provider: read from its JWK set, each with the algorithms that it may verify.

- A key decides which algorithms it is for; there is none with a secret, and none that is too short to trust.
- Source: RFC 7517 (JWK), RFC 7518 sections 3 and 6 (algorithms, RSA and EC keys), RFC 8037 (Ed25519).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from auth.strict_json import read_object

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final[Mapping[str, tuple[type[EllipticCurve], str]]] = MappingProxyType(
    {"P-256": (SECP256R1, "ES256"), "P-384": (SECP384R1, "ES384"), "P-521": (SECP521R1, "ES512")}
)
ALGORITHMS: Final = RSA_ALGORITHMS | {algorithm for _, algorithm in _CURVES.values()} | {"EdDSA"}
"""What identity tokens may be signed with; every one needs a private key that only the issuer has."""

_MOST_KEYS: Final = 100
_MOST_ID_CHARACTERS: Final = 255
_RSA_BITS: Final = range(2048, 8192 + 1)
_MOST_RSA_EXPONENT: Final = 2**32


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key that verifies signatures of one identity provider."""

    kid: str | None
    algorithms: frozenset[str]
    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class ForeignKeys:
    """The keys that an identity provider publishes."""

    keys: tuple[ForeignKey, ...] = ()

    def knows(self, kid: str | None) -> bool:
        """Whether any key has this id; without an id, whether there is any key."""
        return any(kid is None or key.kid == kid for key in self.keys)

    def find(self, kid: str | None, algorithm: str) -> ForeignKey | None:
        """The one key of this id for this algorithm; without an id, the only key that the provider has."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 and algorithm in self.keys[0].algorithms else None
        fitting = [key for key in self.keys if key.kid == kid and algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None


def read_keys(document: bytes) -> ForeignKeys:
    """The keys of a JWK set that can verify signatures, at most 100; raises ValueError.

    Keys of other kinds and for other uses are left out, as RFC 7517, section 5, asks.
    """
    listed = read_object(document).get("keys")
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        message = f"it is no JWK set of at most {_MOST_KEYS} keys"
        raise ValueError(message)
    return ForeignKeys(tuple(filter(None, map(_read_key, listed))))


def _read_key(jwk: object) -> ForeignKey | None:
    if not isinstance(jwk, dict) or not _verifies(jwk):
        return None
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= _MOST_ID_CHARACTERS):
        return None
    try:
        public_key, algorithms = _read_public_key(jwk)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        return None
    if jwk.get("alg") is not None:
        algorithms &= {jwk["alg"]} if isinstance(jwk["alg"], str) else set()
    return ForeignKey(kid, algorithms, public_key) if algorithms else None


def _verifies(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    is_for_verifying = operations is None or (isinstance(operations, list) and "verify" in operations)
    return jwk.get("use", "sig") == "sig" and is_for_verifying


def _read_public_key(jwk: dict[str, Any]) -> tuple[PublicKey, frozenset[str]]:
    match jwk["kty"]:
        case "RSA":
            return _read_rsa(_number(jwk["n"]), _number(jwk["e"])), RSA_ALGORITHMS
        case "EC":
            curve, algorithm = _CURVES[jwk["crv"]]
            numbers = EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve())
            return numbers.public_key(), frozenset({algorithm})
        case "OKP" if jwk["crv"] == "Ed25519":
            return Ed25519PublicKey.from_public_bytes(_octets(jwk["x"])), frozenset({"EdDSA"})
        case _:
            message = "no key that verifies identity tokens"
            raise ValueError(message)


def _read_rsa(modulus: int, exponent: int) -> RSAPublicKey:
    if modulus.bit_length() not in _RSA_BITS or exponent >= _MOST_RSA_EXPONENT:
        message = "an RSA key of this size is unsafe, or slow to use"
        raise ValueError(message)
    return RSAPublicNumbers(exponent, modulus).public_key()


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")


def _octets(text: str) -> bytes:
    """Bytes in base64url without padding (RFC 7515, section 2)."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        message = "this is no base64url"
        raise ValueError(message) from error
