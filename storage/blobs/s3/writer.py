"""The one writer of an upload's staged bytes in S3.

- What was written stays in memory until it fills a part; `keep` puts what is left into the bucket as a piece.
- What it holds is counted in the budget of all streams. It waits for no memory: without it, it sends what it has.
- After a failure it stands where the bucket does: what was in memory is lost, and `offset` says so.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Final

from storage.blobs.blocking import run_to_end, to_end
from storage.blobs.interface import Opening, Span, StoredCopy
from storage.blobs.s3.client import was_refused
from storage.blobs.s3.content import Content
from storage.blobs.s3.held import Held
from storage.blobs.s3.leftovers import drop_leftovers
from storage.blobs.s3.parts import COPIES, Naming, Parts, all_there, before_closed_group
from storage.blobs.s3.reader import read_span
from storage.blobs.s3.staged import Piece, Staged
from storage.blobs.s3.tools import Tools
from storage.digest import Algorithm, Digest, Hasher, hasher, update
from storage.errors import DatabaseUnavailable, DigestMismatch, StagedBytesBusy, StorageError, StoreUnavailable

_MOST_PIECES: Final = 16
_SAVED_SHARE: Final = 32


class S3Writer:
    """A BlobWriter; `begin` comes first, `close` last."""

    keeps_chunks, write_from = True, None

    def __init__(
        self, tools: Tools, naming: Naming, writer_id: str, algorithm: Algorithm, opening: Opening | None = None
    ) -> None:
        self._tools = tools
        self._naming = naming
        self._writer_id = writer_id
        self._algorithm = algorithm
        self._opening = opening
        self._staged = Staged()
        self._parts = Parts(tools.bucket, self._staged, tools.sizes, naming)
        self._held = Held(tools.budget)
        self._keys: set[str] = set()
        self._kept = 0
        self._saved_parts = 0
        self._hasher: Hasher | None = None
        self._is_open = True
        self._is_at_work = False
        self._written_at = 0.0
        self._spilling: asyncio.Future[None] | None = None
        self._silence: StoreUnavailable | None = None

    @property
    def is_open(self) -> bool:
        """Whether the upload is held."""
        return self._is_open

    @property
    def offset(self) -> int:
        """How many bytes were written, in memory or in the bucket."""
        return self._staged.size + self._held.under_way + self._held.size

    @property
    def kept(self) -> int:
        """How many of them the records tell of."""
        return self._kept

    @property
    def mark(self) -> str:
        """What the last `keep` drew, while nothing was written since."""
        return self._staged.mark if self.offset == self._kept else ""

    @property
    def digest(self) -> Digest | None:
        """Digest of all staged bytes if this writer saw every one of them, else None."""
        return None if self._hasher is None else Digest(self._algorithm, self._hasher.hexdigest())

    async def begin(self, state: str | None, *, was_held: bool, offset: int) -> None:
        """Take over what is staged, cut off at an offset."""
        staged = self._staged = Staged.parse(state)
        staged.is_contested = staged.is_contested or was_held
        if was_held or offset < staged.size:
            offset = await before_closed_group(self._tools.bucket, staged, offset)
        size, multiparts = staged.size, staged.multiparts
        self._keys = staged.keys | {*staged.spent}
        staged.cut(offset)
        self._parts = Parts(self._tools.bucket, staged, self._tools.sizes, self._naming)
        self._kept = staged.size
        self._hasher = hasher(self._algorithm) if staged.size == 0 and self._opening is None else None
        if staged.size != size or was_held:
            await self._save()
        elif staged.keys != self._keys:
            await self._save(mark=staged.mark)
        for multipart in multiparts:
            if multipart not in staged.multiparts:
                await self._tools.bucket.abort(multipart.key, multipart.id)

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append bytes; what fills a part is sent. Raises NoSpace or StoreUnavailable."""
        async with self._at_work():
            hashing = asyncio.ensure_future(self._hash(chunks))
            try:
                await self._take(chunks)
            finally:
                await asyncio.wait([hashing])
            hashing.result()

    async def keep(self) -> None:
        """Put all of it into the bucket and the records; raises NoSpace or StoreUnavailable."""
        if self.offset == self._kept and self._spilling is None:
            return
        async with self._at_work():
            await self._land_all()
            await self._put_piece()
            await self._save()

    def remember(self) -> None:
        """Nothing: whoever commits many requests' bytes reads them again."""

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        """Store the staged bytes under a key of their own; raises DigestMismatch, NoSpace or StoreUnavailable."""
        async with self._at_work():
            await self._land_all()
            size = self.offset
            actual = self._digest_with(expected.algorithm, known)
            key = await self._store(expected, is_known=actual is not None) if actual in {None, expected} else None
            if key is not None and actual is None:
                try:
                    actual = await self._read_digest(key, size, expected.algorithm)
                except BaseException:
                    with suppress(StorageError):  # nobody is told of it
                        await to_end(self._tools.bucket.delete(key))
                    raise
        if key is None or actual != expected:
            if key is not None:
                await self._tools.bucket.delete(key)
            await self.abort()
            raise DigestMismatch(str(expected), str(actual))
        if not await to_end(self._forget()):
            # Taken for dead meanwhile: another writer may have sent other parts under the numbers of ours, or have
            # completed this very copy, so it stays where it is.
            raise StagedBytesBusy(self._naming.upload_id)
        return StoredCopy(key.removeprefix(COPIES), size)

    async def abort(self) -> None:
        """Drop the staged bytes; does nothing after commit or abort. Raises StoreUnavailable when they are not gone."""
        await to_end(self._abort())

    async def _abort(self) -> None:
        if not self._is_open:
            return
        is_untold = not self.offset
        await self._settle()
        await self._fail()
        if self._silence is not None:
            raise self._silence  # the client has waited once; a later walk finds what is left
        dropped, self._staged = self._staged, Staged(is_contested=self._staged.is_contested)
        self._keys.update(dropped.spent)
        try:
            await self._save()  # rows before bytes: who dies here leaves nothing that looks whole
        except StagedBytesBusy:
            self._is_open = False  # the next writer needs it
            return
        for multipart in dropped.multiparts:
            await self._tools.bucket.abort(multipart.key, multipart.id)
        if is_untold or dropped.is_contested:
            await drop_leftovers(self._tools.bucket, self._naming)
        with suppress(DatabaseUnavailable):  # then a later walk finds the record
            await self._forget()

    async def close(self) -> None:
        """Let the next writer continue with what was kept, and with parts that have arrived since."""
        if not self._is_open:
            return
        await self._settle()
        with suppress(StorageError):
            await self._land_all()
            if self._staged.size != self._kept:
                await self._save()
        await self._fail()
        self._is_open = False
        with suppress(StorageError), self._let_go_later():
            await self._tools.records.release(self._naming.upload_id, self._writer_id)

    def free_if_idle(self, before: float) -> None:
        """Begin to put what is held into the bucket, if nothing was written since then."""
        if self._held.size and not self._is_at_work and self._spilling is None and self._written_at < before:
            self._spilling = asyncio.ensure_future(self._spill_alone())

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Do something alone; a failure costs what is in memory, and what was begun meanwhile."""
        if not self._is_open:
            raise ValueError("the writer is closed")
        self._is_at_work = True
        try:
            if self._spilling is not None:
                await asyncio.wait([self._spilling])
                self._spilling.result()
                self._spilling = None
            yield
        except BaseException as error:
            if isinstance(error, StoreUnavailable) and error.is_away and not was_refused(error):
                self._silence = error
            await self._settle()
            await self._fail()
            raise
        finally:
            self._is_at_work = False
            self._written_at = asyncio.get_running_loop().time()

    async def _settle(self) -> None:
        """Wait for what was begun while the client was idle, whatever came of it."""
        if self._spilling is not None:
            await asyncio.wait([self._spilling])
            self._spilling.exception()  # seen: what is lost shows in the offset
            self._spilling = None

    async def _fail(self) -> None:
        """Stand where the bucket does."""
        self._hasher = None  # it may have seen what is lost
        await self._parts.drop()
        self._held.drop()

    async def _hash(self, chunks: Sequence[bytes | memoryview]) -> None:
        if self._hasher is not None:
            await run_to_end(self._tools.hashing, update, self._hasher, chunks)

    async def _take(self, chunks: Sequence[bytes | memoryview]) -> None:
        length = sum(map(len, chunks))
        is_counted = self._held.count(length)
        while not is_counted and self._parts.are_under_way:
            await self._land()
            is_counted = self._held.count(length)
        self._held.add(chunks)
        sizes, is_sealed = self._tools.sizes, self._opening is not None
        while self._held.size and self._staged.waiting + self._held.size >= sizes.part:
            await self._send(sizes.next(self._staged.waiting, self._held, is_sealed=is_sealed))
        if not is_counted:
            self._tools.budget.press()
            await self._spill()

    async def _spill(self) -> None:
        """Free the memory that is held, by sending it now."""
        sizes, rest = self._tools.sizes, self._staged.waiting + self._held.size
        if not sizes.equal and rest >= sizes.smallest:
            await self._send(rest)
        await self._land_all()
        await self._put_piece()

    async def _spill_alone(self) -> None:
        """Free the memory of an idle client; what a failure costs is told at its next word."""
        try:
            await self._spill()
        except BaseException:
            await self._fail()
            raise

    async def _send(self, size: int) -> None:
        """Send a part of this size: what waits in pieces, then what is held."""
        pieces = list(self._staged.pieces)
        async with self._gathered(pieces, size - self._staged.waiting) as (content, give_back):
            await self._parts.send(content, pieces, give_back)
            if not self._saved_parts:
                await self._save()
            if pieces:  # until they are part of a part, they would be counted, and sent, again
                await self._land_all()

    async def _put_piece(self) -> None:
        """Make what is held an object of its own, together with the pieces before it once there are many."""
        if not self._held.size:
            return
        merged = list(self._staged.pieces) if len(self._staged.pieces) >= _MOST_PIECES else []
        key = self._naming.piece()
        self._keys.add(key)
        length = await self._put(key, merged)
        start = self._staged.size - sum(piece.size for piece in merged)
        self._staged.spend(merged)
        self._staged.pieces.append(Piece(key, start, length, length))

    async def _put(self, key: str, pieces: Sequence[Piece]) -> int:
        """Make pieces and all that is held one object; returns its length."""
        async with self._gathered(pieces, self._held.size) as (content, give_back):
            try:
                await self._tools.bucket.put(key, content)
            finally:
                give_back()
            return len(content)

    @asynccontextmanager
    async def _gathered(self, pieces: Sequence[Piece], size: int) -> AsyncIterator[tuple[Content, Callable[[], None]]]:
        """Pieces that were read back, and the first bytes that are held, for as long as it takes to send them."""
        async with self._tools.gathering if pieces else nullcontext():
            before = [chunk for piece in pieces async for chunk in self._read(piece.key, piece.size, piece.length)]
            held, give_back = self._held.cut_off(size)
            yield Content([*before, *held]), give_back

    async def _read(self, key: str, size: int, length: int) -> AsyncGenerator[bytes, None]:
        """The first bytes of an object of a length."""
        with all_there():
            span = read_span(self._tools.bucket, self._tools.budget, key, Span(0, size), length)
            async with aclosing(span) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _land(self) -> None:
        await self._parts.land()
        parts = self._staged.part_count
        if parts < self._saved_parts or parts - self._saved_parts > parts // _SAVED_SHARE:
            await self._save()

    async def _land_all(self) -> None:
        while self._parts.are_under_way:
            await self._land()

    async def _save(self, *, mark: str | None = None) -> None:
        """Write down what is staged, under a new mark unless it is what it was; then drop the pieces that were used."""
        self._staged.mark = self._tools.new_suffix() if mark is None else mark
        size = self._staged.size
        await self._tools.records.save(self._naming.upload_id, self._writer_id, self._staged.text(), size)
        self._kept, self._saved_parts = size, self._staged.part_count
        self._keys.update(self._staged.spent)
        with suppress(StorageError):
            await self._delete(self._keys - self._staged.keys)
        self._staged.spent = [key for key in self._staged.spent if key in self._keys]

    def _digest_with(self, algorithm: Algorithm, known: Digest | None) -> Digest | None:
        if self._staged.is_contested:
            return None
        digests = (digest for digest in (known, self.digest) if digest is not None)
        return next((digest for digest in digests if digest.algorithm is algorithm), None)

    async def _store(self, digest: Digest, *, is_known: bool) -> str:
        """Make the stored copy and tell its key."""
        if self._staged.sent:
            await self._send_rest()
            return await self._parts.complete(is_known=is_known)
        key = self._naming.whole(digest)
        if (only := self._only_piece()) is not None:
            with all_there():
                await self._tools.bucket.copy(only.key, key)
        else:
            await self._put(key, self._staged.pieces)
        return key

    def _only_piece(self) -> Piece | None:
        """The piece that is all there is after the parts, if S3 can copy it."""
        pieces = self._staged.pieces
        return pieces[0] if len(pieces) == 1 and pieces[0].is_whole and not self._held.size else None

    async def _send_rest(self) -> None:
        """Send what is left as the last part."""
        only = self._only_piece()
        if only is not None and await self._parts.copy(only):
            return
        if self._staged.waiting + self._held.size:
            await self._send(self._staged.waiting + self._held.size)
        await self._land_all()

    async def _read_digest(self, key: str, size: int, algorithm: Algorithm) -> Digest:
        running = (self._opening or hasher)(algorithm)
        if size:
            async with aclosing(self._read(key, size, size)) as chunks:
                async for chunk in chunks:
                    await run_to_end(self._tools.hashing, running.update, chunk)
        return Digest(algorithm, running.hexdigest())

    async def _forget(self) -> bool:
        """Leave nothing but the stored copy, if the upload was this writer's to the end; False if it was not.

        Pieces that cannot be removed now are found by a later walk.
        """
        self._is_open = False
        await self._fail()
        with self._let_go_later():
            is_ours = await self._tools.records.remove(self._naming.upload_id, self._writer_id)
        if is_ours:
            with suppress(StorageError):
                for multipart in self._staged.multiparts:  # begun, and then not needed
                    await self._tools.bucket.abort(multipart.key, multipart.id)
                if self._staged.is_contested:
                    await drop_leftovers(self._tools.bucket, self._naming)
                await self._delete(self._keys | {*self._staged.spent})
        return is_ours

    @contextmanager
    def _let_go_later(self) -> Iterator[None]:
        """Where the records are away: this process lives on, and would hold the upload for as long."""
        try:
            yield
        except StorageError:
            self._tools.unreleased.add((self._naming.upload_id, self._writer_id))
            raise

    async def _delete(self, keys: Collection[str]) -> None:
        await asyncio.gather(*(self._tools.bucket.delete(key) for key in keys))
        self._keys.difference_update(keys)
