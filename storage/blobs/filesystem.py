"""A blob store in a directory; `storage/blobs/disk.py` draws its layout."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from storage.blobs.blocking import run_to_end
from storage.blobs.disk import SYSTEM, Disk, Durability, FileOperations, storage_errors
from storage.blobs.interface import (
    BlobWriter,
    Expected,
    Finding,
    Opening,
    Span,
    Stamp,
    StoredCopy,
    StoredObject,
    Verdict,
)
from storage.blobs.keys import is_key, is_upload_id, key_of
from storage.blobs.running_hashes import RunningHashes
from storage.blobs.staging import LatelyLeft, StagedWriter, Tools, store_at_once
from storage.digest import Algorithm, Digest
from storage.errors import NoSpace, StoredBytesMissing, StoreUnavailable

_READ_BYTES: Final = 512 * 1024
_WALK_BATCH: Final = 512
_DIRECTORY: Final = re.compile(r"sha256|sha512|upload|[0-9a-f]{2}")
_READ_ONLY: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class FilesystemStore:
    """A BlobStore whose copies are plain files (LocalFiles) below `root`, which must exist.

    It refuses uploads with NoSpace while the disk has less than `reserve_bytes` free. `new_suffix` draws up to 64
    lower-case letters and digits, never the same twice. With a `registry_id`, a directory that is not marked with it
    (its disk is not mounted) is away: everything that needs it raises StoreUnavailable.
    """

    def __init__(  # noqa: PLR0913  what the application decides, one by one
        self,
        root: Path,
        *,
        durability: Durability,
        reserve_bytes: int,
        new_suffix: Callable[[], str],
        executor: Executor,
        streaming: Executor | None = None,
        operations: FileOperations = SYSTEM,
        registry_id: str | None = None,
    ) -> None:
        self._disk = Disk(
            root,
            durability=durability,
            reserve_bytes=reserve_bytes,
            operations=operations,
            registry_id=registry_id,
        )
        self._new_suffix = new_suffix
        self._executor = executor
        self._tools = Tools(executor, streaming or executor, RunningHashes(), LatelyLeft())

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """Length in bytes of a stored copy; raises StoredBytesMissing."""
        size = await asyncio.get_running_loop().run_in_executor(self._executor, self._size, key)
        if expected is not None and size != expected.size:
            raise StoredBytesMissing(key)
        return size

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span of a stored copy in chunks of at most 512 KiB."""
        reader = _SpanReader(self.open, key, span, None if expected is None else expected.size)
        try:
            while not reader.is_finished:
                chunk = await run_to_end(self._executor, reader.next)
                if chunk:
                    yield chunk
        finally:
            if reader.is_open:  # the last chunk closes it
                await run_to_end(self._executor, reader.close)

    def open(self, key: str) -> int:
        """A read-only descriptor of a stored copy, the caller's to close; raises StoredBytesMissing."""
        with storage_errors():
            return self._disk.look(key, lambda path: os.open(path, _READ_ONLY))

    def stamp(self, key: str) -> Stamp:
        """What is another whenever somebody has touched the file of a copy; raises StoredBytesMissing."""
        with storage_errors():
            status = self._disk.look(key, os.lstat)
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        """Hold the staged bytes of an upload, cut off at what `committed` says once they are locked."""
        writer = self._writer(upload_id, algorithm, opening)
        try:
            if not writer.open_now():
                await run_to_end(self._executor, writer.open)
            offset = await committed()
            if not writer.continue_now(offset):
                await run_to_end(self._executor, writer.continue_at, offset)
            yield writer
        finally:
            await self._leave(writer)

    @asynccontextmanager
    async def begin(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AsyncGenerator[BlobWriter, None]:
        """Hold the staged bytes of an upload from the first write on, which opens their file."""
        writer = self._writer(upload_id, algorithm, None)
        writer.begin(committed)
        try:
            yield writer
        finally:
            await self._leave(writer)

    async def _leave(self, writer: StagedWriter) -> None:
        if writer.is_open:
            await run_to_end(self._executor, writer.leave)
        writer.close()

    async def restore(
        self, key: str, digest: Digest, chunks: AsyncIterator[bytes], *, opening: Opening | None = None
    ) -> StoredCopy:
        """Store bytes durably under a key that another store gave them, in place of whatever is there."""
        writer = self._writer(str(uuid.uuid4()), digest.algorithm, opening)
        try:
            await run_to_end(self._executor, writer.open)
            await run_to_end(self._executor, writer.continue_at, 0)
            async for chunk in chunks:
                await writer.write([chunk])
            return await writer.commit_as(key, digest)
        finally:
            await writer.abort()

    async def store(
        self, upload_id: str, content: Sequence[bytes], digest: Digest, *, known: Digest | None = None
    ) -> StoredCopy | None:
        """Stage an upload and commit it, with one visit to the disk; None where some of it is staged already."""
        if known != digest:
            digest.require(content)
        key = key_of(digest, self._new_suffix())
        is_stored = await run_to_end(self._executor, store_at_once, self._disk, upload_id, content, key)
        return StoredCopy(key, sum(map(len, content))) if is_stored else None

    def _writer(self, upload_id: str, algorithm: Algorithm, opening: Opening | None) -> StagedWriter:
        return StagedWriter(self._disk, self._tools, upload_id, algorithm, self._new_suffix, opening)

    async def delete(self, key: str) -> None:
        """Remove a stored copy; succeeds when there is none. A power cut may bring the copy back."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._delete, key)

    async def walk(self) -> AsyncGenerator[StoredObject, None]:
        """Every staged upload, then every stored copy: one committed meanwhile is seen twice rather than not at all."""
        found = self._found()
        try:
            while batch := await run_to_end(self._executor, _next_batch, found):
                for stored in batch:
                    yield stored
        finally:
            await run_to_end(self._executor, found.close)

    async def owner(self) -> str | None:
        """The id that the directory is marked with, None when it has no mark."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._owner)

    async def claim(self, registry_id: str) -> None:
        """Mark the directory, durably."""
        await run_to_end(self._executor, self._claim, registry_id)

    async def probe(self) -> None:
        """Prove that bytes can be stored, by storing some; raises NoSpace or StoreUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._probe)

    async def examine(self) -> AsyncGenerator[Finding, None]:
        """Look at the directory: that it takes bytes, and how many more."""
        try:
            await self.probe()
            free = await self.free_bytes()
        except (NoSpace, StoreUnavailable) as error:
            yield Finding("directory", Verdict.FAILED, str(error))
        else:
            yield Finding("directory", Verdict.OK, f"bytes can be stored, and {free // 1_000_000} MB are free")

    async def free_bytes(self) -> int:
        """Bytes that can be written before the disk is full, the reserve included."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._free_bytes)

    def _size(self, key: str) -> int:
        with storage_errors():
            return self._disk.look(key, lambda path: os.lstat(path).st_size)

    def _delete(self, key: str) -> None:
        with storage_errors(), suppress(StoredBytesMissing):
            self._disk.look(key, lambda path: self._disk.operations.unlink(Path(path)))

    def _owner(self) -> str | None:
        with storage_errors():
            return self._disk.owner()

    def _claim(self, registry_id: str) -> None:
        with storage_errors():
            self._disk.claim(registry_id)

    def _probe(self) -> None:
        with storage_errors():
            self._disk.probe()

    def _free_bytes(self) -> int:
        with storage_errors():
            return self._disk.free_bytes()

    def _found(self) -> Generator[StoredObject, None, None]:
        for entry in _files(self._disk.uploads, depth=1):
            if is_upload_id(entry.name) and Path(entry.path) == self._disk.staged_path(entry.name):
                yield from _stored_object(entry, key=None, upload_id=entry.name)
        for entry in _files(self._disk.blobs, depth=3):
            key = Path(entry.path).relative_to(self._disk.blobs).as_posix()
            if is_key(key):
                yield from _stored_object(entry, key=key, upload_id=None)
        self._disk.require_owner()  # a walk that ends well has seen the store, not the place where it is mounted


class _SpanReader:
    """Reads one span of one stored copy; opened by the first chunk, closed by the last."""

    def __init__(self, open_copy: Callable[[str], int], key: str, span: Span, size: int | None) -> None:
        self._open_copy = open_copy
        self._size = size
        self._key = key
        self._end = span.end
        self._offset = span.offset
        self._descriptor: int | None = None
        self.is_finished = False

    @property
    def is_open(self) -> bool:
        """Whether `close` has something to do."""
        return self._descriptor is not None

    def next(self) -> bytes:
        """The next chunk, empty for an empty span; raises StoredBytesMissing when the copy ends before the span."""
        with storage_errors():
            descriptor = self._opened()
            chunk = os.pread(descriptor, min(self._end - self._offset, _READ_BYTES), self._offset)
        if not chunk and self._offset < self._end:
            raise StoredBytesMissing(self._key)
        self._offset += len(chunk)
        if self._offset == self._end:
            self.is_finished = True
            self.close()
        return chunk

    def close(self) -> None:
        """Close the copy."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._open_copy(self._key)
            found = os.fstat(self._descriptor).st_size
            if found < self._end or (self._size is not None and found != self._size):
                raise StoredBytesMissing(self._key)
        return self._descriptor


def _next_batch(found: Iterator[StoredObject]) -> list[StoredObject]:
    with storage_errors():
        return list(islice(found, _WALK_BATCH))


def _stored_object(entry: os.DirEntry[str], *, key: str | None, upload_id: str | None) -> Iterator[StoredObject]:
    with suppress(FileNotFoundError):  # removed since the directory was read
        status = entry.stat(follow_symlinks=False)
        yield StoredObject(key, upload_id, status.st_size, status.st_mtime)


def _files(directory: Path | str, *, depth: int) -> Iterator[os.DirEntry[str]]:
    """Regular files `depth` directories down, entering only directories that the store makes."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if depth == 0 and entry.is_file(follow_symlinks=False):
                yield entry
            elif depth > 0 and _DIRECTORY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, depth=depth - 1)
