"""The one writer of an upload that is sealed while it comes.

- Full segments go to the inner store at once, and are sealed once. The bytes after them stay in memory; `keep` puts
  them into the record, sealed as an object of their own.
- Before a segment is sealed, the record says so: whoever goes on after a crash then knows that segments were thrown
  away. The first ones of an object need no record, for without one nobody goes on with them. An object of which any
  were thrown away is sealed anew once it is whole, for whoever kept one of them could put it back in its place. So is
  one that was gone on with and of which nobody could tell the digest: its record may have lost a word.
- The memory of the tail is counted in the budget that all streams share. It never waits for it: without room, or while
  others wait, the tail is put into the record.
- The key is asked for when something is sealed or opened, so that an upload whose key is gone can be dropped.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Final

from storage.blobs.blocking import run_to_end, to_end
from storage.blobs.encrypted.beginning import Beginning
from storage.blobs.encrypted.recording import Recording
from storage.blobs.encrypted.sealing import (
    Seat,
    Seats,
    Tail,
    open_tail,
    seal_batch,
    seal_tail,
    take_from,
    taken_segments,
)
from storage.blobs.interface import BlobWriter, StoredCopy, Take, WriteFrom, WritesMade, offers
from storage.blobs.running_hashes import Heard, RunningHashes
from storage.budget import BufferBudget
from storage.digest import Algorithm, CopyableHasher, Digest, hasher, update
from storage.encryption.cipher import ObjectCipher, Trailer, cipher_of, new_cipher
from storage.encryption.header import HEADER_BYTES, SEGMENT_BITS, Layout
from storage.encryption.keys import DomainKey, DomainKeys
from storage.encryption.whole import key_of
from storage.errors import DigestMismatch, StorageError, StoreUnavailable
from storage.sealed_uploads import KeptAt, SealedUploads

# Measured: hashing 64 KiB takes 40 µs, about as much as a thread costs.
_TAKEN_ON_LOOP_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tools:
    """What an encrypted store and its writers work with; threads of `executor` seal, open and hash."""

    keys: DomainKeys
    records: SealedUploads
    budget: BufferBudget
    executor: Executor
    seats: Seats
    new_mark: Callable[[], str]
    hashes: RunningHashes = field(default_factory=RunningHashes)
    segment_bits: int = SEGMENT_BITS


@dataclass(frozen=True, slots=True)
class Upload:
    """What is written: `key` finds the key to seal with; `seal_anew` puts another sealed copy in the place of one."""

    id: str
    algorithm: Algorithm
    key: Callable[[], Awaitable[DomainKey]]
    seal_anew: Callable[[StoredCopy, Digest], Awaitable[StoredCopy]]


class EncryptedWriter:
    """A BlobWriter around another; `close` comes last."""

    keeps_chunks = False

    def __init__(self, tools: Tools, upload: Upload, inner: BlobWriter, recording: Recording, at: Beginning) -> None:
        self._tools = tools
        self._upload = upload
        self._inner = inner
        self._makes = inner if offers(inner, WritesMade) else None
        self._recording = recording
        self._header = at.header
        self._cipher: ObjectCipher | None = None
        self._layout = Layout(tools.segment_bits) if at.header is None else at.header.layout
        self._segments = self._inner_segments = at.segments
        self._tail_size = at.offset - at.segments * self._layout.segment
        self._tail = None if self._tail_size else Tail(self._layout.segment)
        heard = tools.hashes.take(upload.id, Heard(at.offset, recording.mark), upload.algorithm)
        self._hasher: CopyableHasher | None = heard if at.offset else hasher(upload.algorithm)
        self._is_resumed = at.segments > 0
        self._is_cut = at.is_cut
        self._is_broken = False
        self._counted = 0
        self._is_at_work = False
        self._written_at = 0.0
        self._spilling: asyncio.Future[None] | None = None
        self.is_open = True

    @property
    def offset(self) -> int:
        """How many bytes are staged."""
        return self._segments * self._layout.segment + self._tail_size

    @property
    def kept(self) -> int:
        """How many of them the record and the inner store give back."""
        full = self._inner_segments * self._layout.segment if self._recording.is_open else 0
        return min(self.offset, max(self._recording.offset, full))

    @property
    def write_from(self) -> WriteFrom | None:
        """Appends what a thread takes, where the inner store writes on threads."""
        return None if self._makes is None else self._write_from

    @property
    def mark(self) -> str:
        """What was drawn when all of it was kept, while nothing was written since; it lasts as the inner store does."""
        return self._recording.mark if self.offset == self._recording.offset else ""

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes if this writer saw every one of them, else None."""
        return None if self._hasher is None else Digest(self._upload.algorithm, self._hasher.hexdigest())

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes; those that fill a segment are sealed and stored. Raises NoSpace or StoreUnavailable."""
        async with self._at_work():
            await to_end(self._write(take_from(chunks), sum(map(len, chunks))))

    async def _write_from(self, take: Take, most: int) -> None:
        async with self._at_work():
            await to_end(self._write(take, most))

    async def keep(self) -> None:
        """Put the tail into the record, and all before it into the inner store."""
        async with self._at_work():
            await to_end(self._keep())

    def remember(self) -> None:
        """Leave the hash to the next writer."""
        if self._hasher is not None and self.mark:
            heard = Heard(self.offset, self.mark)
            self._tools.hashes.leave(self._upload.id, heard, self._upload.algorithm, self._hasher.copy())

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Store the staged bytes under a key of their own; raises DigestMismatch, NoSpace or StoreUnavailable."""
        proven = next((each for each in (known, self.digest) if each and each.algorithm is expected.algorithm), None)
        if proven is not None and proven != expected:
            await self.abort()
            raise DigestMismatch(str(expected), str(proven))
        size = self.offset
        async with self._at_work():
            key = await self._upload.key()
            await to_end(self._write_end(expected))
            try:
                copy = await self._inner.commit(expected, known=proven)
            except DigestMismatch as error:
                await self._forget()
                if not error.actual.rpartition(":")[2]:
                    raise StoreUnavailable("the staged bytes were damaged: start the upload over") from error
                raise
        await self._forget()
        sealed = StoredCopy(copy.key, size, key.domain, key.version)
        is_certain = not self._is_cut and (proven is not None or not self._is_resumed)
        return sealed if is_certain else await self._upload.seal_anew(sealed, expected)

    async def abort(self) -> None:
        """Drop the staged bytes; does nothing after commit or abort."""
        await to_end(self._abort())

    async def close(self) -> None:
        """Let the next writer go on with what was kept."""
        if self.is_open:
            await to_end(self._settle())
            self._let_go()

    def free_if_idle(self, before: float) -> None:
        """Begin to put the tail into the record, if nothing was written since then."""
        is_idle = not self._is_at_work and self._spilling is None and self._written_at < before
        if self._counted and self.is_open and is_idle:
            self._spilling = asyncio.ensure_future(self._spill())

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Do something alone; after a failure the writer stands where the inner store does."""
        if not self.is_open:
            raise ValueError("the writer is closed")
        self._is_at_work = True
        try:
            if self._spilling is not None or self._is_broken:
                await to_end(self._get_ready())
            yield
        except BaseException:
            self._fall_back()
            raise
        finally:
            self._is_at_work = False
            self._written_at = asyncio.get_running_loop().time()

    async def _get_ready(self) -> None:
        if (failure := await self._settle()) is not None:
            raise failure
        if self._is_broken:
            raise StoreUnavailable("the store lost a part of what was written: ask for the upload's offset, and go on")

    async def _settle(self) -> BaseException | None:
        """Let nothing else begin, and wait for what was begun while the client was idle; tells what it failed with."""
        self._is_at_work = True
        if self._spilling is None:
            return None
        spilling, self._spilling = self._spilling, None
        await asyncio.wait([spilling])
        return spilling.exception()

    async def _write(self, take: Take, most: int) -> None:
        """Take bytes, at most so many; those that fill segments are sealed and stored, the rest is the tail."""
        await self._upload.key()  # a key that cannot be had is told before anything is taken
        tail = await self._tail_here()
        segments = taken_segments(tail, take, self._hear)
        if tail.size + most >= self._layout.segment:
            await self._seal(segments)
        elif most <= _TAKEN_ON_LOOP_BYTES:
            next(segments, None)
        else:
            await run_to_end(self._tools.executor, next, segments, None)
        self._tail_size = tail.size
        await self._count()

    def _hear(self, taken: memoryview) -> None:
        if self._hasher is not None:
            update(self._hasher, [taken])

    async def _seal(self, segments: Iterator[memoryview]) -> None:
        """Seal and store segments as they come: hashed, sealed and written by one thread, while they are in its cache.

        Measured: one thread costs less than two, and is no slower.
        """
        cipher = await self._object()
        if self._segments:
            await self._recording.open(cipher.packed, is_cut=self._is_cut)
        given = 0

        async with self._seat() as seat:

            def make() -> Sequence[bytes | memoryview]:
                nonlocal given
                self._segments += given  # what was given before is stored
                self._look_at_inner()
                sealed = seal_batch(cipher, self._segments, segments, seat)
                given = len(sealed)
                return sealed if self._segments or not sealed else [cipher.packed, *sealed]

            if self._makes is not None:
                await self._makes.write_made(make)
                return
            while sealed := await run_to_end(self._tools.executor, make):
                await self._inner.write(sealed)

    def _seat(self) -> AbstractAsyncContextManager[Seat | None]:
        return nullcontext() if self._inner.keeps_chunks else self._tools.seats.one()

    def _look_at_inner(self) -> None:
        """Note how many segments the inner store keeps: where it keeps a part of one it cannot be cut before that."""
        segments, rest = divmod(self._inner.kept - HEADER_BYTES, self._layout.sealed_segment)
        if segments > self._inner_segments and not rest:
            self._inner_segments = segments

    async def _object(self) -> ObjectCipher:
        """The cipher of the object."""
        if self._cipher is None:
            key = await self._upload.key()
            bits = self._layout.segment_bits
            self._cipher = new_cipher(key, segment_bits=bits) if self._header is None else cipher_of(self._header, key)
            self._header = self._cipher.header
        return self._cipher

    async def _keep(self) -> None:
        recording, offset = self._recording, self.offset
        if offset == recording.offset and not recording.is_open:
            return
        await self._inner.keep()
        kept = KeptAt(offset, await self._sealed_tail())
        header = self._header.packed() if self._header is not None and self._segments else None
        await recording.keep(header, kept, is_cut=self._is_cut, inner_mark=self._inner.mark)

    async def _write_end(self, digest: Digest) -> None:
        tail, cipher = await self._tail_here(), await self._object()
        if self._segments and self._recording.is_there:  # else nobody goes on with what this header seals
            await self._recording.open(cipher.packed, is_cut=self._is_cut)
        last = [cipher.seal(self._segments, tail.content())] if tail.size else []
        first = [] if self._segments else [cipher.packed]
        await self._inner.write([*first, *last, cipher.seal_trailer(Trailer(digest, self.offset))])

    async def _tail_here(self) -> Tail:
        """The tail, read back from the record if that is where it is."""
        if self._tail is None:
            sealed, start = await self._recording.tail(), self._segments * self._layout.segment
            if sealed is None:
                raise StoreUnavailable("the last bytes of the upload are gone: start the upload over")
            key = await key_of(self._tools.keys, sealed)
            plain = await run_to_end(self._tools.executor, open_tail, key, self._upload.id, start, sealed)
            self._tail = Tail(self._layout.segment, plain[: self._tail_size])
        return self._tail

    async def _sealed_tail(self) -> bytes | None:
        if not self._tail_size:
            return None
        tail, start = await self._tail_here(), self._segments * self._layout.segment
        key = await self._upload.key()
        return await run_to_end(self._tools.executor, seal_tail, key, self._upload.id, start, tail.content())

    async def _count(self) -> None:
        """Count the memory of the tail, or put it away where there is no room for it."""
        tail, uncounted = self._tail, self._layout.segment // 4  # so little does not count
        if tail is None or tail.held <= uncounted or self._counted:
            return
        if self._tools.budget.try_take(self._layout.segment):
            self._counted = self._layout.segment
        elif tail.size <= uncounted:
            tail.shrink()
        else:
            self._tools.budget.press()
            await self._put_away()

    async def _spill(self) -> None:
        """Free the memory of an idle client; where that fails and nothing is lost, it is as if nobody had asked."""
        try:
            await self._put_away()
        except StorageError:
            if not self._stands():
                self._fall_back()
                raise

    async def _put_away(self) -> None:
        await self._keep()
        if self._tail_size:
            self._tail = None
        self._uncount()

    def _uncount(self) -> None:
        self._tools.budget.give(self._counted)
        self._counted = 0

    def _stands(self) -> bool:
        """Whether the inner store holds just the segments that were sealed."""
        return self._inner.offset == (self._layout.place(self._segments) if self._segments else 0)

    def _fall_back(self) -> None:
        """Stand where the inner store does, with the tail that was kept there, if any was."""
        layout, recorded = self._layout, self._recording.offset
        self._hasher = None
        self._segments = min(self._segments, max(0, self._inner.offset - HEADER_BYTES) // layout.sealed_segment)
        self._inner_segments = min(self._inner_segments, self._segments)
        self._is_broken = not self._stands() or self._segments < layout.index(recorded)
        is_tail_kept = layout.index(recorded) == self._segments
        self._tail_size = recorded - self._segments * layout.segment if is_tail_kept else 0
        self._tail = None if self._tail_size else Tail(layout.segment)
        self._is_cut = self._segments > 0
        self._uncount()
        if not self._segments:
            self._header = self._cipher = None
            self._recording.is_open = False  # what comes next has another header

    async def _abort(self) -> None:
        if not self.is_open:
            return
        await self._settle()
        try:
            await self._inner.abort()
        finally:
            self._is_at_work = False
        await self._forget()

    async def _forget(self) -> None:
        self._let_go()
        with suppress(StorageError):  # a later walk finds the record
            await to_end(self._recording.remove())

    def _let_go(self) -> None:
        self.is_open = False
        self._tail = None
        self._uncount()
