"""The directory tree of a filesystem store: where things lie, and what makes them durable.

    blobs/.store                                    the id of the registry whose content this is
    blobs/<key>                                     stored copies; `keys.py` draws what a key looks like
    uploads/<first two characters>/<upload id>      staged bytes

- No text from outside touches a path before it matched the strict pattern of a key or an upload id.
- Directories are 0700, files 0600.
- A file appears below `blobs/` only by the rename of a synced file.
- Where `blobs/.store` is not that of the registry, its disk is away: nothing counts as missing, nothing is made there.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeVar

from storage.blobs.keys import is_key, is_upload_id
from storage.errors import NoSpace, StagedBytesMissing, StoredBytesMissing, StoreUnavailable

T = TypeVar("T")

Durability = Literal["full", "relaxed"]
"""`full`: what was committed survives a power cut. `relaxed`: nothing waits for the disk."""

_BUFFERS_PER_WRITE: Final = 1024  # IOV_MAX of Linux, macOS and the BSDs
_OUT_OF_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_PROBE_BYTES: Final = 4096
_OWNER_BYTES: Final = 256


class FileOperations:
    """The system calls that change a disk, one method each, so that a test can record or fail any of them."""

    def open(self, path: Path, flags: int) -> int:
        """Open a file; one that this creates is 0600."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Write some of the buffers at an offset; returns how many bytes, which may be fewer than given."""
        return os.pwritev(descriptor, buffers, offset)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut a file off at a length."""
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """Wait until a file's bytes, or a directory's entries, are on the disk."""
        os.fsync(descriptor)  # a file that grew needs its inode too: fdatasync would save nothing

    def rename(self, source: Path, target: Path) -> None:
        """Move a file in one step."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Make one directory, 0700."""
        path.mkdir(mode=0o700)

    def free_bytes(self, path: Path) -> int:
        """How many bytes an unprivileged process may still write."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize


SYSTEM: Final = FileOperations()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise NoSpace for a full disk, quota or file-size limit, and StoreUnavailable for every other OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in _OUT_OF_SPACE:
            raise NoSpace from error
        remedy = "raise the limit of open files" if error.errno in _OUT_OF_FILES else "check its disk"
        message = f"the content store failed ({error.strerror}): {remedy}, then try again"
        raise StoreUnavailable(message) from error


class Disk:
    """One directory tree. Its methods block, and raise OSError where they say nothing else.

    `registry_id` is the owner that it must be marked with; None asks for no mark.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Durability,
        reserve_bytes: int,
        operations: FileOperations,
        registry_id: str | None = None,
    ) -> None:
        self.operations = operations
        self._registry_id = registry_id
        self.blobs = root / "blobs"
        self._blobs_text = str(self.blobs)
        self._mark = self.blobs / ".store"
        self.uploads = root / "uploads"
        self._root = root
        self._durability = durability
        self._reserve_bytes = reserve_bytes
        # A directory that another process has just made may not be on the disk yet, so existing proves nothing: each
        # process syncs the entry of every directory it uses once. Nobody removes them, so this cannot become stale.
        self._durable_directories = {root}

    def blob_path(self, key: str) -> Path:
        """Where a stored copy lies; raises StoredBytesMissing for what cannot be a key."""
        if not is_key(key):
            raise StoredBytesMissing(key)
        return self.blobs / key

    def look(self, key: str, act: Callable[[str], T]) -> T:
        """Do something with a stored copy; raises StoredBytesMissing, or StoreUnavailable when the disk is away."""
        if not is_key(key):
            raise StoredBytesMissing(key)
        path = f"{self._blobs_text}/{key}"  # to build a Path takes longer than to open the file
        with suppress(FileNotFoundError):
            return act(path)
        self.require_owner()
        try:
            return act(path)  # the disk may have come back between the first look and the mark
        except FileNotFoundError:
            raise StoredBytesMissing(key) from None

    def owner(self) -> str | None:
        """The id of the registry that the tree is marked with, None when it has no mark."""
        try:  # each push asks twice: by the system's own calls it takes a quarter of the time
            file = os.open(self._mark, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return os.read(file, _OWNER_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(file)

    def claim(self, registry_id: str) -> None:
        """Mark the tree, durably, as that of this registry."""
        with suppress(FileExistsError):
            self.operations.mkdir(self.blobs)
        draft = self.blobs / f".store.{os.getpid()}"
        descriptor = self.operations.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            self.write(descriptor, [f"{registry_id}\n".encode()], 0)
            self._sync(descriptor)
        finally:
            os.close(descriptor)
        self.operations.rename(draft, self._mark)
        self._sync_directories(self.blobs)

    def require_owner(self) -> None:
        """Raise StoreUnavailable unless the tree is that of the registry."""
        if self._registry_id is None:
            return
        with suppress(OSError):
            if self.owner() == self._registry_id:
                return
        message = f"{self.blobs} is not the content directory of this registry: is its disk mounted?"
        raise StoreUnavailable(message, is_away=True)

    def staged_path(self, upload_id: str) -> Path:
        """Where an upload's bytes are staged; raises StagedBytesMissing for what cannot be an upload id."""
        if not is_upload_id(upload_id):
            raise StagedBytesMissing(upload_id)
        return self.uploads / upload_id[:2] / upload_id

    def free_bytes(self) -> int:
        """Bytes that may be written before the disk is full, the reserve included."""
        return self.operations.free_bytes(self._root)

    def require_space(self) -> None:
        """Raise NoSpace while the disk has less room than the reserve."""
        if self.free_bytes() < self._reserve_bytes:
            raise NoSpace

    def create(self, path: Path, *, is_new: bool = False) -> int:
        """Open a file to read and write, making it and its directories where missing; never where the disk is away.

        With `is_new` one that is there raises FileExistsError.
        """
        self.require_owner()
        flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if is_new else 0)
        try:
            return self.operations.open(path, flags)
        except FileNotFoundError:
            self._make_directory(path.parent)
            return self.operations.open(path, flags)

    def open_staged(self, path: Path) -> int:
        """Open a file that is there to read and write; raises FileNotFoundError, and nothing is made."""
        self.require_owner()
        return self.operations.open(path, os.O_RDWR)

    def write(self, descriptor: int, chunks: Sequence[bytes | memoryview], offset: int) -> None:
        """Write every byte of the chunks at an offset, in as many system calls as it takes."""
        pending = [memoryview(chunk) for chunk in chunks if chunk]
        first = 0
        while first < len(pending):
            taken = self.operations.write(descriptor, pending[first : first + _BUFFERS_PER_WRITE], offset)
            if taken == 0:
                raise OSError(errno.EIO, "the disk took no bytes")
            offset += taken
            while first < len(pending) and taken >= len(pending[first]):
                taken -= len(pending[first])
                first += 1
            if taken:
                pending[first] = pending[first][taken:]

    def publish(self, descriptor: int, staged: Path, key: str, *, replaces: bool = False) -> None:
        """Make a staged file durable under its key; when this raises, the file is gone.

        A key that is taken is refused unless the file may replace what is there.

        A failed sync is final: the kernel may have dropped the pages and marked them clean; another proves nothing.
        Where the disk is away this raises StoreUnavailable, and the staged file stays.
        """
        self.require_owner()
        target = self.blob_path(key)
        path = staged
        try:
            self._sync(descriptor)
            self._make_directory(target.parent)
            if not replaces and os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "a suffix was drawn twice")
            self.operations.rename(staged, target)
            path = target
            self._sync_directories(target.parent)
        except OSError:
            with suppress(OSError):
                self.operations.unlink(path)
            raise

    def probe(self) -> None:
        """Write, sync and remove a small file; raises NoSpace when the reserve is touched."""
        self.require_space()
        path = self.uploads / ".probe"
        descriptor = self.create(path)
        try:
            self.write(descriptor, [bytes(_PROBE_BYTES)], 0)
            self._sync(descriptor)
        finally:
            os.close(descriptor)
            with suppress(FileNotFoundError):  # another process probes too
                self.operations.unlink(path)

    def _make_directory(self, path: Path) -> None:
        try:
            self.operations.mkdir(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            if path.parent == self._root:  # a disk that is not mounted must not be filled in its place
                raise
            self._make_directory(path.parent)
            with suppress(FileExistsError):
                self.operations.mkdir(path)
        self._durable_directories.discard(path)

    def _sync_directories(self, directory: Path) -> None:
        self._sync_directory(directory)
        uncertain: list[Path] = []
        while directory not in self._durable_directories:
            uncertain.append(directory)
            directory = directory.parent
            self._sync_directory(directory)
        self._durable_directories.update(uncertain)

    def _sync_directory(self, directory: Path) -> None:
        descriptor = self.operations.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        if self._durability == "full":
            self.operations.sync(descriptor)
