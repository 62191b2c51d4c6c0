"""Small things sealed at once, in the format of all objects: manifests, short blobs, tails of unfinished uploads."""

from storage.digest import Algorithm, Digest
from storage.encryption.cipher import ObjectCipher, Trailer, cipher_of, new_cipher
from storage.encryption.header import HEADER_BYTES, SEGMENT_BITS, TRAILER_BYTES, Header
from storage.encryption.keys import DomainKey, DomainKeys
from storage.errors import SealBroken


def seal_whole(
    key: DomainKey, plain: bytes, digest: Digest | None = None, *, segment_bits: int = SEGMENT_BITS
) -> bytes:
    """A sealed object; `digest` is that of the bytes where it is known, else sha256 is computed."""
    cipher = new_cipher(key, segment_bits=segment_bits)
    segment = cipher.layout.segment
    parts = [cipher.packed]
    parts += [cipher.seal(index, plain[index * segment : (index + 1) * segment]) for index in _indexes(cipher, plain)]
    parts.append(cipher.seal_trailer(Trailer(digest or Digest.of(plain, Algorithm.SHA256), len(plain))))
    return b"".join(parts)


def open_whole(key: DomainKey, sealed: bytes, digest: Digest | None = None) -> bytes:
    """The bytes of a sealed object, which must be those of `digest`; raises SealBroken or WrongKey."""
    header = header_of(sealed)
    cipher = cipher_of(header, key)
    layout = cipher.layout
    size = layout.size(len(sealed))
    trailer = cipher.open_trailer(sealed[-TRAILER_BYTES:], size)
    if digest is not None and trailer.digest != digest:
        raise SealBroken("it is a copy of something else")
    view = memoryview(sealed)[: layout.end_of(size)]
    indexes = range(layout.segments(size))
    return b"".join(cipher.open(index, view[layout.place(index) : layout.place(index + 1)]) for index in indexes)


def header_of(sealed: bytes) -> Header:
    """The header of a sealed object; raises SealBroken."""
    return Header.parse(bytes(sealed[:HEADER_BYTES]))


async def key_of(keys: DomainKeys, sealed: bytes) -> DomainKey:
    """The key that a sealed object opens with; raises SealBroken, and what `keys` raises."""
    header = header_of(sealed)
    return await keys.of(header.domain_id, header.key_version)


def _indexes(cipher: ObjectCipher, plain: bytes) -> range:
    return range(cipher.layout.segments(len(plain)))
