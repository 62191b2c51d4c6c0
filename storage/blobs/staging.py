"""Staged files: the bytes of uploads that are not committed yet.

- A staged file has one writer: it holds an exclusive flock, which the kernel frees when the process dies.
- Only the holder of the lock cuts, renames or removes the file.
- A descriptor is closed only when no thread uses it.
"""

import fcntl
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from storage.blobs.blocking import run_to_end
from storage.blobs.disk import Disk, storage_errors
from storage.blobs.interface import Opening, StoredCopy, Take
from storage.blobs.keys import key_of
from storage.blobs.running_hashes import Heard, RunningHashes
from storage.digest import Algorithm, CopyableHasher, Digest, Hasher, hasher, update
from storage.errors import DigestMismatch, StagedBytesBusy, StoreUnavailable

T = TypeVar("T")

_LOCK_ATTEMPTS: Final = 16
_REREAD_BYTES: Final = 1024 * 1024
_SPACE_CHECK_BYTES: Final = 64 * 1024 * 1024
_TAKEN_AT_ONCE: Final = 1024 * 1024
_MOST_LATELY_LEFT: Final = 1024


class LatelyLeft:
    """Uploads whose staged files were closed a moment ago: to open one again, no disk has to be waited for."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, upload_id: str) -> None:
        """Note one; the first of too many is forgotten."""
        with self._lock:
            self._ids[upload_id] = None
            if len(self._ids) > _MOST_LATELY_LEFT:
                del self._ids[next(iter(self._ids))]

    def take(self, upload_id: str) -> bool:
        """Whether one was noted; it is forgotten."""
        with self._lock:
            return self._ids.pop(upload_id, self) is None


@dataclass(frozen=True, slots=True)
class Tools:
    """What the writers of a store share: threads for `brief` calls and for those that go on as long as bytes come."""

    brief: Executor
    streaming: Executor
    hashes: RunningHashes
    left: LatelyLeft


class StagedWriter:
    """The one writer of a staged file. `open`, `continue_at` and `close` block: run them on a thread.

    It is opened before it is written to, or (`begin`) by the thread that takes the first bytes.
    """

    keeps_chunks = False

    def __init__(
        self,
        disk: Disk,
        tools: Tools,
        upload_id: str,
        algorithm: Algorithm,
        new_suffix: Callable[[], str],
        opening: Opening | None = None,
    ) -> None:
        self._disk = disk
        self._executor = tools.brief
        self._streaming = tools.streaming
        self._hashes = tools.hashes
        self._left = tools.left
        self._upload_id = upload_id
        self._path = disk.staged_path(upload_id)
        self._algorithm = algorithm
        self._opening = opening
        self._new_suffix = new_suffix
        self._descriptor: int | None = None
        self._committed: Callable[[], Awaitable[int]] | None = None  # while nobody has looked at what is staged
        self._offset = 0
        self._hasher: CopyableHasher | None = None
        # The first write asks for space; opening does not, so that staged bytes can be dropped on a full disk.
        self._unchecked_bytes = _SPACE_CHECK_BYTES

    @property
    def offset(self) -> int:
        """How many bytes are staged."""
        return self._offset

    @property
    def kept(self) -> int:
        """All of them: what is in the file outlives the process."""
        return self._offset

    @property
    def mark(self) -> str:
        """Nothing: what is in the file may be lost with the machine, so a later start of the server trusts no mark."""
        return ""

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes if this writer saw every one of them, else None."""
        return None if self._hasher is None else Digest(self._algorithm, self._hasher.hexdigest())

    @property
    def is_open(self) -> bool:
        """Whether the staged file is open and locked."""
        return self._descriptor is not None

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes and hash them, on a thread; raises NoSpace or StoreUnavailable."""
        if chunks or self._committed is not None:
            await self._run(self._executor, self._write, chunks)

    async def write_made(self, make: Callable[[], Sequence[bytes | memoryview]]) -> None:
        """Append what `make` gives, until it gives nothing, on the thread that writes it."""
        await self._run(self._streaming, self._write_made, make)

    async def write_from(self, take: Take, _most: int) -> None:
        """Append what a thread takes, and hash it; raises NoSpace or StoreUnavailable."""
        await self.write_made(lambda: [taken] if (taken := take(_TAKEN_AT_ONCE)) else [])

    async def keep(self) -> None:
        """Nothing is left to do but to keep others from it."""
        await self.write([])

    def remember(self) -> None:
        """Leave the hash to the next writer."""
        if self._hasher is not None and self._descriptor is not None:
            self._hashes.leave(self._upload_id, self._heard(), self._algorithm, self._hasher.copy())

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Store the staged bytes under a key of their own; raises DigestMismatch, NoSpace or StoreUnavailable."""
        await self.keep()
        key = key_of(expected, self._new_suffix())
        return await run_to_end(self._executor, partial(self._commit, key, expected, known, replaces=False))

    async def commit_as(self, key: str, expected: Digest) -> StoredCopy:
        """Store the staged bytes under a key that may be taken already; raises what `commit` does."""
        return await run_to_end(self._executor, partial(self._commit, key, expected, None, replaces=True))

    async def abort(self) -> None:
        """Drop the staged bytes; does nothing after commit or abort."""
        await run_to_end(self._executor, self._abort)

    def open(self) -> None:
        """Open and lock the staged file, an empty one when there is none; raises StagedBytesBusy or NoSpace."""
        with storage_errors():
            self._descriptor = lock(lambda: self._disk.create(self._path), self._path, self._upload_id)

    def open_now(self) -> bool:
        """The same for a file that was in use a moment ago, without waiting for a disk; False for any other."""
        if not self._left.take(self._upload_id):
            return False
        with storage_errors():
            try:
                self._descriptor = lock(lambda: self._disk.open_staged(self._path), self._path, self._upload_id)
            except FileNotFoundError:
                return False
        return True

    def begin(self, committed: Callable[[], Awaitable[int]]) -> None:
        """Begin with no bytes, and with a file that nobody has looked at."""
        self._committed = committed
        self._hasher = hasher(self._algorithm)

    def continue_at(self, offset: int) -> None:
        """Cut the staged bytes off at `offset`, or go on where they end if that is earlier."""
        with storage_errors():
            self._offset = offset
            self._go_on_at(min(offset, self._cut_tail()))

    def continue_now(self, offset: int) -> bool:
        """The same without waiting for a disk; False where bytes have to be cut off, which takes that."""
        with storage_errors():
            size = os.fstat(self._held()).st_size
            if size > offset:
                return False
            self._go_on_at(size)
        return True

    def _go_on_at(self, offset: int) -> None:
        self._offset = offset
        if self._opening is None:
            heard = self._hashes.take(self._upload_id, self._heard(), self._algorithm)
            self._hasher = heard if offset else hasher(self._algorithm)

    def close(self) -> None:
        """Release the lock and keep what is staged; does nothing when it is released already."""
        self._committed = None
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def leave(self) -> None:
        """The same for a file that the next writer will find."""
        self._left.add(self._upload_id)
        self.close()

    async def _run(self, executor: Executor, call: Callable[[T], None], argument: T) -> None:
        """Have a thread do something with the file, which it opens first where nobody did."""
        if self._committed is None:
            await run_to_end(executor, call, argument)
        elif not await run_to_end(executor, self._run_first, call, argument):
            if await self._committed():
                raise StagedBytesBusy(self._upload_id)
            await run_to_end(executor, self._run_over, call, argument)

    def _run_first(self, call: Callable[[T], None], argument: T) -> bool:
        """Open the file and do something with it; False, with nothing done, where it has bytes."""
        if self._descriptor is None:
            self.open()
        if os.fstat(self._held()).st_size:
            return False
        self._committed = None
        call(argument)
        return True

    def _run_over(self, call: Callable[[T], None], argument: T) -> None:
        """Do something with a file whose bytes were never promised to anybody."""
        self.continue_at(0)
        self._committed = None
        call(argument)

    def _heard(self) -> Heard:
        """The staged bytes, named by what changes when the file does."""
        status = os.fstat(self._held())
        return Heard(self._offset, f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}")

    def _cut_tail(self) -> int:
        size = os.fstat(self._held()).st_size
        if size > self._offset:
            self._disk.operations.truncate(self._held(), self._offset)
        return size

    def _held(self) -> int:
        if self._descriptor is None:
            raise ValueError("the writer is closed")
        return self._descriptor

    def _write(self, chunks: Sequence[bytes | memoryview]) -> None:
        descriptor = self._held()
        if not chunks:
            return
        length = sum(map(len, chunks))
        with storage_errors():
            self._count_towards_space_check(length)
            try:
                self._disk.write(descriptor, chunks, self._offset)
            except OSError:
                with suppress(OSError):
                    self._cut_tail()
                raise
        if self._hasher is not None:
            update(self._hasher, chunks)
        self._offset += length

    def _write_made(self, make: Callable[[], Sequence[bytes | memoryview]]) -> None:
        while chunks := make():
            self._write(chunks)

    def _count_towards_space_check(self, length: int) -> None:
        self._unchecked_bytes += length
        if self._unchecked_bytes >= _SPACE_CHECK_BYTES:
            self._disk.require_space()
            self._unchecked_bytes = 0

    def _commit(self, key: str, expected: Digest, known: Digest | None, *, replaces: bool) -> StoredCopy:
        with storage_errors():
            if self._cut_tail() < self._offset:
                raise StoreUnavailable("the staged bytes were cut by something else: start the upload over")
            actual = self._digest_with(expected.algorithm, known)
            if actual != expected:
                self._abort()
                raise DigestMismatch(str(expected), str(actual))
            try:
                self._disk.publish(self._held(), self._path, key, replaces=replaces)
            finally:
                self.close()
        return StoredCopy(key, self._offset)

    def _digest_with(self, algorithm: Algorithm, known: Digest | None) -> Digest:
        for digest in (known, self.digest):
            if digest is not None and digest.algorithm is algorithm:
                return digest
        return Digest(algorithm, read_through((self._opening or hasher)(algorithm), self._held()))

    def _abort(self) -> None:
        if self._committed is not None and not self.is_open:
            self.open()  # what is there is dropped, whoever left it
        if not self.is_open:
            return
        with storage_errors():
            try:
                with suppress(FileNotFoundError):
                    self._disk.operations.unlink(self._path)
            finally:
                self.close()


def store_at_once(disk: Disk, upload_id: str, content: Sequence[bytes], key: str) -> bool:
    """Stage bytes and store them under a key; False where some are staged already. Blocks.

    Raises NoSpace or StoreUnavailable, and then stored nothing.
    """
    path = disk.staged_path(upload_id)
    with storage_errors():
        disk.require_space()
        try:
            descriptor = lock(lambda: disk.create(path, is_new=True), path, upload_id)
        except (FileExistsError, StagedBytesBusy):
            return False
        try:
            if os.fstat(descriptor).st_size:  # another writer came, and went, before the lock
                return False
            _write_all(disk, descriptor, content, path)
            disk.publish(descriptor, path, key)
        finally:
            os.close(descriptor)
    return True


def _write_all(disk: Disk, descriptor: int, content: Sequence[bytes], path: Path) -> None:
    try:
        disk.write(descriptor, content, 0)
    except OSError:
        with suppress(OSError):
            disk.operations.unlink(path)
        raise


def lock(open_file: Callable[[], int], path: Path, upload_id: str) -> int:
    """Open a file and lock it; raises StagedBytesBusy when another writer holds it.

    Between opening and locking, the holder may have renamed or removed the file; the lock is then on a file that is no
    longer the one at `path` (perhaps a committed copy), so it is let go and the file opened again.
    """
    for _ in range(_LOCK_ATTEMPTS):
        descriptor = open_file()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise StagedBytesBusy(upload_id) from None
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StagedBytesBusy(upload_id)


def read_through(running: Hasher, descriptor: int) -> str:
    """What a hash says of a whole file, read through one reused buffer."""
    buffer = memoryview(bytearray(_REREAD_BYTES))
    offset = 0
    while length := os.preadv(descriptor, [buffer], offset):
        running.update(buffer[:length])
        offset += length
    return running.hexdigest()
