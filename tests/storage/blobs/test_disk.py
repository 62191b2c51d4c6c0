"""The tree below a filesystem store: what is synced in which order, and how a full or failing disk shows."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.disk import storage_errors
from storage.blobs.filesystem import FilesystemStore
from storage.digest import Algorithm, Digest
from storage.errors import (
    NoSpace,
    StoreUnavailable,
)
from tests.storage.blobs.faulty_disk import (
    HELLO,
    HELLO_PATH,
    UPLOAD,
    FaultyOperations,
    MakeStore,
    at,
    files,
    modes,
    push,
    stage,
)


async def test_a_commit_is_synced_step_by_step(store: FilesystemStore, operations: FaultyOperations) -> None:
    """The file, its name, and every directory on the way are on the disk before the copy is acknowledged."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        operations.calls.clear()
        await writer.commit(HELLO)

    assert operations.calls == [
        ("sync file", f"uploads/11/{UPLOAD}"),
        ("rename", f"blobs/{HELLO_PATH}.copy0"),
        ("sync directory", "blobs/sha256/2c/f2"),
        ("sync directory", "blobs/sha256/2c"),
        ("sync directory", "blobs/sha256"),
        ("sync directory", "blobs"),
        ("sync directory", "."),
    ]


async def test_a_directory_that_is_known_durable_is_not_synced_again(
    store: FilesystemStore, operations: FaultyOperations
) -> None:
    """Only what a commit changed waits for the disk."""
    await push(store, b"hello")
    operations.calls.clear()

    await push(store, b"hello")

    syncs = [call for call in operations.calls if call[0].startswith("sync")]
    assert syncs == [("sync file", f"uploads/11/{UPLOAD}"), ("sync directory", "blobs/sha256/2c/f2")]


async def test_directories_of_another_process_are_synced(make_store: MakeStore, operations: FaultyOperations) -> None:
    """A directory that another process has just made may not be on the disk yet."""
    await push(make_store(), b"hello")
    operations.calls.clear()

    await push(make_store(), b"hello")

    assert ("sync directory", ".") in operations.calls


async def test_relaxed_durability_never_syncs(make_store: MakeStore, operations: FaultyOperations) -> None:
    """A throw-away registry does not wait for the disk."""
    await push(make_store(durability="relaxed"), b"hello")

    assert [call for call in operations.calls if call[0].startswith("sync")] == []


@pytest.mark.parametrize("call", ["sync file", "sync directory", "rename"])
@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.EIO, StoreUnavailable), (errno.EROFS, StoreUnavailable), (errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace)],
)
async def test_a_failed_commit_keeps_nothing(
    store: FilesystemStore, operations: FaultyOperations, root: Path, call: str, code: int, error: type[Exception]
) -> None:
    """After a failed sync the kernel may call the pages clean: neither the copy nor the staged file can be trusted."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        operations.failures[call] = code

        with pytest.raises(error):
            await writer.commit(HELLO)

    assert files(root) == set()


async def test_a_failed_sync_is_not_repeated(store: FilesystemStore, operations: FaultyOperations) -> None:
    """The second fsync of a file succeeds without the bytes, so there is none."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        operations.failures["sync file"] = errno.EIO
        with pytest.raises(StoreUnavailable):
            await writer.commit(HELLO)

    assert [call for call, _ in operations.calls].count("sync file") == 1


async def test_a_push_succeeds_after_a_failed_one(store: FilesystemStore, operations: FaultyOperations) -> None:
    """The client sends the blob again, and it is stored in a file of its own."""
    operations.failures["sync file"] = errno.EIO
    with pytest.raises(StoreUnavailable):
        await push(store, b"hello")
    operations.failures.clear()

    copy = await push(store, b"hello")

    assert await store.size(copy.key) == 5


async def test_a_suffix_drawn_twice_overwrites_nothing(
    root: Path, executor: ThreadPoolExecutor, operations: FaultyOperations
) -> None:
    """A stored copy is immutable, even should randomness fail."""
    store = FilesystemStore(
        root,
        durability="full",
        reserve_bytes=0,
        new_suffix=lambda: "same",
        executor=executor,
        operations=operations,
    )
    copy = await push(store, b"hello")

    with pytest.raises(StoreUnavailable):
        await push(store, b"hello")

    assert await store.size(copy.key) == 5
    assert [call for call, _ in operations.calls].count("rename") == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.EIO, StoreUnavailable),
        (errno.EROFS, StoreUnavailable),
    ],
)
async def test_a_failed_write_says_what_failed(
    store: FilesystemStore, operations: FaultyOperations, code: int, error: type[Exception]
) -> None:
    """A full disk is told apart from a broken one."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        operations.failures["write"] = code

        with pytest.raises(error) as caught:
            await writer.write([b"hello"])

    assert isinstance(caught.value.__cause__, OSError)


async def test_short_writes_are_continued(store: FilesystemStore, operations: FaultyOperations, root: Path) -> None:
    """A system call may take fewer bytes than it was given."""
    operations.largest_write = 7
    content = b"0123456789" * 50

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([content[:13], b"", content[13:20], content[20:]])
        copy = await writer.commit(Digest.of(content))

    assert (root / "blobs" / copy.key).read_bytes() == content


async def test_no_upload_begins_below_the_reserve(make_store: MakeStore, operations: FaultyOperations) -> None:
    """The last bytes of a disk belong to the database."""
    operations.free = 99

    with pytest.raises(NoSpace):
        await stage(make_store(reserve_bytes=100), b"hello")

    assert [call for call, _ in operations.calls].count("write") == 0


async def test_no_upload_continues_below_the_reserve(make_store: MakeStore, operations: FaultyOperations) -> None:
    """An upload that began in time is refused as well when it goes on too late."""
    store = make_store(reserve_bytes=100)
    await stage(store, b"hel")
    operations.free = 99

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        for _ in range(2):
            with pytest.raises(NoSpace):
                await writer.write([b"lo"])

        assert writer.offset == 3


async def test_a_refused_writer_goes_on_once_there_is_space(
    make_store: MakeStore, operations: FaultyOperations
) -> None:
    """A refusal costs nothing that was staged, and is looked at again by the next write."""
    store = make_store(reserve_bytes=100)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        operations.free = 99
        with pytest.raises(NoSpace):
            await writer.write([b"hello"])
        operations.free = 100

        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

    assert copy.size == 5


@pytest.mark.parametrize("offset", [0, 3, 5])
async def test_staged_bytes_can_be_dropped_on_a_full_disk(
    make_store: MakeStore, operations: FaultyOperations, root: Path, offset: int
) -> None:
    """Dropping uploads is how a full disk gets space again."""
    store = make_store(reserve_bytes=100)
    await stage(store, b"hello")
    operations.free = 0
    operations.failures["write"] = errno.ENOSPC

    async with store.stage(UPLOAD, Algorithm.SHA256, at(offset)) as writer:
        await writer.abort()

    assert files(root) == set()


async def test_staged_bytes_can_be_committed_below_the_reserve(
    make_store: MakeStore, operations: FaultyOperations
) -> None:
    """A commit moves bytes that are there already: it takes no space that the upload did not have."""
    store = make_store(reserve_bytes=100)
    await stage(store, b"hello")
    operations.free = 99

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        copy = await writer.commit(HELLO)

    assert copy.size == 5


async def test_an_upload_begins_at_the_reserve(make_store: MakeStore, operations: FaultyOperations) -> None:
    """The reserve is what must stay free, to the byte."""
    operations.free = 100

    copy = await push(make_store(reserve_bytes=100), b"hello")

    assert copy.size == 5


async def test_a_missing_root_is_not_made(
    executor: ThreadPoolExecutor, root: Path, operations: FaultyOperations
) -> None:
    """While the data disk is not mounted, nothing is written in its place."""
    store = FilesystemStore(
        root / "gone",
        durability="full",
        reserve_bytes=0,
        new_suffix=str,
        executor=executor,
        operations=operations,
    )

    with pytest.raises(StoreUnavailable):
        await stage(store, b"hello")

    assert modes(root) == set()


async def test_directories_that_were_removed_are_synced_again(
    store: FilesystemStore, operations: FaultyOperations, root: Path
) -> None:
    """What was durable is not once a person has removed it."""
    copy = await push(store, b"hello")
    await store.delete(copy.key)
    shutil.rmtree(root / "blobs" / "sha256")
    operations.calls.clear()

    await push(store, b"hello")

    assert operations.calls[-4:] == [
        ("sync directory", "blobs/sha256/2c/f2"),
        ("sync directory", "blobs/sha256/2c"),
        ("sync directory", "blobs/sha256"),
        ("sync directory", "blobs"),
    ]


async def test_probe_writes_for_real(store: FilesystemStore, operations: FaultyOperations, root: Path) -> None:
    """Readiness is proven by a write that reaches the disk, and nothing of it stays."""
    await store.probe()

    assert operations.calls[-3:] == [
        ("write", "uploads/.probe"),
        ("sync file", "uploads/.probe"),
        ("unlink", "uploads/.probe"),
    ]
    assert files(root) == set()


@pytest.mark.parametrize("call", ["write", "sync file", "free"])
@pytest.mark.parametrize(("code", "error"), [(errno.EIO, StoreUnavailable), (errno.ENOSPC, NoSpace)])
async def test_probe_tells_what_fails(
    store: FilesystemStore, operations: FaultyOperations, call: str, code: int, error: type[Exception]
) -> None:
    """A store that cannot take bytes is not ready."""
    operations.failures[call] = code

    with pytest.raises(error):
        await store.probe()


async def test_probe_fails_below_the_reserve(make_store: MakeStore, operations: FaultyOperations) -> None:
    """A store that refuses uploads is not ready."""
    operations.free = 99

    with pytest.raises(NoSpace):
        await make_store(reserve_bytes=100).probe()


async def test_free_bytes_are_those_of_the_disk(store: FilesystemStore, operations: FaultyOperations) -> None:
    """Metrics show how much room is left."""
    operations.free = 12345

    assert await store.free_bytes() == 12345


def test_too_many_open_files_are_not_blamed_on_the_disk() -> None:
    """Who reads the error must know what to raise."""
    with pytest.raises(StoreUnavailable, match=r"Too many open files.*raise the limit of open files"), storage_errors():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
