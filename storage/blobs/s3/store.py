"""A blob store in an S3 bucket.

    blobs/.store                        the id of the registry whose content this is
    blobs/<key>                         stored copies; `storage/blobs/keys.py` draws what a key looks like
    uploads/<upload id>/<suffix>        pieces of uploads that are not committed
    uploads/.probe                      written now and then, to see that the bucket takes writes

Each of these keys has the prefix of the place in front. Who writes an upload, and what parts it has, is in the staging
records, which all nodes share; nothing is looked up by listing but what a process left behind that died.
"""

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final
from weakref import WeakSet

from storage.blobs.blocking import run_to_end, to_end
from storage.blobs.interface import BlobWriter, Expected, Finding, Opening, Span, StoredCopy, StoredObject
from storage.blobs.keys import is_key, is_upload_id
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.client import ObjectMissing, PreconditionFailed
from storage.blobs.s3.content import Content
from storage.blobs.s3.examination import Examination
from storage.blobs.s3.leftovers import find_leftovers
from storage.blobs.s3.parts import COPIES, STAGED, Naming
from storage.blobs.s3.reader import read_span
from storage.blobs.s3.tools import Tools
from storage.blobs.s3.writer import S3Writer
from storage.digest import Algorithm, Digest
from storage.errors import StagedBytesMissing, StorageError, StoredBytesMissing, StoreUnavailable

_MARK: Final = COPIES + ".store"
_PROBE: Final = STAGED + ".probe"
_MARK_BYTES: Final = 256
_RENEW_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = 1.0


class S3Store:
    """A BlobStore, and a place for SignedUrls, in a bucket.

    `probing` is the bucket again, with less patience, for `probe`. With a `registry_id`, a bucket that is not marked
    with it is away: nothing counts as missing there.
    """

    def __init__(self, tools: Tools, *, probing: Bucket, registry_id: str | None = None) -> None:
        self._tools = tools
        self._bucket = tools.bucket
        self._records = tools.records
        self._budget = tools.budget
        self._probing = probing
        self._registry_id = registry_id
        self._writers: WeakSet[S3Writer] = WeakSet()
        self._budget.when_short(self._press)

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """Length in bytes of a stored copy; raises StoredBytesMissing."""
        _known(key)
        try:
            size = await self._bucket.size(COPIES + key)
        except ObjectMissing:
            raise await self._missing(key) from None
        if expected is not None and size != expected.size:
            raise StoredBytesMissing(key)
        return size

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span of a stored copy in chunks of at most 512 KiB."""
        if not span.length:
            if await self.size(key, expected=expected) < span.end:
                raise StoredBytesMissing(key)
            return
        _known(key)
        size = None if expected is None else expected.size
        try:
            async with aclosing(read_span(self._bucket, self._budget, COPIES + key, span, size)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ObjectMissing:
            raise await self._missing(key) from None

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        """Hold the staged bytes of an upload, cut off at what `committed` says once they are held."""
        async with self._writing(Naming(upload_id, self._tools.new_suffix), algorithm, committed, opening) as writer:
            yield writer

    async def restore(
        self, key: str, digest: Digest, chunks: AsyncIterator[bytes], *, opening: Opening | None = None
    ) -> StoredCopy:
        """Store bytes under a key that another store gave them, in place of whatever is there."""
        _known(key)

        async def nothing() -> int:
            return 0

        naming = Naming(str(uuid.uuid4()), self._tools.new_suffix, final_key=key)
        # A writer does not open what is sealed on the way; it is done here, for to read it all back would cost more.
        running = None if opening is None else opening(digest.algorithm)
        async with self._writing(naming, digest.algorithm, nothing, opening) as writer:
            try:
                async for chunk in chunks:
                    await writer.write([chunk])
                    if running is not None:
                        await run_to_end(self._tools.hashing, running.update, chunk)
                known = None if running is None else Digest(digest.algorithm, running.hexdigest())
                return await writer.commit(digest, known=known)
            finally:
                await writer.abort()

    async def delete(self, key: str) -> None:
        """Remove a stored copy; succeeds when there is none."""
        if is_key(key):
            await self._bucket.delete(COPIES + key)

    async def walk(self) -> AsyncGenerator[StoredObject, None]:
        """Every staged upload, then every stored copy: one committed meanwhile is seen twice rather than not at all."""
        async for record in self._records.all():
            yield StoredObject(None, record.upload_id, record.size, record.touched_at)
        async for stored in find_leftovers(self._bucket, self._records):
            yield stored
        async for found in self._bucket.objects(COPIES):
            key = found.key.removeprefix(COPIES)
            if is_key(key):
                yield StoredObject(key, None, found.size, found.modified_at)

    async def owner(self) -> str | None:
        """The id that the bucket is marked with, None when it has no mark."""
        try:
            mark = await self._bucket.read(_MARK, _MARK_BYTES)
        except ObjectMissing:
            return None
        return mark.decode("ascii", "replace").strip()

    async def claim(self, registry_id: str) -> None:
        """Mark the bucket; of two that do so at once, the first where S3 can tell, else the last."""
        mark = Content([f"{registry_id}\n".encode()])
        is_new = await self.owner() is None
        try:
            await self._bucket.put(_MARK, mark, only_if_new=is_new)
        except PreconditionFailed:
            return
        except StoreUnavailable:
            if not is_new:
                raise
            await self._bucket.put(_MARK, mark)  # not every S3 knows conditions

    async def probe(self) -> None:
        """Prove that bytes can be stored, by storing some; raises NoSpace or StoreUnavailable."""
        await self._probing.put(_PROBE, Content([b"This object is written to see that the bucket takes writes.\n"]))

    def examine(self) -> AsyncGenerator[Finding, None]:
        """Look at the bucket: permissions, clock, versions, and rules that would delete content."""
        return Examination(self._bucket, self._tools.new_suffix()).run()

    async def signed_url(self, key: str, *, lifetime_seconds: int, media_type: str) -> str:
        """A URL of a stored copy for GET."""
        _known(key)
        return await self._bucket.signed_url(COPIES + key, lifetime_seconds=lifetime_seconds, media_type=media_type)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what this process writes from being taken for abandoned."""
        renewing = asyncio.ensure_future(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            with suppress(StorageError):  # a writer that lost its upload learns it when it saves
                if any(writer.is_open for writer in self._writers):
                    await self._records.still_here()
                for upload_id, writer_id in list(self._tools.unreleased):
                    await self._records.release(upload_id, writer_id)
                    self._tools.unreleased.discard((upload_id, writer_id))

    @asynccontextmanager
    async def _writing(
        self,
        naming: Naming,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        opening: Opening | None,
    ) -> AsyncIterator[S3Writer]:
        if not is_upload_id(naming.upload_id):
            raise StagedBytesMissing(naming.upload_id)
        writer_id = secrets.token_hex(8)
        writer = S3Writer(self._tools, naming, writer_id, algorithm, opening)
        try:
            taken = await to_end(self._records.take(naming.upload_id, writer_id))
            self._writers.add(writer)
            await writer.begin(taken.state, was_held=taken.was_held, offset=await committed())
            yield writer
        finally:
            await to_end(writer.close())  # this process would hold the upload for as long as it lives

    async def _missing(self, key: str) -> StoredBytesMissing | StoreUnavailable:
        """What to tell of a copy that is not there: that it is missing, unless all of the store is."""
        if self._registry_id is not None and await self.owner() != self._registry_id:
            message = "the content store is not the one of this registry: try again later"
            words = f"{self._bucket.place.name} holds no content of this registry: correct storage.bucket and prefix"
            return StoreUnavailable(message, words, is_away=True)
        return StoredBytesMissing(key)

    def _press(self) -> None:
        before = asyncio.get_running_loop().time() - _IDLE_SECONDS
        for writer in self._writers:
            writer.free_if_idle(before)


def _known(key: str) -> None:
    """Raise StoredBytesMissing for what cannot be a key."""
    if not is_key(key):
        raise StoredBytesMissing(key)
