"""What a root key wraps, byte for byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import WrongKey
from storage.roots.wrapping import unwrap, wrap

KEY = bytes(range(32))
SECRET = bytes(range(100, 132))
CONTEXT = {"registry": "one", "domain": "AES256", "version": "1"}
# Made by `wrap` with the nonce 0x000102…0b; databases and backups hold such bytes, so this never changes.
WRAPPED = bytes.fromhex(
    "01000102030405060708090a0bbd927ae9aec7b1ce1139fb542c19ac587351be78"
    "50ac6cca5fc5bc2142559a3b324429028bb2f072671ad4da42247e00"
)

contexts = st.dictionaries(st.text(), st.text())


def test_format_is_frozen() -> None:
    """Version, nonce, ciphertext and tag."""
    wrapped = wrap(KEY, SECRET, CONTEXT, random_bytes=lambda size: bytes(range(size)))

    assert wrapped == WRAPPED
    assert len(wrapped) == 1 + 12 + 32 + 16


def test_what_was_wrapped_in_another_order_of_the_context_opens() -> None:
    assert unwrap(KEY, WRAPPED, dict(reversed(CONTEXT.items()))) == SECRET


@settings(max_examples=30)
@given(st.binary(), contexts)
def test_what_is_wrapped_comes_back(secret: bytes, context: dict[str, str]) -> None:
    assert unwrap(KEY, wrap(KEY, secret, context), context) == secret


@settings(max_examples=30)
@given(contexts, contexts)
def test_another_context_opens_nothing(one: dict[str, str], other: dict[str, str]) -> None:
    """However its members are cut: none reads as another."""
    if one != other:
        with pytest.raises(WrongKey):
            unwrap(KEY, wrap(KEY, SECRET, one), other)


@pytest.mark.parametrize("length", range(len(WRAPPED)))
def test_torn_bytes_open_nothing(length: int) -> None:
    with pytest.raises(WrongKey):
        unwrap(KEY, WRAPPED[:length], CONTEXT)


@pytest.mark.parametrize("at", range(len(WRAPPED)))
def test_changed_bytes_open_nothing(at: int) -> None:
    changed = WRAPPED[:at] + bytes([WRAPPED[at] ^ 1]) + WRAPPED[at + 1 :]

    with pytest.raises(WrongKey):
        unwrap(KEY, changed, CONTEXT)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(WrongKey):
        unwrap(bytes(32), WRAPPED, CONTEXT)
