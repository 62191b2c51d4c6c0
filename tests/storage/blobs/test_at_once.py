"""Short uploads that a filesystem store takes with one visit to the disk: what fails, what is left, who else comes."""

import asyncio
import errno
import fcntl
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.disk import FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.digest import Algorithm
from storage.errors import DigestMismatch, NoSpace, StoreUnavailable
from tests.storage.blobs.faulty_disk import (
    HELLO,
    HELLO_PATH,
    UPLOAD,
    FaultyOperations,
    MakeStore,
    SlowDisk,
    at,
    files,
    modes,
    open_descriptors,
    push,
    settled_descriptors,
)

COPY_PATH = f"blobs/{HELLO_PATH}.copy0"
STAGED_PATH = f"uploads/11/{UPLOAD}"


class FailsInTurn(FileOperations):
    """A disk of which one call fails, counted from the first; what cleans up after it works."""

    def __init__(self, number: int, error: int) -> None:
        self._number = number
        self._error = error
        self._calls = itertools.count(1)
        self.has_failed = False

    def open(self, path: Path, flags: int) -> int:
        self._count()
        return super().open(path, flags)

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        self._count()
        return super().write(descriptor, [buffers[0][:3]], offset)

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)

    def mkdir(self, path: Path) -> None:
        self._count()
        super().mkdir(path)

    def free_bytes(self, path: Path) -> int:
        self._count()
        return super().free_bytes(path)

    def _count(self) -> None:
        if next(self._calls) == self._number:
            self.has_failed = True
            raise OSError(self._error, os.strerror(self._error))


class Meanwhile(FileOperations):
    """A disk where another writer comes between the making of a staged file and its lock: it leaves some bytes."""

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        if flags & os.O_EXCL:
            path.write_bytes(b"something longer")
        return descriptor


def store_on(root: Path, operations: FileOperations, executor: Executor) -> FilesystemStore:
    return FilesystemStore(
        root,
        durability="full",
        reserve_bytes=0,
        new_suffix=lambda: "copy0",
        executor=executor,
        operations=operations,
    )


async def test_a_short_upload_takes_one_write_and_is_synced_before_it_is_named(
    store: FilesystemStore, operations: FaultyOperations
) -> None:
    """File, name, then every directory that may not be on the disk yet."""
    await store.store(UPLOAD, [b"hello"], HELLO)

    assert operations.calls[:5] == [
        ("free", "."),
        ("write", STAGED_PATH),
        ("sync file", STAGED_PATH),
        ("rename", COPY_PATH),
        ("sync directory", "blobs/sha256/2c/f2"),
    ]
    assert {name for name, _ in operations.calls[5:]} == {"sync directory"}


async def test_what_is_stored_at_once_is_for_its_owner_alone(store: FilesystemStore, root: Path) -> None:
    await store.store(UPLOAD, [b"hello"], HELLO)

    assert files(root) == {COPY_PATH}
    assert modes(root) == {(True, 0o700), (False, 0o600)}


async def test_storing_at_once_closes_what_it_opens(store: FilesystemStore) -> None:
    """Whether it stores, refuses, or finds another there."""
    before = settled_descriptors()

    await store.store(UPLOAD, [b"hello"], HELLO)
    with pytest.raises(DigestMismatch):
        await store.store(UPLOAD, [b"hellO"], HELLO)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)):
        assert await store.store(UPLOAD, [b"hello"], HELLO) is None
    assert await store.store(UPLOAD, [b"hello"], HELLO) is None

    assert open_descriptors() == before


async def test_nothing_is_made_for_other_bytes_than_the_digest_names(store: FilesystemStore, root: Path) -> None:
    """They are hashed before anything is staged."""
    with pytest.raises(DigestMismatch):
        await store.store(UPLOAD, [b"hellO"], HELLO)

    assert modes(root) == set()


@pytest.mark.parametrize(
    ("error", "raised"),
    [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, StoreUnavailable), (errno.EMFILE, StoreUnavailable)],
)
async def test_a_short_upload_that_fails_leaves_nothing(
    root: Path, executor: ThreadPoolExecutor, error: int, raised: type[Exception]
) -> None:
    """Whichever call it is that fails: nothing is stored or staged or open, and the same succeeds afterwards."""
    before = settled_descriptors()
    for number in itertools.count(1):
        place = root / str(number)
        place.mkdir()
        disk = FailsInTurn(number, error)
        store = store_on(place, disk, executor)

        try:
            await store.store(UPLOAD, [b"hello"], HELLO)
        except raised:
            assert disk.has_failed
        else:
            assert not disk.has_failed
            assert number > 15
            break

        assert files(place) == set()
        assert open_descriptors() == before
        assert await store.store(UPLOAD, [b"hello"], HELLO) is not None
        assert files(place) == {COPY_PATH}


@pytest.mark.parametrize("failing", ["write", "sync file", "rename"])
async def test_staged_bytes_that_cannot_be_removed_are_not_in_the_way(
    make_store: MakeStore, operations: FaultyOperations, root: Path, failing: str
) -> None:
    """The upload begins anew over what a disk that fails altogether left."""
    operations.failures = {failing: errno.EIO, "unlink": errno.EIO}
    store = make_store()
    with pytest.raises(StoreUnavailable):
        await store.store(UPLOAD, [b"hello"], HELLO)
    operations.failures.clear()

    assert files(root) == {STAGED_PATH}
    assert await store.store(UPLOAD, [b"hello"], HELLO) is None
    assert (await push(store, b"hello")).size == 5


async def test_a_short_upload_stops_at_the_reserve(
    make_store: MakeStore, operations: FaultyOperations, root: Path
) -> None:
    store = make_store(reserve_bytes=100)
    operations.free = 99

    with pytest.raises(NoSpace):
        await store.store(UPLOAD, [b"hello"], HELLO)

    assert modes(root) == set()


async def test_a_suffix_that_is_drawn_twice_overwrites_nothing(root: Path, executor: ThreadPoolExecutor) -> None:
    """A copy is never replaced by another that was stored at once."""
    store = store_on(root, FileOperations(), executor)
    await store.store(UPLOAD, [b"hello"], HELLO)
    (root / COPY_PATH).write_bytes(b"the first")

    with pytest.raises(StoreUnavailable):
        await store.store(UPLOAD, [b"hello"], HELLO)

    assert files(root) == {COPY_PATH}
    assert (root / COPY_PATH).read_bytes() == b"the first"


async def test_bytes_that_came_before_the_lock_are_another_writers(root: Path, executor: ThreadPoolExecutor) -> None:
    """Written over, they would stay behind the end of a shorter blob, and what was promised of them be lost."""
    store = store_on(root, Meanwhile(), executor)
    before = settled_descriptors()

    assert await store.store(UPLOAD, [b"hello"], HELLO) is None

    assert files(root) == {STAGED_PATH}
    assert (root / STAGED_PATH).read_bytes() == b"something longer"
    assert open_descriptors() == before


async def test_a_lock_that_another_writer_won_is_its_own(root: Path, executor: ThreadPoolExecutor) -> None:
    """It opened the file between its making and its lock."""

    class Locked(FileOperations):
        def open(self, path: Path, flags: int) -> int:
            descriptor = super().open(path, flags)
            if flags & os.O_EXCL:
                holders.append(os.open(path, os.O_RDWR))
                fcntl.flock(holders[0], fcntl.LOCK_EX)
            return descriptor

    holders: list[int] = []
    store = store_on(root, Locked(), executor)

    assert await store.store(UPLOAD, [b"hello"], HELLO) is None

    assert files(root) == {STAGED_PATH}
    os.close(holders[0])


async def test_a_file_that_was_removed_before_the_lock_is_made_again(root: Path, executor: ThreadPoolExecutor) -> None:
    """By who cancelled the upload: what is stored is not the file that nobody can find any more."""

    class Removed(FileOperations):
        def open(self, path: Path, flags: int) -> int:
            descriptor = super().open(path, flags)
            if flags & os.O_EXCL and not removed:
                removed.append(path)
                path.unlink()
            return descriptor

    removed: list[Path] = []
    store = store_on(root, Removed(), executor)
    before = settled_descriptors()

    assert await store.store(UPLOAD, [b"hello"], HELLO) is not None

    assert files(root) == {COPY_PATH}
    assert open_descriptors() == before


async def test_who_is_cancelled_waits_for_the_disk(root: Path) -> None:
    """The descriptor is not closed while a thread writes to it, and nothing is left of what is staged."""
    disk, loop = SlowDisk(), asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        before = settled_descriptors()
        task = asyncio.create_task(store_on(root, disk, executor).store(UPLOAD, [b"hello"], HELLO))
        await disk.is_writing.wait()
        task.cancel()
        loop.call_soon(disk.may_write.set)

        with pytest.raises(asyncio.CancelledError):
            await task

        assert open_descriptors() == before
    assert files(root) == {COPY_PATH}
    assert (root / COPY_PATH).read_bytes() == b"hello"
