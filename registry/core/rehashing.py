"""Computing the digests of stored copies again, on threads: hashing and opening sealed bytes take whole cores.

Threads work in slices, so that who is cancelled waits for a few of them at most, and read into buffers of their own.
"""

from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final

from registry.core.places import Places
from storage.blobs.batches import batches_of
from storage.blobs.blocking import run_to_end
from storage.blobs.file_reader import reader_of
from storage.blobs.interface import BlobStore, BlockingReader, Expected, Span
from storage.digest import Digest, Hasher, hasher, update

_SLICE_BYTES: Final = 4 * 1024 * 1024


class Rehashing:
    """Reads stored copies and hashes them on `threads`, each of which keeps a core busy."""

    def __init__(self, places: Places, threads: Executor) -> None:
        self._places = places
        self._threads = threads

    async def digest(self, key: str, expected: Expected) -> Digest:
        """The digest of the bytes of a copy, which are as many as is expected; raises what reading them raises."""
        algorithm = expected.digest.algorithm
        running = hasher(algorithm)
        store = self._places.holding(expected.domain)
        reader = await reader_of(store, key, expected)
        if reader is None:
            await self._take_stream(store, key, expected, running)
        else:
            try:
                await self._take_all(reader, expected.size, running)
            finally:
                reader.close()
        return Digest(algorithm, running.hexdigest())

    async def _take_all(self, reader: BlockingReader, size: int, running: Hasher) -> None:
        for offset in range(0, size, _SLICE_BYTES):
            await run_to_end(self._threads, _take_slice, reader, offset, min(size, offset + _SLICE_BYTES), running)

    async def _take_stream(self, store: BlobStore, key: str, expected: Expected, running: Hasher) -> None:
        async with aclosing(store.read(key, Span(0, expected.size), expected=expected)) as chunks:
            async for batch in batches_of(chunks):
                await run_to_end(self._threads, update, running, batch)


def _take_slice(reader: BlockingReader, offset: int, end: int, running: Hasher) -> None:
    while offset < end:
        piece = reader.read(offset, end)
        running.update(piece)
        offset += len(piece)
