"""Keys of encryption domains: what one is, and that it shows itself to nobody."""

from dataclasses import replace
from typing import Any

import pytest

from storage.encryption.cipher import new_cipher
from storage.errors import WrongKey
from tests.storage.encryption.objects import KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"id": b""},
        {"id": bytes(15)},
        {"id": bytes(17)},
        {"secret": b""},
        {"secret": bytes(31)},
        {"secret": bytes(33)},
        {"version": -1},
        {"version": 0},
        {"version": 2**32},
    ],
)
def test_what_is_no_key_seals_nothing(changes: dict[str, Any]) -> None:
    """An id cut to fit a header makes objects that nobody can open; a short secret, ones that anybody can."""
    with pytest.raises(ValueError, match="not a key of an encryption domain"):
        replace(KEY, **changes)


@pytest.mark.parametrize("bits", [-1, 0, 13, 25, 64, 256])
def test_segments_of_a_size_that_readers_refuse_are_not_written(bits: int) -> None:
    """An object that could never be read again must not be begun."""
    with pytest.raises(ValueError, match="segments have"):
        new_cipher(KEY, segment_bits=bits)


def test_no_secret_is_shown() -> None:
    """Keys and ciphers may come into logs and tracebacks; what is secret in them may not."""
    told = repr(KEY) + str(KEY) + repr(new_cipher(KEY)) + str(WrongKey()) + repr([KEY])

    assert KEY.secret.hex() not in told
    assert repr(KEY.secret)[2:-1] not in told
    assert "secret" not in told
