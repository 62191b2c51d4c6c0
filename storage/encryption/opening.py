"""Reading a sealed object from its first byte to its last, as a hash does: to tell what it is a copy of."""

from storage.digest import Algorithm, Hasher, hasher
from storage.encryption.cipher import ObjectCipher, cipher_of
from storage.encryption.header import HEADER_BYTES, TRAILER_BYTES, Header
from storage.encryption.keys import DomainKey
from storage.errors import SealBroken, WrongKey

_NOTHING = ""


class OpeningHasher:
    """Takes in the bytes of one object, and tells the digest of what it is a copy of, whatever its trailer says of it.

    An object that is damaged, or not whole, has the digest of nothing: an empty text.
    """

    def __init__(self, key: DomainKey, algorithm: Algorithm) -> None:
        self._key = key
        self._running: Hasher = hasher(algorithm)
        self._pending = bytearray()
        self._cipher: ObjectCipher | None = None
        self._index = 0
        self._size = 0
        self._is_broken = False

    def update(self, chunk: bytes | bytearray | memoryview, /) -> None:
        """Take in the next bytes."""
        if self._is_broken:
            return
        self._pending += chunk
        try:
            self._open_full()
        except (SealBroken, WrongKey):
            self._is_broken = True

    def hexdigest(self) -> str:
        """The digest of what all of it is a copy of, in lower-case hex; to be asked once, at the end."""
        try:
            self._open_end()
        except (SealBroken, WrongKey):
            return _NOTHING
        return self._running.hexdigest()

    def _open_full(self) -> None:
        """Open the segments that are here and cannot be the last."""
        if self._cipher is None:
            if len(self._pending) < HEADER_BYTES:
                return
            self._cipher = cipher_of(Header.parse(bytes(self._pending[:HEADER_BYTES])), self._key)
            del self._pending[:HEADER_BYTES]
        length = self._cipher.layout.sealed_segment
        start = 0
        while len(self._pending) - start >= length + TRAILER_BYTES:
            self._take(self._cipher, bytes(memoryview(self._pending)[start : start + length]))
            start += length
        del self._pending[:start]

    def _open_end(self) -> None:
        cipher = self._cipher
        if self._is_broken or cipher is None or len(self._pending) < TRAILER_BYTES:
            raise SealBroken("it is not whole")
        last, end = bytes(self._pending[:-TRAILER_BYTES]), bytes(self._pending[-TRAILER_BYTES:])
        if last:
            self._take(cipher, last)
        if self._index != cipher.layout.segments(self._size):
            raise SealBroken("it has a segment without content")
        cipher.open_trailer(end, self._size)

    def _take(self, cipher: ObjectCipher, sealed: bytes) -> None:
        plain = cipher.open(self._index, sealed)
        self._running.update(plain)
        self._index += 1
        self._size += len(plain)
