"""Plain files as worker threads read them."""

import os
import threading
from typing import Final

from storage.blobs.disk import storage_errors
from storage.blobs.interface import BlobStore, BlockingReader, BlockingReads, Expected, LocalFiles, Span, offers
from storage.errors import StoredBytesMissing

_BUFFER_BYTES: Final = 256 * 1024


class _Buffers(threading.local):
    """A buffer for each thread, used again and again: fresh memory costs as much as reading into it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))


_OWN: Final = _Buffers()


class FileReader:
    """A BlockingReader of a stored copy that is a plain file; `file` is its descriptor, the reader's to close."""

    piece_bytes = _BUFFER_BYTES

    def __init__(self, key: str, file: int) -> None:
        self._key = key
        self.file = file

    def read(self, offset: int, end: int) -> memoryview:
        """Some of the bytes, good until the thread reads again; raises StoredBytesMissing where the file has none."""
        buffer = _OWN.buffer
        with storage_errors():
            count = os.preadv(self.file, [buffer[: end - offset]], offset)
        if not count:
            raise StoredBytesMissing(self._key)
        return buffer[:count]

    def read_now(self, _offset: int, _end: int) -> memoryview | None:
        """Nothing: the kernel sends it."""
        return None

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)


def whole(reader: BlockingReader, span: Span) -> bytes:
    """A copy of all bytes of a short span; raises as the reader does."""
    pieces, offset = [], span.offset
    while offset < span.end:
        pieces.append(bytes(reader.read(offset, span.end)))
        offset += len(pieces[-1])
    return b"".join(pieces)


async def reader_of(store: BlobStore, key: str, expected: Expected) -> BlockingReader | None:
    """What threads read a copy with, a FileReader where it is a plain file; None where the store streams.

    Raises what `BlobStore.read` raises before its first chunk.
    """
    if offers(store, LocalFiles):
        return FileReader(key, open_file(store, key, expected.size))
    if offers(store, BlockingReads):
        return await store.open_reader(key, expected=expected)
    return None


def open_file(store: LocalFiles, key: str, size: int) -> int:
    """The open file of a copy, the caller's to close, its length checked, which costs two system calls."""
    file = store.open(key)
    if os.fstat(file).st_size != size:
        os.close(file)
        raise StoredBytesMissing(key)
    return file
