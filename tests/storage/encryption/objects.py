"""Sealed objects for tests, whole and taken apart: of small segments, so that many of them are quick."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from storage.digest import Algorithm, Digest, Hasher
from storage.encryption.cipher import ObjectCipher, Trailer, new_cipher
from storage.encryption.header import HEADER_BYTES, NONCE_BYTES, TRAILER_BYTES, Header, Layout
from storage.encryption.keys import DomainKey
from storage.encryption.opening import OpeningHasher
from storage.encryption.whole import open_whole
from storage.errors import SealBroken, WrongKey

BITS = 14
SEGMENT = 1 << BITS
KEY = DomainKey("AES256", bytes(range(16)), 7, bytes(range(100, 132)))
OTHER_SECRET = replace(KEY, secret=bytes(range(101, 133)))
OTHER_VERSION = replace(KEY, version=8)
OTHER_DOMAIN = replace(KEY, domain="other", id=bytes(range(1, 17)))
NOTHING = ""


@dataclass(frozen=True)
class Parts:
    """An object taken apart."""

    header: bytes
    segments: tuple[bytes, ...]
    trailer: bytes

    @property
    def whole(self) -> bytes:
        return self.header + b"".join(self.segments) + self.trailer

    @property
    def nonces(self) -> list[bytes]:
        return [part[:NONCE_BYTES] for part in (*self.segments, self.trailer)]


def content(size: int) -> bytes:
    """Bytes in which no two places look the same."""
    return hashlib.shake_256(b"content").digest(size)


def sealed(plain: bytes, *, key: DomainKey = KEY, bits: int = BITS, algorithm: Algorithm = Algorithm.SHA256) -> bytes:
    """A new object."""
    cipher = new_cipher(key, segment_bits=bits)
    trailer = cipher.seal_trailer(Trailer(Digest.of(plain, algorithm), len(plain)))
    return b"".join([cipher.packed, *sealed_segments(cipher, plain), trailer])


def sealed_segments(cipher: ObjectCipher, plain: bytes) -> list[bytes]:
    """The segments of a new object."""
    length = cipher.layout.segment
    return [
        cipher.seal(index, plain[start : start + length]) for index, start in enumerate(range(0, len(plain), length))
    ]


def taken_apart(whole: bytes) -> Parts:
    """An object's header, segments and trailer."""
    length = Header.parse(whole[:HEADER_BYTES]).layout.sealed_segment
    body = whole[HEADER_BYTES:-TRAILER_BYTES]
    segments = tuple(body[start : start + length] for start in range(0, len(body), length))
    return Parts(whole[:HEADER_BYTES], segments, whole[-TRAILER_BYTES:])


def hashed(chunks: Iterable[bytes], key: DomainKey = KEY, algorithm: Algorithm = Algorithm.SHA256) -> str:
    """What a hasher tells that reads an object in chunks."""
    running: Hasher = OpeningHasher(key, algorithm)
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()


def is_refused(changed: bytes, key: DomainKey = KEY) -> bool:
    """Whether nobody takes this for a whole object: opened at once or in pieces, and of no other error."""
    try:
        open_whole(key, changed)
    except (SealBroken, WrongKey):
        return hashed([changed], key) == NOTHING
    return False


def layout_of(bits: int = BITS) -> Layout:
    """Where things are in objects of such segments."""
    return Layout(bits)
