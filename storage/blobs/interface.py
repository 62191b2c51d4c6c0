"""What every blob store promises.

- A key is never used twice: each stored copy has its own (digest and a random suffix), so deleting a key can never
  delete bytes that a later push stored.
- Nothing is readable under a key before `commit` returned it, and what `commit` returned survives a power cut.
- Staged bytes belong to one upload id, have one writer at a time, and can be continued by any process.
- The store knows nothing of repositories, owners or limits.

`tests/contracts/blob_store.py` holds every implementation to these promises.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeGuard, TypeVar, runtime_checkable

from storage.digest import Algorithm, Digest, Hasher


@dataclass(frozen=True, slots=True)
class Span:
    """A range of bytes: `offset` is the first, `length` how many."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One immutable copy of some bytes; `domain` and `key_version` name the key that seals it, none a plain one."""

    key: str
    size: int
    """How many bytes it is a copy of."""
    domain: str = ""
    key_version: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a stored copy must be a copy of, and the encryption domain it must be sealed in: none for a plain one."""

    size: int
    digest: Digest
    domain: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a walk finds: a stored copy, or (key None) the staged bytes of an upload nobody committed."""

    key: str | None
    upload_id: str | None
    size: int
    modified_at: float
    """Seconds since the epoch."""


Stamp = tuple[int, ...]
"""What tells a file from another, and from itself before it was touched: device, number, length, times of changes."""

Offered = TypeVar("Offered")


def offers(store: object, kind: type[Offered]) -> TypeGuard[Offered]:
    """Whether a store does what one of the protocols below says, remembered for its class: `isinstance` takes 15 µs."""
    asked = type(store), kind
    if asked not in _OFFERED:
        if hasattr(type(store), "__getattr__"):  # each offers what the one offers that it stands for
            return isinstance(store, kind)
        _OFFERED[asked] = isinstance(store, kind)
    return _OFFERED[asked]


_OFFERED: Final[dict[tuple[type, type], bool]] = {}

Opening = Callable[[Algorithm], Hasher]
"""Makes what reads sealed bytes, from the first to the last, and tells the digest of what they are a copy of."""


Take = Callable[[int], memoryview]
"""Gives up to so many of the next bytes, none when no more come for the moment; blocks, on a worker thread.

What it gave is good until it is asked again.
"""

WriteFrom = Callable[[Take, int], Awaitable[None]]
"""Appends what a thread takes until it is given nothing; no more bytes than the number says will come.

It ends and raises as `BlobWriter.write` does.
"""


class BlobWriter(Protocol):
    """The one writer of an upload's staged bytes, open inside `async with`.

    Leaving the block without commit or abort leaves what was kept to the next writer, and perhaps more.
    """

    @property
    def offset(self) -> int:
        """How many bytes are staged: the offset of the next one."""

    @property
    def kept(self) -> int:
        """How many of them the next writer finds even if this process is killed; at most `offset`."""

    @property
    def keeps_chunks(self) -> bool:
        """Whether chunks may still be needed once `write` has returned."""

    @property
    def write_from(self) -> WriteFrom | None:
        """Appends bytes that the thread which writes them takes by itself; None where no thread can."""

    @property
    def mark(self) -> str:
        """A text that staged bytes of this upload at this offset had only if they were these very bytes.

        It is as long-lived as the store can promise: empty where nothing but a later start of the server tells.
        """

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes when this writer knows it without reading them again, else None."""

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes; returns when the store took them, which need not be when they are kept.

        Raises NoSpace or StoreUnavailable; what was kept before stays, and `offset` tells what is left.
        """

    async def keep(self) -> None:
        """Have the next writer find all that was written, whatever becomes of this process.

        Raises NoSpace or StoreUnavailable; what was kept before stays.
        """

    def remember(self) -> None:
        """Leave the hash of what is staged to the next writer of this process.

        Called when all of it was kept, and nobody will ever go back to before its end.
        """

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Make the staged bytes durable under a key of their own, if they are the bytes that `expected` names.

        `known` is a digest of exactly the staged bytes that the caller has proof of; it saves reading them again.
        Raises DigestMismatch (the staged bytes are gone afterwards), NoSpace, or StoreUnavailable.
        """

    async def abort(self) -> None:
        """Drop the staged bytes; their space is free when this returns. Does nothing after commit or abort."""


@runtime_checkable
class WritesMade(Protocol):
    """A BlobWriter that writes on a thread, which can make the bytes first: one hop instead of many."""

    async def write_made(self, make: Callable[[], Sequence[bytes | memoryview]]) -> None:
        """Append what `make` gives, until it gives nothing, on the thread that writes it.

        When it is asked again, what it gave before is staged. Raises what it raises, and what `write` does.
        """


class BlobStore(Protocol):
    """A store of immutable bytes."""

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """How many bytes a stored copy is a copy of; raises StoredBytesMissing, also for one of another length."""

    def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span of a stored copy in bounded chunks; raises StoredBytesMissing before the first chunk.

        A copy that the span does not lie within, or that has another length than is expected, is missing too. Raises
        SealBroken where a sealed one is damaged or is not what is expected, and StoreUnavailable when the store does
        not give it; what was given before that is right.
        """

    def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AbstractAsyncContextManager[BlobWriter]:
        """Hold the staged bytes of an upload, none at first, as their one writer.

        `committed` is asked while nobody else can write: staged bytes past the offset it gives are cut off. The
        writer's own `offset` is the truth: it is smaller when the store holds fewer bytes (after a power cut), or
        cannot cut there. It can where the last writer began, and where one kept last. `algorithm` is the one to hash
        with on the way. With `opening` the bytes are sealed: they are not hashed on the way, and can be cut where a
        chunk ended that was kept. Raises StagedBytesBusy while another writer is at it.
        """

    async def delete(self, key: str) -> None:
        """Remove a stored copy; succeeds when there is none."""

    def walk(self) -> AsyncGenerator[StoredObject, None]:
        """Every staged upload, then every stored copy, in bounded memory.

        One that is committed meanwhile is seen twice rather than not at all.
        """


@runtime_checkable
class StoresAtOnce(Protocol):
    """A store that takes the few bytes of a short upload and commits them in one step."""

    async def store(
        self, upload_id: str, content: Sequence[bytes], digest: Digest, *, known: Digest | None = None
    ) -> StoredCopy | None:
        """Stage an upload and commit it; None where some of it is staged already, or it takes more than a step.

        `known` is a digest of exactly these bytes that the caller has proof of; it saves hashing them. Raises what
        `BlobWriter.write` and `commit` do, having stored nothing.
        """


@runtime_checkable
class BeginsLate(Protocol):
    """A store where who is first to write need not look at what is staged before."""

    def begin(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AbstractAsyncContextManager[BlobWriter]:
        """As `stage`, for an upload of which nothing was committed a moment ago: a writer of no bytes.

        Its first `write`, `keep` or `abort` keeps others from it, and raises StagedBytesBusy where another writer is at
        it. Where bytes are staged by then, `committed` is asked: they are cut off, or it raises StagedBytesBusy where
        some of them were committed meanwhile.
        """


@runtime_checkable
class Owned(Protocol):
    """A store that keeps the id of the one registry whose content it holds, to be told from an empty place."""

    async def owner(self) -> str | None:
        """The id that the store was marked with, None when it has no mark."""

    async def claim(self, registry_id: str) -> None:
        """Mark the store, durably."""


@runtime_checkable
class LocalFiles(Protocol):
    """A store whose copies are plain files, so that the kernel can send them without Python touching a byte."""

    def open(self, key: str) -> int:
        """A read-only file descriptor of a stored copy, the caller's to close; raises StoredBytesMissing."""

    def stamp(self, key: str) -> Stamp:
        """What is another whenever somebody has touched the file of a copy; raises StoredBytesMissing."""


class BlockingReader(Protocol):
    """One stored copy, open for worker threads, one at a time."""

    @property
    def piece_bytes(self) -> int:
        """Bytes that are read together, counted from the first: a part of them costs as much as all."""

    def read(self, offset: int, end: int) -> memoryview:
        """Some of the bytes from an offset on, at least one and none at or past `end`; blocks.

        What it gives is the thread's own, and good until the thread reads again, from whatever copy. Raises SealBroken
        or StoredBytesMissing.
        """

    def read_now(self, offset: int, end: int) -> memoryview | None:
        """As `read`, on the event loop, a piece at most; None where a disk or a thread would have to be waited for."""

    def close(self) -> None:
        """Let go of the copy."""


@runtime_checkable
class BlockingReads(Protocol):
    """A store whose copies worker threads can read by themselves, with no hop through the event loop for each piece."""

    async def open_reader(self, key: str, *, expected: Expected | None = None) -> BlockingReader:
        """Open a stored copy; raises what `read` raises before its first chunk."""


@runtime_checkable
class SealedFiles(Protocol):
    """A store whose sealed copies are files, so that some can be read by who has no time to wait."""

    def look_now(self, key: str, expected: Expected) -> None:
        """Return if a copy is there and as long as it should be; raises StoredBytesMissing where that is not plain."""

    async def stamp_now(self, key: str, expected: Expected) -> Stamp | None:
        """As `LocalFiles.stamp`, of a copy that was read before and whose key is at hand; None of another.

        Raises as `reader_now` does.
        """

    async def reader_now(self, key: str, expected: Expected) -> BlockingReader | None:
        """A reader of a copy that was read before, with nothing to wait for but its key; None of another.

        Raises what `read` raises before its first chunk.
        """


@runtime_checkable
class Domains(Protocol):
    """A store that seals what it keeps, with the keys of encryption domains."""

    def within(self, domain: str) -> BlobStore:
        """The same store, where whatever is staged is sealed in this domain; `""` keeps it plain."""


@runtime_checkable
class SignedUrls(Protocol):
    """A store that clients can fetch copies from by themselves, each with a URL that tells nothing else and expires."""

    async def signed_url(self, key: str, *, lifetime_seconds: int, media_type: str) -> str:
        """A URL of a stored copy for GET, with or without Range; the answer is sent as an attachment of this type."""


class Verdict(StrEnum):
    """What an examination says of one thing."""

    OK = "ok"
    WARNING = "warning"
    """It works; somebody should know something."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `detail` says what was seen, and what to do about it."""

    subject: str
    verdict: Verdict
    detail: str


@runtime_checkable
class Examined(Protocol):
    """A store that can look at itself: whether everything that it needs is there and allowed."""

    def examine(self) -> AsyncGenerator[Finding, None]:
        """Look at one thing after another; leaves nothing behind, and raises nothing for what it finds."""


@runtime_checkable
class Restores(Protocol):
    """A store that takes copies under the keys that another store gave them."""

    async def restore(
        self, key: str, digest: Digest, chunks: AsyncIterator[bytes], *, opening: Opening | None = None
    ) -> StoredCopy:
        """Store bytes durably under a key, in place of whatever is there; with `opening`, they are sealed.

        Raises DigestMismatch, having stored nothing, where they are not what `digest` names; and what `chunks` raises.
        """
