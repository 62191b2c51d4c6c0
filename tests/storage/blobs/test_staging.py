"""Writers of staged files: locks, running digests, failed and cancelled writes."""

import asyncio
import errno
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.disk import FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.digest import Algorithm, Digest
from storage.errors import (
    DigestMismatch,
    NoSpace,
    StagedBytesBusy,
)
from tests.storage.blobs.faulty_disk import (
    HELLO,
    HELLO_PATH,
    MEBIBYTE,
    UPLOAD,
    FaultyOperations,
    MakeStore,
    SlowDisk,
    at,
    open_descriptors,
    push,
    settled_descriptors,
    stage,
)


async def test_writers_close_what_they_open(store: FilesystemStore) -> None:
    """A writer that is suspended, committed, aborted, refused, wrong or never told its offset leaks no descriptor."""

    async def committed() -> int:
        raise ConnectionResetError

    before = settled_descriptors()

    await stage(store, b"hello")
    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        with pytest.raises(StagedBytesBusy):
            await stage(store, b"hello")
        await writer.abort()
    await push(store, b"hello")
    with pytest.raises(DigestMismatch):
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.commit(HELLO)
    with pytest.raises(ConnectionResetError):
        async with store.stage(UPLOAD, Algorithm.SHA256, committed):
            pass

    assert open_descriptors() == before


async def test_a_finished_writer_takes_nothing(store: FilesystemStore) -> None:
    """A committed copy cannot be changed through the writer that made it."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

        with pytest.raises(ValueError, match="closed"):
            await writer.write([b"!"])

    assert await store.size(copy.key) == 5


async def test_a_writer_from_the_first_byte_knows_the_digest(store: FilesystemStore) -> None:
    """Nothing is hashed twice: a push in one request is not read again."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel", b"lo"])

        assert writer.digest == HELLO


async def test_a_writer_that_starts_over_knows_the_digest(store: FilesystemStore) -> None:
    """A writer that starts over sees every byte."""
    await stage(store, b"other")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

        assert writer.digest == HELLO


async def test_a_writer_that_missed_bytes_does_not_know_the_digest(store: FilesystemStore) -> None:
    """A running hash counts only when it has taken in every byte."""
    await stage(store, b"hel")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.digest is None


async def test_a_known_digest_stands_for_the_bytes(store: FilesystemStore) -> None:
    """A store around this one names copies by the digest of what it sealed, which is not that of the file."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"sealed"])
        copy = await writer.commit(HELLO, known=HELLO)

    assert copy.key == f"{HELLO_PATH}.copy0"


async def test_a_large_continued_upload_is_read_again_whole(store: FilesystemStore) -> None:
    """Verification covers every byte, across the edges of the buffer it reads with."""
    content = bytes(range(256)) * 4096 + b"tail"
    await stage(store, content[:1_000_001])

    async with store.stage(UPLOAD, Algorithm.SHA256, at(1_000_001)) as writer:
        await writer.write([content[1_000_001:]])
        copy = await writer.commit(Digest.of(content, Algorithm.SHA512))

    assert copy.size == 1_048_580


async def test_the_lock_ends_with_the_process_that_holds_it(store: FilesystemStore, root: Path) -> None:
    """A worker that is killed does not block its uploads."""
    await stage(store, b"hel")
    script = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        "-c",
        script,
        str(root / "uploads" / "11" / UPLOAD),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    with pytest.raises(StagedBytesBusy):
        await stage(store, b"hello")

    holder.kill()
    await holder.wait()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3


async def test_a_lock_won_too_late_does_not_open_a_committed_copy(
    store: FilesystemStore, operations: FaultyOperations
) -> None:
    """A writer that opened the file before a commit renamed it must not cut the stored copy."""

    class CommitsMeanwhile(FileOperations):
        """Before this opens an upload to continue it, another writer opened it; after, that one has committed it."""

        def open(self, path: Path, flags: int) -> int:
            descriptor = super().open(path, flags)
            if path.name == UPLOAD and not committed:
                committed.append(path)
                path.rename(path.with_name("committed"))
            return descriptor

    committed: list[Path] = []
    await stage(store, b"hello")
    late = FilesystemStore(
        operations.root,
        durability="full",
        reserve_bytes=0,
        new_suffix=str,
        executor=ThreadPoolExecutor(1),
        operations=CommitsMeanwhile(),
    )

    async with late.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 0
        await writer.write([b"other bytes"])

    assert committed[0].with_name("committed").read_bytes() == b"hello"


async def test_a_write_that_fails_half_way_takes_nothing(store: FilesystemStore, root: Path) -> None:
    """Staged bytes before a failed write stay intact, and none of the failed ones count."""

    class FillsUp(FileOperations):
        """Takes one byte of the second write, then has no space."""

        def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
            if offset > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(descriptor, buffers if offset < 3 else [buffers[0][:1]], offset)

    full = FilesystemStore(
        root,
        durability="full",
        reserve_bytes=0,
        new_suffix=str,
        executor=ThreadPoolExecutor(1),
        operations=FillsUp(),
    )
    async with full.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        with pytest.raises(NoSpace):
            await writer.write([b"XXX"])
        assert (writer.offset, writer.digest) == (3, Digest.of(b"hel"))

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert copy.size == 5


async def test_a_long_upload_stops_at_the_reserve(make_store: MakeStore, operations: FaultyOperations) -> None:
    """Free space is looked at by the first write, and again at least every 64 MiB."""
    store = make_store(reserve_bytes=100)
    chunks = [bytes(MEBIBYTE)]
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        operations.largest_write = 2**31
        await writer.write(chunks)
        operations.free = 99
        for _ in range(63):
            await writer.write(chunks)

        with pytest.raises(NoSpace):
            await writer.write(chunks)


async def test_a_cancelled_write_is_finished_before_the_file_is_closed(root: Path) -> None:
    """A descriptor is never closed, and perhaps given to another file, while a thread writes to it."""
    disk, loop = SlowDisk(), asyncio.get_running_loop()
    store = FilesystemStore(
        root,
        durability="full",
        reserve_bytes=0,
        new_suffix=str,
        executor=ThreadPoolExecutor(1),
        operations=disk,
    )
    task = asyncio.create_task(stage(store, b"hello"))
    await disk.is_writing.wait()
    task.cancel()
    loop.call_soon(task.cancel)
    loop.call_soon(disk.may_write.set)

    with pytest.raises(asyncio.CancelledError):
        await task

    assert (root / "uploads" / "11" / UPLOAD).read_bytes() == b"hello"
    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        assert writer.offset == 5
