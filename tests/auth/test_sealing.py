"""Secrets in the database."""

import pytest

from auth.sealing import Seal
from storage.errors import KeyFileInvalid

SECRETS_KEY = bytes(range(32))


def test_sealed_secret_opens_again() -> None:
    """With the same secrets key, for the same purpose, under the same name."""
    sealed = Seal(SECRETS_KEY, "access-key").close("LK1", b"secret")

    assert b"secret" not in sealed
    assert Seal(SECRETS_KEY, "access-key").open("LK1", sealed) == b"secret"


@pytest.mark.parametrize(
    ("secrets_key", "purpose", "name"),
    [(bytes(32), "access-key", "LK1"), (SECRETS_KEY, "signing-key", "LK1"), (SECRETS_KEY, "access-key", "LK2")],
)
def test_sealed_secret_opens_for_nothing_else(secrets_key: bytes, purpose: str, name: str) -> None:
    """A row that was moved, or taken to another registry, is no secret there."""
    sealed = Seal(SECRETS_KEY, "access-key").close("LK1", b"secret")

    with pytest.raises(KeyFileInvalid, match="the secrets key does not open"):
        Seal(secrets_key, purpose).open(name, sealed)


@pytest.mark.parametrize("changed", [b"", b"\x01", b"\x02" + bytes(60), b"\x01" + bytes(60)])
def test_changed_bytes_are_no_secret(changed: bytes) -> None:
    """Cut short, of another version, or made up."""
    with pytest.raises(KeyFileInvalid):
        Seal(SECRETS_KEY, "access-key").open("LK1", changed)


def test_two_seals_of_a_secret_differ() -> None:
    """Nobody sees that two secrets are the same."""
    seal = Seal(SECRETS_KEY, "access-key")

    assert seal.close("LK1", b"secret") != seal.close("LK1", b"secret")
