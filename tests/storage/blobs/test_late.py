"""Staged files that are opened by the first write, or on the event loop: what fails, who else comes, what is left."""

import asyncio
import errno
import itertools
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage.blobs.disk import FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.staging import LatelyLeft
from storage.digest import Algorithm
from storage.errors import DatabaseUnavailable, NoSpace, StagedBytesBusy, StoreUnavailable
from tests.storage.blobs.faulty_disk import (
    HELLO,
    OWNER,
    UPLOAD,
    FaultyOperations,
    MakeStore,
    SlowDisk,
    at,
    files,
    open_descriptors,
    owned_store,
    push,
    settled_descriptors,
    stage,
)

STAGED_PATH = f"uploads/11/{UPLOAD}"


class Counted(ThreadPoolExecutor):
    """Threads that tell how often they were asked."""

    asked = 0

    def submit(self, *arguments: Any, **named: Any) -> Any:
        self.asked += 1
        return super().submit(*arguments, **named)


class FailsToOpen(FileOperations):
    """A disk that opens no file for a while."""

    error: int | None = errno.ENOSPC

    def open(self, path: Path, flags: int) -> int:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return super().open(path, flags)


class FailsOnce(FileOperations):
    """A disk that takes a part of the first write, and fails then."""

    def __init__(self) -> None:
        self._calls = itertools.count()

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        if next(self._calls) == 1:
            raise OSError(errno.EIO, "it broke")
        return super().write(descriptor, [buffers[0][:2]], offset)


def store_on(root: Path, executor: Executor) -> FilesystemStore:
    return FilesystemStore(root, durability="full", reserve_bytes=0, new_suffix=lambda: "copy0", executor=executor)


async def test_a_push_in_two_requests_goes_to_the_disk_three_times(root: Path) -> None:
    """Once to write, once to close what was written, and once to store it."""
    with Counted(1) as executor:
        store = store_on(root, executor)

        async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"hello"])
            await writer.keep()
            writer.remember()
        async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
            await writer.commit(HELLO)

        assert executor.asked == 3


async def test_a_late_writer_makes_no_file_before_it_writes(store: FilesystemStore, root: Path) -> None:
    async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert not files(root)
        writer.remember()

    assert not files(root)
    with pytest.raises(ValueError, match="closed"):
        await writer.commit(HELLO)


@pytest.mark.parametrize(("error", "raised"), [(errno.ENOSPC, NoSpace), (errno.EIO, StoreUnavailable)])
async def test_a_late_writer_whose_file_cannot_be_opened_can_try_again(
    make_store: MakeStore, error: int, raised: type[Exception]
) -> None:
    """Nothing was taken of what it was to write."""
    disk = FailsToOpen()
    disk.error = error
    before = settled_descriptors()

    async with make_store(operations=disk).begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        for attempt in (writer.keep(), writer.write([b"hello"]), writer.abort()):
            with pytest.raises(raised):
                await attempt
        assert writer.offset == 0
        disk.error = None
        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

    assert copy.size == 5
    assert open_descriptors() == before


async def test_a_first_write_that_fails_leaves_the_writer_where_it_was(make_store: MakeStore) -> None:
    store = make_store(operations=FailsOnce())

    async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.write([b"hello"])
        assert writer.offset == 0
        await writer.write([b"hello"])
        await writer.commit(HELLO)


async def test_late_writers_close_what_they_open(store: FilesystemStore) -> None:
    """One that is suspended, refused, told that its bytes were promised, or never told whether they were."""

    async def unknown() -> int:
        raise DatabaseUnavailable("it is away")

    async def write(committed: Callable[[], Awaitable[int]]) -> None:
        async with store.begin(UPLOAD, Algorithm.SHA256, committed) as writer:
            await writer.write([b"hello"])

    before = settled_descriptors()

    await write(at(0))
    for committed, raised in ((at(5), StagedBytesBusy), (unknown, DatabaseUnavailable)):
        with pytest.raises(raised):
            await write(committed)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)):
        with pytest.raises(StagedBytesBusy):
            await write(at(0))

    assert open_descriptors() == before


async def test_a_late_writer_that_could_not_ask_asks_again(store: FilesystemStore) -> None:
    """It never takes for its own what it knows nothing of."""
    await stage(store, b"something")
    answers: list[int | Exception] = [DatabaseUnavailable("it is away"), 0]

    async def committed() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with store.begin(UPLOAD, Algorithm.SHA256, committed) as writer:
        with pytest.raises(DatabaseUnavailable):
            await writer.write([b"hello"])
        await writer.write([b"hello"])
        await writer.commit(HELLO)

    assert answers == []


async def test_a_first_write_that_is_cancelled_counts(make_store: MakeStore) -> None:
    """The thread goes on to its end, and the file is closed after it."""
    disk = SlowDisk()
    store = make_store(operations=disk)
    offsets = []
    before = settled_descriptors()

    async def write() -> None:
        async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            try:
                await writer.write([b"hello"])
            finally:
                offsets.append(writer.offset)

    writing = asyncio.create_task(write())
    await disk.is_writing.wait()
    writing.cancel()
    disk.may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert offsets == [5]
    assert open_descriptors() == before
    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        assert writer.offset == 5


async def test_a_late_writer_makes_nothing_where_the_disk_is_away(root: Path, executor: ThreadPoolExecutor) -> None:
    store = owned_store(root, executor)

    with pytest.raises(StoreUnavailable):
        async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"hello"])

    assert not files(root)


async def test_a_file_that_is_opened_on_the_loop_needs_its_disk_too(root: Path, executor: ThreadPoolExecutor) -> None:
    store = owned_store(root, executor)
    await store.claim(OWNER)
    await stage(store, b"hello")
    (root / "blobs" / ".store").unlink()

    with pytest.raises(StoreUnavailable):
        async with store.stage(UPLOAD, Algorithm.SHA256, at(5)):
            pytest.fail("its disk is away")

    assert files(root) == {STAGED_PATH}


async def test_a_file_that_was_closed_a_moment_ago_may_be_gone(store: FilesystemStore, make_store: MakeStore) -> None:
    """Another process stored it, or dropped it."""
    await stage(store, b"hello")
    async with make_store().stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        await writer.abort()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        assert writer.offset == 0


async def test_a_file_that_was_closed_a_moment_ago_may_be_in_use(store: FilesystemStore, make_store: MakeStore) -> None:
    await stage(store, b"hello")

    async with make_store().stage(UPLOAD, Algorithm.SHA256, at(5)):
        with pytest.raises(StagedBytesBusy):
            async with store.stage(UPLOAD, Algorithm.SHA256, at(5)):
                pytest.fail("two write")


async def test_what_nobody_was_promised_is_gone_with_the_first_write(store: FilesystemStore, root: Path) -> None:
    await stage(store, b"something longer")

    async with store.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])

        assert (root / STAGED_PATH).read_bytes() == b"hel"


async def test_an_unpromised_end_is_cut_off_by_a_thread(operations: FaultyOperations, store: FilesystemStore) -> None:
    """Though the file was opened on the loop."""
    await stage(store, b"helXX")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        await writer.commit(HELLO)

    assert ("truncate", STAGED_PATH) in operations.calls


async def test_what_was_committed_is_not_taken_for_what_was_left(store: FilesystemStore, root: Path) -> None:
    copy = await push(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"other"])

    assert (root / "blobs" / copy.key).read_bytes() == b"hello"


def test_so_many_uploads_are_remembered() -> None:
    """The first of more is forgotten; and each is told of once."""
    left = LatelyLeft()
    for number in range(1026):
        left.add(str(number))

    assert [left.take(str(number)) for number in (0, 1, 2, 2, 1025)] == [False, False, True, False, True]
