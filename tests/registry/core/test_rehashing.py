"""Hashing stored copies on threads."""

import asyncio
import threading
import time

import pytest

from registry.core.places import Places
from registry.core.rehashing import Rehashing
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, BlockingReader, Expected
from storage.digest import Algorithm, Digest
from tests.registry.core.opening import OpeningStore
from tests.registry.core.services import HASHING, Core

# More than two slices, and no whole number of anything.
CONTENT = bytes(range(251)) * 40_000


async def store_in(store: BlobStore, algorithm: Algorithm) -> tuple[str, Expected]:
    """Store the content; its key, and what is expected of it."""

    async def nothing() -> int:
        return 0

    digest = Digest.of(CONTENT, algorithm)
    async with store.stage("00000000-0000-4000-8000-000000000000", algorithm, nothing) as writer:
        await writer.write([CONTENT])
        copy = await writer.commit(digest)
    return copy.key, Expected(copy.size, digest)


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_the_digest_of_a_file(files: FilesystemStore, algorithm: Algorithm) -> None:
    key, expected = await store_in(files, algorithm)

    assert await Rehashing(Places(files), HASHING).digest(key, expected) == expected.digest


async def test_the_digest_of_what_a_store_streams(core: Core) -> None:
    key, expected = await store_in(core.store, Algorithm.SHA256)

    assert await Rehashing(Places(core.store), HASHING).digest(key, expected) == expected.digest


async def test_the_digest_of_what_threads_open(opening: OpeningStore) -> None:
    """What is expected goes to the store, and nothing stays open."""
    key, expected = await store_in(opening, Algorithm.SHA256)

    assert await Rehashing(Places(opening), HASHING).digest(key, expected) == expected.digest
    assert (opening.expected[-1], opening.readers) == (expected, 0)


class SlowReader:
    """Takes its time for each slice."""

    piece_bytes = 1024

    def __init__(self) -> None:
        self.began = threading.Event()
        self.is_closed = False

    def read(self, offset: int, end: int) -> memoryview:
        self.began.set()
        time.sleep(0.01)
        assert not self.is_closed
        return memoryview(bytes(end - offset))

    def read_now(self, _offset: int, _end: int) -> memoryview | None:
        return None

    def close(self) -> None:
        self.is_closed = True


class SlowStore(OpeningStore):
    """Gives a reader that would go on for minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = SlowReader()

    async def open_reader(self, key: str, *, expected: Expected | None = None) -> BlockingReader:  # noqa: ARG002
        return self.reader


async def test_who_is_cancelled_waits_for_one_slice() -> None:
    """And the copy is closed when no thread reads it any more."""
    store = SlowStore()
    expected = Expected(64 * 1024**3, Digest.of(b""))
    hashing = asyncio.ensure_future(Rehashing(Places(store), HASHING).digest("key", expected))
    await asyncio.to_thread(store.reader.began.wait)

    hashing.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([hashing])

    assert hashing.cancelled()
    assert store.reader.is_closed
