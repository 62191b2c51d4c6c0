"""Sealed objects as docs/encryption-format.md draws them, and the ways to spoil one."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from proofs.bucket import Bucket

HEADER_BYTES, TRAILER_BYTES = 128, 108
SEGMENT_BYTES = 256 << 10
SEALED_BYTES = SEGMENT_BYTES + 28
BLOB_BYTES = 4 * SEGMENT_BYTES + 70_000  # five segments, the last a short one
END = HEADER_BYTES + 4 * SEALED_BYTES + 70_028  # where the trailer begins
FIELDS = {
    "magic": 0,
    "format version": 9,
    "algorithm": 10,
    "segment size": 11,
    "header length": 13,
    "flags": 15,
    "domain id": 20,
    "key version": 35,
    "reserved": 40,
    "salt": 50,
    "commitment": 90,
    "object id": 120,
    "first nonce": HEADER_BYTES + 3,
    "first byte": HEADER_BYTES + 12,
    "a byte in the middle": HEADER_BYTES + 2 * SEALED_BYTES + 100_000,
    "a tag": HEADER_BYTES + 3 * SEALED_BYTES - 1,
    "last tag": END - 1,
    "nonce of the trailer": END + 2,
    "trailer": END + 40,
    "tag of the trailer": END + TRAILER_BYTES - 1,
}


class Objects:
    """The stored objects of a server, by their keys, in files or in a bucket."""

    def __init__(self, data: Path, bucket: Bucket | None, prefix: str) -> None:
        self._folder = data / "blobs"
        self._bucket = bucket
        self._prefix = prefix + "blobs/"

    def read(self, key: str) -> bytes:
        """The bytes of one."""
        return (self._folder / key).read_bytes() if self._bucket is None else self._bucket.read(self._prefix + key)

    def write(self, key: str, content: bytes) -> None:
        """Put other bytes in the place of one."""
        if self._bucket is None:
            (self._folder / key).write_bytes(content)
        else:
            self._bucket.write(self._prefix + key, content)


@dataclasses.dataclass(frozen=True, slots=True)
class Victim:
    """An object, what it is a copy of, and objects that could be put in its place."""

    sealed: bytes
    content: bytes
    other: bytes
    """A copy of other bytes, as many, in the same domain."""
    foreign: bytes
    """A copy of the same bytes in another domain."""

    def segment(self, index: int) -> bytes:
        """A sealed segment."""
        return self.sealed[HEADER_BYTES + index * SEALED_BYTES :][:SEALED_BYTES]

    def with_segments(self, *segments: bytes) -> bytes:
        """The object with these in the place of its four full segments."""
        return b"".join([self.sealed[:HEADER_BYTES], *segments, self.sealed[HEADER_BYTES + 4 * SEALED_BYTES :]])


Damage = Callable[[Victim], bytes]


def flipped(at: int) -> Damage:
    """Change one bit."""

    def damage(victim: Victim) -> bytes:
        changed = bytearray(victim.sealed)
        changed[at] ^= 1
        return bytes(changed)

    return damage


def cut(at: int) -> Damage:
    """Cut the end off."""
    return lambda victim: victim.sealed[:at]


def order(*indices: int) -> Damage:
    """Put the segments in this order."""
    return lambda victim: victim.with_segments(*(victim.segment(index) for index in indices))


def of_another(victim: Victim) -> bytes:
    """Put in a segment from the same place of another object."""
    start, end = HEADER_BYTES + 2 * SEALED_BYTES, HEADER_BYTES + 3 * SEALED_BYTES
    return victim.sealed[:start] + victim.other[start:end] + victim.sealed[end:]


DAMAGES: dict[str, Damage] = {
    **{f"bit flipped: {name}": flipped(at) for name, at in FIELDS.items()},
    "empty": cut(0),
    "half a header": cut(64),
    "header alone": cut(HEADER_BYTES),
    "cut in a segment": cut(HEADER_BYTES + 2 * SEALED_BYTES + 1000),
    "cut between segments": cut(HEADER_BYTES + 3 * SEALED_BYTES),
    "no trailer": cut(END),
    "one byte less": cut(END + TRAILER_BYTES - 1),
    "one byte more": lambda victim: victim.sealed + b"\0",
    "a segment more": lambda victim: victim.sealed + os.urandom(SEALED_BYTES),
    "two trailers": lambda victim: victim.sealed + victim.sealed[END:],
    "segment dropped": order(0, 1, 3),
    "last full segment dropped": order(0, 1, 2),
    "segments swapped": order(0, 2, 1, 3),
    "segment twice": order(0, 1, 1, 2, 3),
    "segment in the place of another": order(0, 1, 1, 3),
    "segment of another object": of_another,
    "header of another object": lambda victim: victim.other[:HEADER_BYTES] + victim.sealed[HEADER_BYTES:],
    "trailer of another object": lambda victim: victim.sealed[:END] + victim.other[END:],
    "another object": lambda victim: victim.other,
    "object of another domain": lambda victim: victim.foreign,
    "plain bytes": lambda victim: victim.content,
    "plain bytes, as many": lambda victim: (victim.content * 2)[: len(victim.sealed)],
    "zeros": lambda victim: bytes(len(victim.sealed)),
}
