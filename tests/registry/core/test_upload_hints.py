"""Hints that save reading staged bytes again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.upload_hints import HintSigner, UploadHint
from storage.digest import Algorithm, Digest

SIGNER = HintSigner(b"k" * 32)
HELLO = Digest.of(b"hello")


@given(
    st.text(max_size=40), st.integers(min_value=0, max_value=2**63), st.binary(max_size=8), st.sampled_from(Algorithm)
)
def test_a_hint_is_read_as_it_was_signed(upload_id: str, offset: int, content: bytes, algorithm: Algorithm) -> None:
    hint = UploadHint(offset, Digest.of(content, algorithm))

    assert SIGNER.read(upload_id, SIGNER.sign(upload_id, hint)) == hint


def test_a_hint_needs_no_escaping_in_a_url() -> None:
    text = SIGNER.sign("one", UploadHint(5, HELLO))

    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")


def test_a_hint_counts_for_its_upload_alone() -> None:
    text = SIGNER.sign("one", UploadHint(5, HELLO))

    assert SIGNER.read("two", text) is None


def test_a_hint_of_another_start_of_the_server_counts_for_nothing() -> None:
    text = HintSigner(b"x" * 32).sign("one", UploadHint(5, HELLO))

    assert SIGNER.read("one", text) is None


def test_a_hint_with_another_offset_is_forged() -> None:
    text = SIGNER.sign("one", UploadHint(5, HELLO))

    assert SIGNER.read("one", text.replace("5.", "6.", 1)) is None


def test_a_hint_with_another_digest_is_forged() -> None:
    text = SIGNER.sign("one", UploadHint(5, HELLO))

    assert SIGNER.read("one", text.replace(str(HELLO), str(Digest.of(b"other")))) is None


@pytest.mark.parametrize("text", [None, "", ".", "..", "5", "5.x", "5.x.y", "=" * 20, "é.é.é", "x" * 600, "\0.\0.\0"])
def test_what_is_no_hint_counts_for_nothing(text: str | None) -> None:
    assert SIGNER.read("one", text) is None


@given(st.text(max_size=600))
def test_no_text_makes_reading_fail(text: str) -> None:
    """Clients may send anything; they are served without the hint."""
    assert SIGNER.read("one", text) is None


@given(st.text(max_size=60), st.text(max_size=40))
def test_no_statement_with_a_strange_seal_is_believed(statement: str, seal: str) -> None:
    assert SIGNER.read("one", f"5.{HELLO}{statement}.{seal}") is None
