"""A blob store in the memory of one process: the fake that tests use."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from storage.blobs.interface import BlobWriter, Expected, Opening, Span, StoredCopy, StoredObject
from storage.blobs.keys import key_of
from storage.digest import Algorithm, Digest, hasher
from storage.errors import DigestMismatch, NoSpace, StagedBytesBusy, StoredBytesMissing

_READ_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class _Staged:
    """The bytes of one upload that is not committed."""

    modified_at: float
    content: bytearray = field(default_factory=bytearray)
    is_busy: bool = False


@dataclass(slots=True)
class _Contents:
    """Everything that one memory store holds, shared with its writers."""

    new_suffix: Callable[[], str]
    now: Callable[[], float]
    capacity_bytes: int | None
    copies: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    staged: dict[str, _Staged] = field(default_factory=dict)

    def require_space(self, length: int) -> None:
        """Raise NoSpace if this many more bytes do not fit."""
        if self.capacity_bytes is None:
            return
        used = sum(len(content) for content, _ in self.copies.values())
        used += sum(len(staged.content) for staged in self.staged.values())
        if used + length > self.capacity_bytes:
            raise NoSpace


class MemoryStore:
    """A BlobStore that forgets everything when the process ends; at most `capacity_bytes` fit into it."""

    def __init__(
        self, *, new_suffix: Callable[[], str], now: Callable[[], float], capacity_bytes: int | None = None
    ) -> None:
        self._contents = _Contents(new_suffix, now, capacity_bytes)

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """Length in bytes of a stored copy; raises StoredBytesMissing."""
        size = len(self._content(key))
        if expected is not None and size != expected.size:
            raise StoredBytesMissing(key)
        return size

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span of a stored copy in chunks of at most 64 KiB."""
        content = self._content(key)
        if span.end > len(content) or (expected is not None and len(content) != expected.size):
            raise StoredBytesMissing(key)
        for offset in range(span.offset, span.end, _READ_BYTES):
            yield content[offset : min(offset + _READ_BYTES, span.end)]

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        """Hold the staged bytes of an upload, cut off at what `committed` says once nobody else can write."""
        staged = self._contents.staged.setdefault(upload_id, _Staged(self._contents.now()))
        writer = _MemoryWriter(self._contents, upload_id, staged, algorithm, opening)
        try:
            writer.continue_at(await committed())
            yield writer
        finally:
            writer.close()

    async def store(
        self, upload_id: str, content: Sequence[bytes], digest: Digest, *, known: Digest | None = None
    ) -> StoredCopy | None:
        """Stage an upload and commit it; None where some of it is staged already."""
        if upload_id in self._contents.staged:
            return None
        async with self.stage(upload_id, digest.algorithm, _nothing) as writer:
            try:
                await writer.write(content)
                return await writer.commit(digest, known=known)
            finally:
                await writer.abort()

    async def delete(self, key: str) -> None:
        """Remove a stored copy; succeeds when there is none."""
        self._contents.copies.pop(key, None)

    async def walk(self) -> AsyncGenerator[StoredObject, None]:
        """Every staged upload, then every stored copy."""
        for upload_id, staged in list(self._contents.staged.items()):
            yield StoredObject(None, upload_id, len(staged.content), staged.modified_at)
        for key, (content, modified_at) in list(self._contents.copies.items()):
            yield StoredObject(key, None, len(content), modified_at)

    def _content(self, key: str) -> bytes:
        try:
            return self._contents.copies[key][0]
        except KeyError:
            raise StoredBytesMissing(key) from None


async def _nothing() -> int:
    return 0


class _MemoryWriter:
    """The one writer of some staged bytes."""

    keeps_chunks = False
    write_from = None

    def __init__(
        self, contents: _Contents, upload_id: str, staged: _Staged, algorithm: Algorithm, opening: Opening | None
    ) -> None:
        if staged.is_busy:
            raise StagedBytesBusy(upload_id)
        staged.is_busy = True
        self._contents = contents
        self._upload_id = upload_id
        self._staged = staged
        self._algorithm = algorithm
        self._opening = opening
        self._saw_every_byte = False
        self._is_open = True

    def continue_at(self, offset: int) -> None:
        """Cut the staged bytes off at `offset`, or go on where they end if that is earlier."""
        del self._staged.content[offset:]
        self._saw_every_byte = not self._staged.content and self._opening is None

    @property
    def offset(self) -> int:
        """How many bytes are staged."""
        return len(self._staged.content)

    @property
    def kept(self) -> int:
        """All of them."""
        return self.offset

    @property
    def mark(self) -> str:
        """Nothing: the bytes are as short-lived as the process."""
        return ""

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes if this writer saw every one of them, else None."""
        return Digest.of(bytes(self._staged.content), self._algorithm) if self._saw_every_byte else None

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes; raises NoSpace."""
        self._require_open()
        self._contents.require_space(sum(map(len, chunks)))
        for chunk in chunks:
            self._staged.content += chunk
        self._staged.modified_at = self._contents.now()

    async def keep(self) -> None:
        """Nothing is left to do."""

    def remember(self) -> None:
        """Nothing is hashed on the way."""

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Store the staged bytes under a key of their own; raises DigestMismatch."""
        self._require_open()
        content = bytes(self._staged.content)
        actual = known
        if actual is None or actual.algorithm is not expected.algorithm:
            running = (self._opening or hasher)(expected.algorithm)
            running.update(content)
            actual = Digest(expected.algorithm, running.hexdigest())
        await self.abort()
        if actual != expected:
            raise DigestMismatch(str(expected), str(actual))
        key = key_of(expected, self._contents.new_suffix())
        self._contents.copies[key] = (content, self._staged.modified_at)
        return StoredCopy(key, len(content))

    async def abort(self) -> None:
        """Drop the staged bytes; does nothing after commit or abort."""
        if not self._is_open:
            return
        del self._contents.staged[self._upload_id]
        self.close()

    def close(self) -> None:
        """Let another writer continue; does nothing after commit or abort."""
        if self._is_open:
            self._is_open = False
            self._staged.is_busy = False

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("the writer is closed")
