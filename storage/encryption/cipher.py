"""Sealing and opening one object: its segments from any offset, and the trailer that names what it is a copy of.

- Nonces are random: after a crash a client may send other bytes for a segment that was sealed before.
- The key is derived from the domain's for each object, from a random salt, so that nonces never meet.
- GCM does not commit to its key, so the header does: another key is told apart from damage.
- A segment is bound to its object, by the hash of its header, and to its place in it.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.digest import Algorithm, Digest
from storage.encryption.header import NONCE_BYTES, SEGMENT_BITS, Header
from storage.encryption.keys import DomainKey
from storage.errors import DigestInvalid, SealBroken, WrongKey

_TRAILER: Final = struct.Struct(">B B 64s Q I 2s")
_ALGORITHMS: Final = {1: Algorithm.SHA256, 2: Algorithm.SHA512}
_NUMBERS: Final = {algorithm: number for number, algorithm in _ALGORITHMS.items()}
_SEGMENT: Final = b"\x00"
_END: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Trailer:
    """What an object is a copy of: the digest of its bytes, and how many they are."""

    digest: Digest
    size: int


class ObjectCipher:
    """Seals or opens one object; any thread may use it."""

    def __init__(self, header: Header, cipher: AESGCM) -> None:
        """Made by `new_cipher` and `cipher_of`, which derive what is needed."""
        self.header = header
        self.packed = header.packed()
        self.layout = header.layout
        self._cipher = cipher
        self._binding = hashlib.sha256(self.packed).digest()

    def seal_into(self, index: int, plain: bytes | memoryview, sealed: memoryview) -> None:
        """Seal a segment; `sealed` has 28 bytes more than `plain`, and they share no memory."""
        nonce = os.urandom(NONCE_BYTES)
        sealed[:NONCE_BYTES] = nonce
        self._cipher.encrypt_into(nonce, plain, self._bound(index, _SEGMENT), sealed[NONCE_BYTES:])

    def seal(self, index: int, plain: bytes | memoryview) -> bytes:
        """A sealed segment."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self._bound(index, _SEGMENT))

    def open_into(self, index: int, sealed: memoryview, plain: memoryview) -> None:
        """Open a segment; raises SealBroken, and then `plain` may hold bytes that nothing vouches for.

        `plain` has 28 bytes fewer than `sealed`, and they share no memory.
        """
        try:
            self._cipher.decrypt_into(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(index, _SEGMENT), plain)
        except (InvalidTag, ValueError) as error:
            raise _damaged(index) from error

    def open(self, index: int, sealed: bytes | memoryview) -> bytes:
        """The bytes of a segment; raises SealBroken."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(index, _SEGMENT))
        except (InvalidTag, ValueError) as error:
            raise _damaged(index) from error

    def seal_trailer(self, trailer: Trailer) -> bytes:
        """The end of an object whose segments are all sealed."""
        count = self.layout.segments(trailer.size)
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _packed(trailer, count), self._bound(count, _END))

    def open_trailer(self, sealed: bytes, size: int) -> Trailer:
        """What the object is a copy of; `size` is what its length tells. Raises SealBroken."""
        count = self.layout.segments(size)
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(count, _END))
            algorithm, length, raw, *_ = _TRAILER.unpack(plain)
            trailer = Trailer(Digest.parse(f"{_ALGORITHMS[algorithm]}:{raw[:length].hex()}"), size)
        except (InvalidTag, ValueError, KeyError, struct.error, DigestInvalid) as error:
            raise SealBroken("its trailer is damaged, or another object's") from error
        # There is one way to write a trailer: that also holds for its padding, and for how long a digest is.
        if plain != _packed(trailer, count):
            raise SealBroken("it is longer or shorter than its trailer says, or that has values that are not allowed")
        return trailer

    def _bound(self, number: int, kind: bytes) -> bytes:
        return self._binding + number.to_bytes(8, "big") + kind


def new_cipher(
    key: DomainKey, *, segment_bits: int = SEGMENT_BITS, random_bytes: Callable[[int], bytes] = os.urandom
) -> ObjectCipher:
    """What seals a new object with a domain's key."""
    salt, object_id = random_bytes(32), random_bytes(16)
    cipher, commitment = _derived(key, salt, object_id)
    return ObjectCipher(Header(key.id, key.version, segment_bits, salt, commitment, object_id), cipher)


def cipher_of(header: Header, key: DomainKey) -> ObjectCipher:
    """What opens an object; raises WrongKey where it was sealed with another key."""
    cipher, commitment = _derived(key, header.salt, header.object_id)
    is_ours = (header.domain_id, header.key_version) == (key.id, key.version)
    if not (is_ours and hmac.compare_digest(commitment, header.commitment)):
        raise WrongKey
    return ObjectCipher(header, cipher)


def _packed(trailer: Trailer, count: int) -> bytes:
    """What is sealed in the trailer of an object of `count` segments."""
    raw = bytes.fromhex(trailer.digest.hex)
    number = _NUMBERS[trailer.digest.algorithm]
    return _TRAILER.pack(number, len(raw), raw.ljust(64, b"\0"), trailer.size, count, b"\0\0")


def _derived(key: DomainKey, salt: bytes, object_id: bytes) -> tuple[AESGCM, bytes]:
    """The object's key, and the commitment to it."""
    info = b"blob-v1" + key.id + key.version.to_bytes(4, "big") + object_id
    derived = HKDF(algorithm=hashes.SHA256(), length=64, salt=salt, info=info).derive(key.secret)
    return AESGCM(derived[:32]), derived[32:]


def _damaged(index: int) -> SealBroken:
    return SealBroken(f"segment {index} is damaged, or not the one that belongs there")
