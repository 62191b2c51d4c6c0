"""Keys of stored copies and ids of uploads: what is one, and what is not."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.blobs.keys import is_key, is_upload_id, key_of, key_of_upload, upload_of
from storage.digest import Algorithm, Digest

SUFFIXES = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=64)
UPLOAD_IDS = st.uuids().flatmap(lambda id_: st.sampled_from([str(id_), id_.hex]))


@given(content=st.binary(max_size=9), algorithm=st.sampled_from(Algorithm), suffix=SUFFIXES)
def test_the_key_of_a_digest_is_one(content: bytes, algorithm: Algorithm, suffix: str) -> None:
    """And names no upload."""
    key = key_of(Digest.of(content, algorithm), suffix)

    assert is_key(key)
    assert upload_of(key) is None


@given(upload_id=UPLOAD_IDS, suffix=SUFFIXES)
def test_the_key_of_an_upload_names_it(upload_id: str, suffix: str) -> None:
    """However its id is written."""
    key = key_of_upload(upload_id, suffix)

    assert is_upload_id(upload_id)
    assert is_key(key)
    assert upload_of(key) == upload_id


HEX = "ab" * 32
ID = str(uuid.UUID(int=0xABCD << 112))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"sha256/ab/ab/{HEX}",
        f"sha256/ab/ab/{HEX}.",
        f"sha256/ab/ab/{HEX}.x/y",
        f"sha256/ab/ab/{HEX}.x\n",
        f"sha256/ab/cd/{HEX}.x",
        f"sha256/AB/AB/{HEX.upper()}.x",
        f"sha256/ab/ab/{HEX}.{'x' * 65}",
        f"sha512/ab/ab/{HEX}.x",
        f"/sha256/ab/ab/{HEX}.x",
        f"../sha256/ab/ab/{HEX}.x",
        f"upload/ab/cd/{ID}",
        f"upload/ab/ce/{ID}.x",
        f"upload/ab/cd/{ID[:-1]}.x",
        "upload/../../x.x",
        ".store",
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    """Nothing of it is looked up."""
    assert not is_key(text)
    assert upload_of(text) is None


@pytest.mark.parametrize("text", ["", "..", ID.upper(), f"{ID}\n", f" {ID}", ID[1:], "a" * 31, "a" * 33, "g" * 32])
def test_anything_else_is_no_upload_id(text: str) -> None:
    """A UUID in lower case, with or without dashes."""
    assert not is_upload_id(text)
