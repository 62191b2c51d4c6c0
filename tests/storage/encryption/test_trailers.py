"""What the trailer of an object may say, to who holds the key: there is one way to write each."""

import hashlib
import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.encryption.cipher import cipher_of
from storage.encryption.header import HEADER_BYTES, Header
from storage.encryption.whole import open_whole
from storage.errors import SealBroken
from tests.storage.encryption.objects import KEY, NOTHING, SEGMENT, content, hashed, layout_of, sealed
from tests.vectors.reader import Unreadable, open_object

HELLO = b"hello"
SHA256_OF_HELLO = hashlib.sha256(HELLO).digest()
SHA512_OF_HELLO = hashlib.sha512(HELLO).digest()


def _with_trailer(told: bytes) -> bytes:
    """An object of five bytes whose trailer tells something else, sealed with its key."""
    whole = sealed(HELLO)
    header = whole[:HEADER_BYTES]
    info = b"blob-v1" + KEY.id + KEY.version.to_bytes(4, "big") + header[112:128]
    key = HKDF(algorithm=SHA256(), length=64, salt=header[48:80], info=info).derive(KEY.secret)[:32]
    nonce = os.urandom(12)
    bound_to = hashlib.sha256(header).digest() + (1).to_bytes(8, "big") + b"\x01"
    return whole[:-108] + nonce + AESGCM(key).encrypt(nonce, told, bound_to)


def _told(algorithm: int, length: int, digest: bytes, size: int, count: int, zero: bytes = b"\0\0") -> bytes:
    return struct.pack(">BB64sQI2s", algorithm, length, digest, size, count, zero)


@pytest.mark.parametrize(
    "told", [_told(1, 32, SHA256_OF_HELLO, 5, 1), _told(2, 64, SHA512_OF_HELLO, 5, 1)], ids=["sha256", "sha512"]
)
def test_a_trailer_tells_digest_size_and_segments(told: bytes) -> None:
    """The two digest algorithms of images, each with its own length."""
    assert open_whole(KEY, _with_trailer(told)) == HELLO


@pytest.mark.parametrize(
    "told",
    [
        _told(0, 32, SHA256_OF_HELLO, 5, 1),
        _told(3, 32, SHA256_OF_HELLO, 5, 1),
        _told(1, 64, SHA256_OF_HELLO, 5, 1),
        _told(1, 0, SHA256_OF_HELLO, 5, 1),
        _told(1, 31, SHA256_OF_HELLO, 5, 1),
        _told(1, 255, SHA256_OF_HELLO, 5, 1),
        _told(2, 32, SHA512_OF_HELLO[:32], 5, 1),
        _told(1, 32, SHA256_OF_HELLO + b"\1", 5, 1),
        _told(1, 32, SHA256_OF_HELLO, 4, 1),
        _told(1, 32, SHA256_OF_HELLO, 2**64 - 1, 1),
        _told(1, 32, SHA256_OF_HELLO, 5, 0),
        _told(1, 32, SHA256_OF_HELLO, 5, 2**32 - 1),
        _told(1, 32, SHA256_OF_HELLO, 5, 1, b"\0\1"),
        _told(1, 32, SHA256_OF_HELLO, 5, 1)[:-1],
        b"",
    ],
    ids=[
        "algorithm 0",
        "algorithm 3",
        "sha256 of 64 bytes",
        "sha256 of none",
        "sha256 of 31 bytes",
        "sha256 of 255 bytes",
        "sha512 of 32 bytes",
        "padding of the digest",
        "fewer bytes",
        "most bytes",
        "no segments",
        "most segments",
        "padding",
        "79 bytes",
        "none",
    ],
)
def test_a_trailer_that_no_writer_writes_is_refused(told: bytes) -> None:
    """Another algorithm, a digest of another length, padding that is not zero, or other counts than there are."""
    changed = _with_trailer(told)

    with pytest.raises(SealBroken):
        open_whole(KEY, changed)
    assert hashed([changed]) == NOTHING
    with pytest.raises(Unreadable):
        open_object(KEY.secret, KEY.id, KEY.version, changed)


@pytest.mark.parametrize("size", [0, 5, SEGMENT, 2 * SEGMENT])
def test_a_segment_without_content_is_refused(size: int) -> None:
    """Even one that was sealed with the key: every object has one form, and all readers agree on it."""
    whole = sealed(content(size))
    empty = cipher_of(Header.parse(whole[:HEADER_BYTES]), KEY).seal(layout_of().segments(size), b"")
    changed = whole[:-108] + empty + whole[-108:]

    with pytest.raises(SealBroken):
        open_whole(KEY, changed)
    assert hashed([changed]) == NOTHING
    with pytest.raises(Unreadable):
        open_object(KEY.secret, KEY.id, KEY.version, changed)


def test_the_digest_told_is_that_of_the_content() -> None:
    """A trailer that names something else was written by a program that is wrong: who compares digests finds it."""
    changed = _with_trailer(_told(1, 32, hashlib.sha256(b"other").digest(), 5, 1))

    assert hashed([changed]) == hashlib.sha256(b"hello").hexdigest()
