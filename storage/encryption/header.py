"""The header of a sealed object, and where things are in one.

docs/encryption-format.md draws the format, which tests/vectors/encryption-v1.json freezes. All numbers are big endian.
After the header come the segments, all of one size but the last, then the trailer; no bytes are no segments.
"""

import struct
from dataclasses import dataclass
from typing import Final

from storage.errors import SealBroken

MAGIC: Final = b"LADINGE1"
HEADER_BYTES: Final = 128
TRAILER_BYTES: Final = 108
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SEGMENT_OVERHEAD: Final = NONCE_BYTES + TAG_BYTES
SEGMENT_BITS: Final = 18
"""Segments have 256 KiB: the largest that are as fast as smaller ones, and small enough for ranges."""

_LAYOUT: Final = struct.Struct(">8s H B B H H 16s I 12s 32s 32s 16s")
_VERSION: Final = 1
_AES_256_GCM_HKDF_SHA256: Final = 1
_ALLOWED_BITS: Final = range(14, 25)
_ZERO: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class Header:
    """Everything that a header says; ids have 16 bytes, salt and commitment 32."""

    domain_id: bytes
    key_version: int
    segment_bits: int
    salt: bytes
    commitment: bytes
    object_id: bytes

    def packed(self) -> bytes:
        """The header's 128 bytes; raises ValueError for segments of a size that no reader takes."""
        if self.segment_bits not in _ALLOWED_BITS:
            raise ValueError(f"segments have 2^14 to 2^24 bytes, not 2^{self.segment_bits}")
        return _LAYOUT.pack(
            MAGIC,
            _VERSION,
            _AES_256_GCM_HKDF_SHA256,
            self.segment_bits,
            HEADER_BYTES,
            0,
            self.domain_id,
            self.key_version,
            _ZERO,
            self.salt,
            self.commitment,
            self.object_id,
        )

    @classmethod
    def parse(cls, packed: bytes) -> "Header":
        """Read a header; raises SealBroken for anything that no version before or at this one writes."""
        if len(packed) != HEADER_BYTES or packed[:8] != MAGIC:
            raise SealBroken("it does not begin with the header of a sealed object")
        _, version, algorithm, bits, length, flags, domain_id, key_version, zero, salt, commitment, object_id = (
            _LAYOUT.unpack(packed)
        )
        if (version, algorithm) != (_VERSION, _AES_256_GCM_HKDF_SHA256):
            raise SealBroken(f"it has version {version} and algorithm {algorithm}, which this program does not know")
        if (length, flags, zero) != (HEADER_BYTES, 0, _ZERO) or bits not in _ALLOWED_BITS:
            raise SealBroken("its header has values that are not allowed")
        return cls(domain_id, key_version, bits, salt, commitment, object_id)

    @property
    def layout(self) -> "Layout":
        """Where the object's segments are."""
        return Layout(self.segment_bits)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the bytes of an object are, for segments of two to the power of `segment_bits` bytes."""

    segment_bits: int = SEGMENT_BITS

    @property
    def segment(self) -> int:
        """Bytes of a full segment, in plain."""
        return 1 << self.segment_bits

    @property
    def sealed_segment(self) -> int:
        """Bytes of a full segment, sealed."""
        return self.segment + SEGMENT_OVERHEAD

    def segments(self, size: int) -> int:
        """How many segments so many bytes have."""
        return -(-size >> self.segment_bits)

    def index(self, offset: int) -> int:
        """The segment that a byte is in."""
        return offset >> self.segment_bits

    def place(self, index: int) -> int:
        """Where a segment begins in the object."""
        return HEADER_BYTES + index * self.sealed_segment

    def end_of(self, size: int) -> int:
        """Where the last segment ends, which is where the trailer begins."""
        return HEADER_BYTES + size + self.segments(size) * SEGMENT_OVERHEAD

    def length(self, size: int) -> int:
        """Bytes of the whole object of so many bytes."""
        return self.end_of(size) + TRAILER_BYTES

    def size(self, length: int) -> int:
        """How many bytes an object of a length is a copy of; raises SealBroken for a length that none has."""
        body = length - HEADER_BYTES - TRAILER_BYTES
        size = body - SEGMENT_OVERHEAD * -(-body // self.sealed_segment)
        if size < 0 or self.length(size) != length:
            raise SealBroken("it has a length that no whole object has")
        return size
