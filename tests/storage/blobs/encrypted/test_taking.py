"""Sealing what a thread takes by itself, on a disk that may fail in the middle of it."""

import errno
import itertools
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.digest import Algorithm, Digest
from storage.errors import NoSpace, StoreUnavailable
from tests.contracts.blob_access import UPLOAD, at, read, write_taken
from tests.contracts.encrypted_places import MemoryKeys, encrypted_store
from tests.storage.blobs.encrypted.watched import BITS, SEGMENT
from tests.storage.blobs.faulty_disk import FaultyOperations

CONTENT: Final = random.Random(2).randbytes(20 * SEGMENT)


class FailingLater(FaultyOperations):
    """A disk that is full after so many writes, until it is mended."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writes_left = 1 << 30

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        if self.writes_left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.writes_left -= 1
        return super().write(descriptor, buffers, offset)


@pytest.fixture
def disk(tmp_path: Path) -> FailingLater:
    return FailingLater(tmp_path)


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def store(tmp_path: Path, executor: ThreadPoolExecutor, disk: FailingLater, keys: MemoryKeys) -> EncryptedStore:
    suffixes = itertools.count()
    inner = FilesystemStore(
        tmp_path,
        durability="full",
        reserve_bytes=0,
        new_suffix=lambda: f"{next(suffixes):016x}",
        executor=executor,
        operations=disk,
    )
    return encrypted_store(inner, executor, keys=keys, segment_bits=BITS)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.integers(0, 2 * SEGMENT), sizes=st.lists(st.integers(1, 3 * SEGMENT), max_size=6))
async def test_any_pieces_become_the_bytes_that_they_are(store: EncryptedStore, before: int, sizes: list[int]) -> None:
    ends = list(itertools.accumulate([before, *sizes]))
    pieces = [CONTENT[start:end] for start, end in itertools.pairwise(ends)]
    content = CONTENT[: ends[-1]]

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:before]])
        await write_taken(writer, pieces)
        assert writer.digest == Digest.of(content)
        copy = await writer.commit(Digest.of(content))

    assert await read(store, copy.key, 0, len(content)) == content


@pytest.mark.parametrize(("writes", "segments"), [(0, 0), (4, 0), (5, 4), (8, 4), (9, 8), (17, 16)])
async def test_what_was_stored_before_the_disk_failed_can_be_gone_on_with(
    store: EncryptedStore, disk: FailingLater, writes: int, segments: int
) -> None:
    """The writer then stands where the disk does: behind the header and whole batches of four segments."""
    pieces = [CONTENT[start : start + SEGMENT] for start in range(0, len(CONTENT), SEGMENT)]
    disk.writes_left = writes

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        with pytest.raises(NoSpace):
            await write_taken(writer, pieces)
        disk.writes_left = 1 << 30
        await writer.keep()
        kept = writer.kept

    async with store.stage(UPLOAD, Algorithm.SHA256, at(kept)) as writer:
        assert writer.offset == kept
        assert kept == segments * SEGMENT
        await writer.write([CONTENT[kept:]])
        copy = await writer.commit(Digest.of(CONTENT))

    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


async def test_a_writer_that_failed_takes_no_more_until_it_knows_where_it_is(
    store: EncryptedStore, disk: FailingLater
) -> None:
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT + 1]])
        disk.writes_left = 0
        with pytest.raises(NoSpace):
            await write_taken(writer, [CONTENT[SEGMENT + 1 :]])

        assert writer.offset == SEGMENT
        assert writer.digest is None
        disk.writes_left = 1 << 30
        await write_taken(writer, [CONTENT[SEGMENT:]])
        copy = await writer.commit(Digest.of(CONTENT))

    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


async def test_bytes_that_cannot_be_sealed_are_not_taken(store: EncryptedStore, keys: MemoryKeys) -> None:
    """So that the client can send them again, to whoever can."""
    taken: list[int] = []

    def take(limit: int) -> memoryview:
        taken.append(limit)
        return memoryview(b"")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        keys.failure = StoreUnavailable("the keys are away")
        assert writer.write_from is not None
        with pytest.raises(StoreUnavailable):
            await writer.write_from(take, 10 * SEGMENT)

    assert not taken
