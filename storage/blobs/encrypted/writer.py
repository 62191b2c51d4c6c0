"""The one writer of an upload that is sealed while it comes.

- Full segments go to the inner store at once, and are sealed once. The bytes after them stay in memory; `keep` puts
  them into the record, sealed as an object of their own.
- Before a segment is sealed, the record says so: whoever goes on after a crash then knows that segments were thrown
  away. An object of which any were is sealed anew once it is whole, for whoever kept one of them could put it back in
  its place.
- The memory of the tail is counted in the budget that all streams share. It never waits for it: without room, or while
  others wait, the tail is put into the record.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from storage.blobs.blocking import run_to_end, to_end
from storage.blobs.encrypted.beginning import Beginning
from storage.blobs.encrypted.sealing import Seat, Seats, Tail, seal_batch
from storage.blobs.interface import BlobWriter, StoredCopy
from storage.budget import BufferBudget
from storage.digest import Algorithm, Digest, Hasher, hasher, update
from storage.encryption.cipher import ObjectCipher, Trailer, cipher_of, new_cipher
from storage.encryption.header import HEADER_BYTES, SEGMENT_BITS, Layout
from storage.encryption.keys import DomainKey, DomainKeys
from storage.encryption.whole import key_of, open_whole, seal_whole
from storage.errors import DigestMismatch, SealBroken, StorageError, StoreUnavailable
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUploads

_UNCOUNTED_BYTES: Final = 64 * 1024

SealAnew = Callable[[StoredCopy, Digest], Awaitable[StoredCopy]]
"""Puts another sealed copy in the place of one, and tells of it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What an encrypted store and its writers work with; threads of `executor` seal, open and hash."""

    keys: DomainKeys
    records: SealedUploads
    budget: BufferBudget
    executor: Executor
    seats: Seats
    new_mark: Callable[[], str]
    segment_bits: int = SEGMENT_BITS


class EncryptedWriter:
    """A BlobWriter around another; `close` comes last."""

    keeps_chunks = False

    def __init__(
        self,
        tools: Tools,
        upload_id: str,
        algorithm: Algorithm,
        key: DomainKey,
        inner: BlobWriter,
        seal_anew: SealAnew,
    ) -> None:
        self._tools = tools
        self._upload_id = upload_id
        self._algorithm = algorithm
        self._key = key
        self._inner = inner
        self._seal_anew = seal_anew
        self._cipher: ObjectCipher | None = None
        self._layout = Layout(tools.segment_bits)
        self._segments = 0
        self._tail: Tail | None = Tail(self._layout.segment)
        self._tail_size = 0
        self._mark: str | None = None
        self._is_marked = False
        self._is_declared = False
        self._safe: KeptAt | Recorded = KeptAt(0)
        self._safe_offset = 0
        self._began: KeptAt | Recorded = KeptAt(0)
        self._hasher: Hasher | None = hasher(algorithm)
        self._counted = 0
        self._is_at_work = False
        self._written_at = 0.0
        self._spilling: asyncio.Future[None] | None = None
        self._is_cut = False
        self._is_broken = False
        self.is_open = True

    async def go_on(self, at: Beginning, mark: str | None, *, is_marked: bool) -> None:
        """Begin where a record says; `mark` is the record's, and `is_marked` whether it tells of just these bytes."""
        self._mark, self._is_marked, self._is_cut = mark, is_marked, at.is_cut
        if at.header is not None:
            self._cipher = cipher_of(at.header, self._key)
            self._layout = self._cipher.layout
        self._segments = at.segments
        self._safe, self._safe_offset = at.place, at.at.offset
        self._tail_size = at.at.offset - self._segments * self._layout.segment
        if self._tail_size:
            self._tail = None
        if at.offset < at.at.offset:
            tail = await self._tail_here()
            self._tail_size -= at.at.offset - at.offset
            tail.cut(self._tail_size)
            self._safe, self._safe_offset = KeptAt(at.offset, self._sealed_tail(tail)), at.offset
        self._began = self._safe
        self._hasher = hasher(self._algorithm) if at.offset == 0 else None
        if mark is not None and self._safe is not Recorded.LATEST:
            await self._save(self._cipher, self._safe, is_open=False)  # what was cut off must not come back

    @property
    def offset(self) -> int:
        """How many bytes are staged."""
        return self._segments * self._layout.segment + self._tail_size

    @property
    def kept(self) -> int:
        """How many of them the record and the inner store give back."""
        whole = 0
        if self._cipher is not None and self._is_declared:
            there = max(0, self._inner.kept - HEADER_BYTES) // self._layout.sealed_segment
            whole = min(there, self._segments) * self._layout.segment
        return min(self.offset, max(self._safe_offset, whole))

    @property
    def mark(self) -> str:
        """What was drawn when all of it was kept, while nothing was written since."""
        is_told = self._is_marked and self.offset == self._safe_offset
        return self._mark or "" if is_told else ""

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes if this writer saw every one of them, else None."""
        return None if self._hasher is None else Digest(self._algorithm, self._hasher.hexdigest())

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes; those that fill a segment are sealed and stored. Raises NoSpace or StoreUnavailable."""
        async with self._at_work():
            await to_end(self._write(chunks))

    async def keep(self) -> None:
        """Put the tail into the record, and all before it into the inner store."""
        async with self._at_work():
            await to_end(self._keep())

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Store the staged bytes under a key of their own; raises DigestMismatch, NoSpace or StoreUnavailable."""
        proven = next((each for each in (known, self.digest) if each and each.algorithm is expected.algorithm), None)
        if proven is not None and proven != expected:
            await self.abort()
            raise DigestMismatch(str(expected), str(proven))
        size = self.offset
        async with self._at_work():
            await to_end(self._write_end(expected))
            try:
                copy = await self._inner.commit(expected, known=proven)
            except DigestMismatch as error:
                await self._forget()
                if not error.actual.rpartition(":")[2]:
                    raise StoreUnavailable("the staged bytes were damaged: start the upload over") from error
                raise
        await self._forget()
        sealed = StoredCopy(copy.key, size, self._key.domain, self._key.version)
        return await self._seal_anew(sealed, expected) if self._is_cut else sealed

    async def abort(self) -> None:
        """Drop the staged bytes; does nothing after commit or abort."""
        await to_end(self._abort())

    async def close(self) -> None:
        """Let the next writer go on with what was kept."""
        await self._settle()
        self._let_go()

    def free_if_idle(self, before: float) -> None:
        """Begin to put the tail into the record, if nothing was written since then."""
        if self._counted and not self._is_at_work and self._spilling is None and self._written_at < before:
            self._spilling = asyncio.ensure_future(self._spill())

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Do something alone; after a failure the writer stands where the inner store does."""
        if not self.is_open:
            raise ValueError("the writer is closed")
        if self._is_broken:
            raise StoreUnavailable("the store lost a part of what was written: ask for the upload's offset, and go on")
        self._is_at_work = True
        try:
            await self._settle()
            yield
        except BaseException:
            self._fall_back()
            raise
        finally:
            self._is_at_work = False
            self._written_at = asyncio.get_running_loop().time()

    async def _settle(self) -> None:
        """Wait for what was begun while the client was idle; what it could not do is done at the next word."""
        if self._spilling is not None:
            await asyncio.wait([self._spilling])
            self._spilling.exception()
            self._spilling = None

    async def _write(self, chunks: Sequence[bytes | memoryview]) -> None:
        hashing = asyncio.ensure_future(self._hash(chunks))
        try:
            await self._seal(await self._tail_here(), chunks)
        finally:
            await asyncio.wait([hashing])
        hashing.result()
        await self._count()

    async def _hash(self, chunks: Sequence[bytes | memoryview]) -> None:
        if self._hasher is not None:
            await run_to_end(self._tools.executor, update, self._hasher, chunks)

    async def _seal(self, tail: Tail, chunks: Sequence[bytes | memoryview]) -> None:
        """Seal and store what fills segments; the rest is the tail."""
        segments = tail.cut_segments(chunks)
        if tail.size + sum(map(len, chunks)) < self._layout.segment:
            next(segments, None)
        else:
            cipher = await self._declared()
            async with self._seat() as seat:
                while batch := await run_to_end(
                    self._tools.executor, seal_batch, cipher, self._segments, segments, seat
                ):
                    await self._inner.write(batch if self._segments else [cipher.packed, *batch])
                    self._segments += len(batch)
        self._tail_size = tail.size

    def _seat(self) -> AbstractAsyncContextManager[Seat | None]:
        return nullcontext() if self._inner.keeps_chunks else self._tools.seats.one()

    async def _declared(self) -> ObjectCipher:
        """The cipher of the object, once the record says that segments are being sealed with it."""
        cipher = self._cipher or new_cipher(self._key, segment_bits=self._layout.segment_bits)
        if not self._is_declared:
            await self._save(cipher, self._safe, is_open=True)
            self._is_declared = True
        self._cipher = cipher
        return cipher

    async def _keep(self) -> None:
        if self.offset == self._safe_offset and not self._is_declared:
            return
        await self._inner.keep()
        tail = await self._tail_here()
        await self._save(self._cipher, KeptAt(self.offset, self._sealed_tail(tail)), is_open=False)
        self._safe_offset = self.offset
        self._is_declared = False
        self._is_marked = True

    async def _save(self, cipher: ObjectCipher | None, latest: KeptAt | Recorded, *, is_open: bool) -> None:
        mark = self._tools.new_mark()
        header = None if cipher is None else cipher.packed
        change = Change(
            self._mark, mark, header, is_open, self._is_cut, latest, self._began, "" if is_open else self._inner.mark
        )
        await self._tools.records.save(self._upload_id, change)
        self._mark, self._is_marked = mark, False
        self._safe, self._began = Recorded.LATEST, Recorded.EARLIER

    async def _write_end(self, digest: Digest) -> None:
        tail = await self._tail_here()
        cipher = self._cipher or new_cipher(self._key, segment_bits=self._layout.segment_bits)
        end = [cipher.seal_trailer(Trailer(digest, self.offset))]
        if tail.size:
            end.insert(0, cipher.seal(self._segments, tail.content()))
        if not self._segments:
            end.insert(0, cipher.packed)
        await self._inner.write(end)

    async def _tail_here(self) -> Tail:
        """The tail, read back from the record if that is where it is."""
        if self._tail is None:
            kept = await self._kept_tail()
            if kept is None or kept.tail is None or kept.offset != self._safe_offset:
                raise StoreUnavailable("the last bytes of the upload are gone: ask for its offset, and go on from it")
            binding = self._binding(self._safe_offset - self._tail_size)
            plain = open_whole(await key_of(self._tools.keys, kept.tail), kept.tail)
            if not plain.startswith(binding):
                raise SealBroken("it is the tail of another upload")
            self._tail = Tail(self._layout.segment, plain[len(binding) :])
        return self._tail

    async def _kept_tail(self) -> KeptAt | None:
        if isinstance(self._safe, KeptAt):
            return self._safe
        found = await self._tools.records.find(self._upload_id)
        return None if found is None else (found.latest if self._safe is Recorded.LATEST else found.earlier)

    def _sealed_tail(self, tail: Tail) -> bytes | None:
        return seal_whole(self._key, self._binding() + tail.content()) if tail.size else None

    def _binding(self, start: int | None = None) -> bytes:
        """What a sealed tail begins with: whose it is, and where its bytes belong."""
        start = self._segments * self._layout.segment if start is None else start
        return f"{self._upload_id} {start}\n".encode()

    async def _count(self) -> None:
        """Count the memory of the tail, or put it away where there is no room for it."""
        if self._tail_size <= _UNCOUNTED_BYTES or self._counted:
            return
        if self._tools.budget.try_take(self._layout.segment):
            self._counted = self._layout.segment
        else:
            self._tools.budget.press()
            await self._put_away()

    async def _spill(self) -> None:
        with suppress(StorageError):  # it stays in memory, and is told at the next word
            await self._put_away()

    async def _put_away(self) -> None:
        await self._keep()
        if self._tail_size:
            self._tail = None
        self._uncount()

    def _uncount(self) -> None:
        self._tools.budget.give(self._counted)
        self._counted = 0

    def _fall_back(self) -> None:
        """Stand where the inner store does, with the tail that was kept there, if any was."""
        layout, held = self._layout, self._inner.offset
        self._hasher = None
        self._segments = min(self._segments, max(0, held - HEADER_BYTES) // layout.sealed_segment)
        self._is_broken = held != (layout.place(self._segments) if self._segments else 0)
        start = self._segments * layout.segment
        self._tail_size = self._safe_offset - start if start <= self._safe_offset < start + layout.segment else 0
        self._tail = None if self._tail_size else Tail(layout.segment)
        self._is_cut = self._segments > 0
        if not self._segments:
            self._cipher = None

    async def _abort(self) -> None:
        if not self.is_open:
            return
        await self._settle()
        await self._inner.abort()
        await self._forget()

    async def _forget(self) -> None:
        self._let_go()
        if self._mark is not None:
            with suppress(StorageError):  # a later walk finds the record
                await to_end(self._tools.records.remove(self._upload_id, self._mark))

    def _let_go(self) -> None:
        self.is_open = False
        self._tail = None
        self._uncount()
