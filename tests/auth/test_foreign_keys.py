"""JWK sets of identity providers: what in them verifies signatures, and what does not."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth.foreign_keys import RSA_ALGORITHMS, ForeignKeys, read_keys
from tests.auth.issuer import RSA_KEY, base64url, jwk

P256 = ec.generate_private_key(ec.SECP256R1())
GOOD = jwk(RSA_KEY, kid="first")


def read(*keys: Any) -> ForeignKeys:
    return read_keys(json.dumps({"keys": keys}).encode())


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (jwk(RSA_KEY), RSA_ALGORITHMS),
        (jwk(P256), {"ES256"}),
        (jwk(ec.generate_private_key(ec.SECP384R1())), {"ES384"}),
        (jwk(ec.generate_private_key(ec.SECP521R1())), {"ES512"}),
        (jwk(ed25519.Ed25519PrivateKey.generate()), {"EdDSA"}),
        (jwk(RSA_KEY, alg="RS256"), {"RS256"}),
    ],
)
def test_a_key_says_which_algorithms_it_is_for(key: dict[str, Any], algorithms: set[str]) -> None:
    """Whatever the header of a token says."""
    (found,) = read(key).keys

    assert found.algorithms == algorithms


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": base64url(b"secret" * 8), "kid": "first", "alg": "HS256"},
        {**GOOD, "alg": "HS256"},
        {**GOOD, "alg": "none"},
        {**GOOD, "alg": ["RS256"]},
        {**jwk(P256), "alg": "RS256"},
        {**GOOD, "use": "enc"},
        {**GOOD, "key_ops": ["sign"]},
        {**GOOD, "kid": 1},
        {**GOOD, "kid": "k" * 256},
        {**GOOD, "n": "not base64url!"},
        {**GOOD, "n": None},
        {**GOOD, "e": base64url((2**40 + 1).to_bytes(6, "big"))},
        {**GOOD, "e": "AA"},
        {**jwk(P256), "crv": "secp256k1"},
        {**jwk(P256), "crv": ["P-256"]},
        {**jwk(P256), "y": jwk(P256)["x"]},
        {"kty": "OKP", "crv": "X25519", "x": base64url(bytes(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": base64url(bytes(31))},
        {},
        "key",
        None,
    ],
)
def test_what_verifies_no_signature_is_left_out(key: Any) -> None:
    """A set may hold keys for other uses, and of kinds that are not known yet (RFC 7517, section 5)."""
    assert read(key, jwk(P256, kid="second")).keys == read(jwk(P256, kid="second")).keys


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_rsa_key_is_left_out(bits: int) -> None:
    assert read(jwk(rsa.generate_private_key(65537, bits))).keys == ()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [NaN]}',
        b"\xff",
        b'{"keys": ' + b"[" * 100_000,
        json.dumps({"keys": [{}] * 101}).encode(),
    ],
)
def test_what_is_no_set_of_a_hundred_keys_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_keys(document)


def test_a_key_is_found_by_its_id_and_algorithm() -> None:
    keys = read(GOOD, jwk(P256, kid="second"))

    assert keys.find("first", "RS256") == keys.keys[0]
    assert keys.find("second", "ES256") == keys.keys[1]
    assert keys.find("first", "ES256") is None
    assert keys.find("third", "RS256") is None


def test_keys_of_one_id_are_told_apart_by_algorithm_or_not_at_all() -> None:
    keys = read(GOOD, jwk(P256, kid="first"), jwk(P256, kid="twice"), jwk(P256, kid="twice"))

    assert keys.find("first", "ES256") == keys.keys[1]
    assert keys.find("twice", "ES256") is None


def test_only_the_only_key_needs_no_id() -> None:
    alone, two = read(GOOD), read(GOOD, jwk(P256, kid="second"))

    assert alone.find(None, "RS256") == alone.keys[0]
    assert alone.find(None, "ES256") is None
    assert two.find(None, "RS256") is None
