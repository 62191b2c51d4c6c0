"""Content digests: the names of bytes.

- A digest is parsed once, at the door, and is canonical from then on: lower-case algorithm and lower-case hex.
- Only sha256 and sha512 are accepted, the registered algorithms of the OCI image specification (descriptor.md).
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from storage.errors import DigestInvalid, DigestMismatch


class Algorithm(StrEnum):
    """A digest algorithm that the registry hashes with."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an algorithm's name; raises DigestInvalid for one that is not supported."""
        try:
            return cls(text)
        except ValueError:
            raise DigestInvalid(text, "the algorithm is not supported: use sha256 or sha512") from None


_ALGORITHMS = {algorithm.value: algorithm for algorithm in Algorithm}  # half as long as the enumeration takes
_HEX_LENGTH = {Algorithm.SHA256: 64, Algorithm.SHA512: 128}
_HEX = re.compile(r"[0-9a-f]+")


class Hasher(Protocol):
    """The part of a hashlib object that the registry uses."""

    def update(self, chunk: bytes | bytearray | memoryview, /) -> None:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """The digest so far, in lower-case hex."""


class CopyableHasher(Hasher, Protocol):
    """A hash in progress that can go on in two ways."""

    def copy(self) -> "CopyableHasher":
        """Another one that has taken in the same bytes."""


def hasher(algorithm: Algorithm) -> CopyableHasher:
    """A new hash in progress."""
    return hashlib.new(algorithm.value, usedforsecurity=False)


def update(running: Hasher, chunks: Iterable[bytes | memoryview]) -> None:
    """Take in chunks, in order."""
    for chunk in chunks:
        running.update(chunk)


@dataclass(frozen=True, slots=True)
class Digest:
    """The name of a sequence of bytes: `algorithm:hex`."""

    algorithm: Algorithm
    hex: str

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read `algorithm:hex`; raises DigestInvalid for anything that is not canonical."""
        name, separator, encoded = text.partition(":")
        if not separator:
            raise DigestInvalid(text, "a digest is written algorithm:hex")
        algorithm = _ALGORITHMS.get(name) or Algorithm.parse(name)
        if len(encoded) != _HEX_LENGTH[algorithm] or not _HEX.fullmatch(encoded):
            raise DigestInvalid(text, f"{algorithm} takes {_HEX_LENGTH[algorithm]} lower-case hex digits")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> "Digest":
        """The digest of bytes in memory."""
        return cls(algorithm, hashlib.new(algorithm.value, content, usedforsecurity=False).hexdigest())

    def matches(self, content: bytes) -> bool:
        """Whether these bytes are the ones this digest names."""
        return hmac.compare_digest(Digest.of(content, self.algorithm).hex, self.hex)

    def require(self, content: Sequence[bytes]) -> None:
        """Raise DigestMismatch unless these bytes, one after the other, are the ones this digest names."""
        running = hasher(self.algorithm)
        update(running, content)
        if running.hexdigest() != self.hex:
            raise DigestMismatch(str(self), f"{self.algorithm.value}:{running.hexdigest()}")

    def __str__(self) -> str:
        """Write `algorithm:hex`, the form used on the wire and in the database."""
        return f"{self.algorithm.value}:{self.hex}"
