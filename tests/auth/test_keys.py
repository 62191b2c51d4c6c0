"""Signing keys: sealed, opened, and named by their thumbprint."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth.keys import Algorithm, PrivateKey, SigningKey, generate_signing_key, open_private_key, seal_private_key
from storage.errors import KeyFileInvalid

SECRETS_KEY = bytes(range(32))


def private_bytes(key: SigningKey) -> bytes:
    return key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_sealed_key_opens_under_the_same_secrets_key(key: SigningKey) -> None:
    """What was stored at the first start signs at every later one."""
    opened = open_private_key(key.kid, seal_private_key(key, SECRETS_KEY), SECRETS_KEY)

    assert opened.jwk == key.jwk
    assert private_bytes(opened) == private_bytes(key)


def test_sealed_key_shows_nothing_of_the_private_half(key: SigningKey) -> None:
    """A stolen database cannot sign."""
    assert isinstance(key.private_key, ec.EllipticCurvePrivateKey)
    secret = key.private_key.private_numbers().private_value.to_bytes(32, "big")

    assert secret not in seal_private_key(key, SECRETS_KEY)


def test_nonce_is_fresh_each_time(key: SigningKey) -> None:
    """AES-GCM breaks if a nonce is used twice under one key."""
    assert seal_private_key(key, SECRETS_KEY)[:13] != seal_private_key(key, SECRETS_KEY)[:13]


def test_another_secrets_key_opens_nothing(key: SigningKey) -> None:
    """The wrong key is told apart from a missing signing key."""
    with pytest.raises(KeyFileInvalid, match="the secrets key does not open"):
        open_private_key(key.kid, seal_private_key(key, SECRETS_KEY), bytes(32))


@pytest.mark.parametrize("position", [0, 1, 12, 13, 40, -1])
def test_changed_bytes_are_refused(key: SigningKey, position: int) -> None:
    """Who can write to the database still cannot choose the key."""
    sealed = bytearray(seal_private_key(key, SECRETS_KEY))
    sealed[position] ^= 1

    with pytest.raises(KeyFileInvalid):
        open_private_key(key.kid, bytes(sealed), SECRETS_KEY)


@pytest.mark.parametrize("length", [0, 1, 5, 13, 20])
def test_cut_bytes_are_refused(key: SigningKey, length: int) -> None:
    """A row that was cut short is a fact, not a crash."""
    with pytest.raises(KeyFileInvalid):
        open_private_key(key.kid, seal_private_key(key, SECRETS_KEY)[:length], SECRETS_KEY)


def test_sealed_key_belongs_to_its_id(key: SigningKey, other_key: SigningKey) -> None:
    """A sealed key moved to another row does not open there."""
    with pytest.raises(KeyFileInvalid):
        open_private_key(other_key.kid, seal_private_key(key, SECRETS_KEY), SECRETS_KEY)


def test_id_is_the_thumbprint_of_the_public_half() -> None:
    """RFC 7638, over the members crv, kty, x and y; the point is P-256's base point, the id from sha256sum."""
    key = SigningKey.of(ec.derive_private_key(1, ec.SECP256R1()))

    assert key.jwk == {
        "kty": "EC",
        "crv": "P-256",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
        "kid": "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M",
        "alg": "ES256",
        "use": "sig",
    }


def test_private_half_is_not_in_the_repr(key: SigningKey) -> None:
    """A key that gets into a log or a traceback stays secret."""
    assert "private" not in repr(key)


def test_generated_keys_differ() -> None:
    """Each registry signs with a key of its own."""
    assert generate_signing_key().kid != generate_signing_key().kid


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES256", {"kty", "crv", "x", "y"}),
        ("EdDSA", {"kty", "crv", "x"}),
        ("RS256", {"kty", "n", "e"}),
    ],
)
def test_every_kind_of_key_is_sealed_and_published(algorithm: Algorithm, members: set[str]) -> None:
    """The kind of key says the algorithm; nothing of the private half is published (RFC 7518, section 6; RFC 8037)."""
    key = generate_signing_key(algorithm)

    opened = open_private_key(key.kid, seal_private_key(key, SECRETS_KEY), SECRETS_KEY)

    assert private_bytes(opened) == private_bytes(key)
    assert (opened.kid, opened.algorithm) == (key.kid, algorithm)
    assert key.jwk.keys() == members | {"kid", "alg", "use"}
    assert key.jwk["alg"] == algorithm


def test_id_of_an_ed25519_key_is_its_thumbprint() -> None:
    """RFC 8037, appendix A.3."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")

    key = SigningKey.of(ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert key.jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


@pytest.mark.parametrize(
    "weak", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())], ids=["rsa-1024", "p-384"]
)
def test_key_that_this_registry_never_makes_is_refused(weak: PrivateKey) -> None:
    """Though the secrets key sealed it."""
    planted = SigningKey("planted", "RS256", weak)

    with pytest.raises(KeyFileInvalid):
        open_private_key("planted", seal_private_key(planted, SECRETS_KEY), SECRETS_KEY)


def test_no_key_has_an_id_that_a_command_takes_for_a_flag() -> None:
    """One of 64 would."""
    assert not any(generate_signing_key().kid.startswith("-") for _ in range(300))
