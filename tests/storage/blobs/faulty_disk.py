"""A disk that fails on demand, and shorthands for the tests of the filesystem store."""

import asyncio
import gc
import os
import stat
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol

from storage.blobs.disk import SYSTEM, Durability, FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, StoredCopy
from storage.digest import Algorithm, Digest

UPLOAD = "11111111-1111-4111-8111-111111111111"
OWNER = "11111111-2222-4333-8444-555555555555"
HELLO = Digest.parse("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
HELLO_PATH = f"sha256/2c/f2/{HELLO.hex}"
MEBIBYTE = 1024 * 1024


class MakeStore(Protocol):
    """Makes stores in the data directory."""

    def __call__(
        self, durability: Durability = "full", reserve_bytes: int = 0, operations: FileOperations | None = None
    ) -> FilesystemStore:
        """One store, on the faulty disk unless told otherwise."""


class FaultyOperations(FileOperations):
    """A disk whose calls fail, by name, with an errno; every call is recorded as (name, path below the root)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[str, str]] = []
        self.opened: dict[int, Path] = {}
        self.failures: dict[str, int] = {}
        self.free = 1024**4
        self.largest_write = 2**31

    def record(self, name: str, subject: Path | int) -> None:
        """Note a call, and fail it if it is to fail."""
        path = self.opened[subject] if isinstance(subject, int) else subject
        self.calls.append((name, path.relative_to(self.root).as_posix()))
        if name in self.failures:
            raise OSError(self.failures[name], os.strerror(self.failures[name]))

    def open(self, path: Path, flags: int) -> int:
        """Open, and remember what the descriptor is of."""
        descriptor = super().open(path, flags)
        self.opened[descriptor] = path
        return descriptor

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Write no more than `largest_write` bytes."""
        self.record("write", descriptor)
        return super().write(descriptor, [buffers[0][: self.largest_write]], offset)

    def truncate(self, descriptor: int, length: int) -> None:
        """Truncate, recorded."""
        self.record("truncate", descriptor)
        super().truncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """Sync, recorded; failures are named apart for files and directories."""
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        self.record("sync directory" if is_directory else "sync file", descriptor)
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename, recorded."""
        self.record("rename", target)
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        """Unlink, recorded."""
        self.record("unlink", path)
        super().unlink(path)

    def free_bytes(self, path: Path) -> int:
        """As many as the test says."""
        self.record("free", path)
        return self.free


class SlowDisk(FileOperations):
    """A disk that writes only when it is told to; made on the event loop that waits for it."""

    def __init__(self) -> None:
        self.is_writing, self.may_write = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Write some of the buffers, in time."""
        self._loop.call_soon_threadsafe(self.is_writing.set)
        self.may_write.wait()
        return super().write(descriptor, buffers, offset)


def at(offset: int) -> Callable[[], Awaitable[int]]:
    """What `stage` asks when this many bytes are committed."""

    async def committed() -> int:
        return offset

    return committed


async def push(store: BlobStore, content: bytes, upload_id: str = UPLOAD) -> StoredCopy:
    """Store some bytes in one go."""
    async with store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([content])
        return await writer.commit(Digest.of(content))


def owned_store(root: Path, executor: Executor, operations: FileOperations = SYSTEM) -> FilesystemStore:
    """A store that needs the mark of its owner in its directory."""
    return FilesystemStore(
        root,
        durability="full",
        reserve_bytes=0,
        new_suffix=iter(f"copy{number}" for number in range(9)).__next__,
        executor=executor,
        operations=operations,
        registry_id=OWNER,
    )


async def stage(store: BlobStore, content: bytes) -> None:
    """Stage some bytes and leave them."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([content])


def files(root: Path) -> set[str]:
    """Every file below the root."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def modes(root: Path) -> set[tuple[bool, int]]:
    """Permissions of everything below the root: (is a directory, mode)."""
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in root.rglob("*")}


def open_descriptors() -> set[str]:
    """Every descriptor that this process has open."""
    return {path.name for path in Path("/dev/fd").iterdir()}


def settled_descriptors() -> set[str]:
    """The same, when what earlier tests left to the collector has let go of its own."""
    gc.collect()
    return open_descriptors()
