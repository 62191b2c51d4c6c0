"""Upload sessions: from the first byte to a blob that a repository can read.

- A session belongs to one repository and one principal; for all others it does not exist.
- Any worker can continue it: the row tells how far the client was promised, the store holds the bytes.
- One writer at a time: the store's lock decides, and bytes past the promised offset are cut before the next append.
- What arrived before a connection broke counts; the status tells how far.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from registry.core.blobs import Blobs
from registry.core.errors import (
    BlobTooLarge,
    RepositoryUnknown,
    SizeInvalid,
    TooManyUploads,
    UploadBusy,
    UploadOutOfOrder,
    UploadUnknown,
)
from registry.core.incoming import Chunk, Gathered, Sink, gathered
from registry.core.names import RepositoryName
from registry.core.places import Places
from registry.core.repositories import Repositories
from registry.core.upload_hints import UploadHint
from registry.core.upload_sessions import Owner, Sessions
from storage.blobs.interface import BlobWriter, StoredCopy, StoresAtOnce, offers
from storage.digest import Algorithm, Digest
from storage.errors import NoSpace, StagedBytesBusy, StoreUnavailable
from storage.metadata import uploads
from storage.metadata.database import Database, OneStatement
from storage.metadata.uploads import StoredUpload

# So that a killed server loses at most this much of a long upload.
_CHECKPOINT_BYTES = 32 * 1024 * 1024
_SWEPT_AT_ONCE = 100
# So many bytes are hashed in memory faster than a thread can be asked to.
_SHORT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an upload stands: `hint` is there when the digest of all its bytes is known."""

    upload_id: str
    offset: int
    hint: UploadHint | None = None


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of uploads: bytes of a blob (None: no bound), and unfinished sessions of one principal."""

    blob_bytes: int | None
    sessions: int


class Uploads:
    """The upload sessions of a registry."""

    def __init__(  # noqa: PLR0913  what it works on, its bounds, and where time and ids come from
        self,
        activity: Database,
        places: Places,
        blobs: Blobs,
        repositories: Repositories,
        *,
        limits: UploadLimits,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._activity = activity
        self._sessions = Sessions(activity, places, now)
        self._places = places
        self._blobs = blobs
        self._repositories = repositories
        self._limits = limits
        self._now = now
        self._new_id = new_id

    async def start(self, owner: Owner, algorithm: Algorithm, *, create: bool) -> Progress:
        """Open a session; raises TooManyUploads, or RepositoryUnknown where a push may not create the repository."""
        if not create and not await self._repositories.is_known(owner.repository):
            raise RepositoryUnknown(owner.repository.text)
        row = StoredUpload(
            id=self._new_id(),
            repository=owner.repository.text,
            principal=owner.principal,
            algorithm=algorithm.value,
            committed=0,
            started_at=self._now(),
        )
        most = self._limits.sessions
        if not await self._activity.write(OneStatement(lambda c: uploads.add_upload(c, row, most=most))):
            raise TooManyUploads(most)
        return Progress(row.id, 0)

    async def status(self, owner: Owner, upload_id: str) -> Progress:
        """Where a session stands; raises UploadUnknown."""
        row = await self._sessions.find(owner, upload_id)
        return Progress(row.id, row.committed)

    async def append(self, owner: Owner, upload_id: str, chunk: Chunk) -> Progress:
        """Stage more bytes; raises UploadUnknown, UploadOutOfOrder, UploadBusy, SizeInvalid, BlobTooLarge or NoSpace.

        When the body breaks off, what arrived is kept, and what broke it is raised.
        """
        async with self._writing(await self._sessions.find(owner, upload_id)) as (row, writer):
            promised = await self._receive(row, writer, chunk)
            await self._promise(promised, writer)
            known = writer.digest
            return Progress(row.id, writer.offset, UploadHint(writer.offset, known, writer.mark) if known else None)

    async def finish(
        self, owner: Owner, upload_id: str, digest: Digest, chunk: Chunk, *, hint: UploadHint | None, create: bool
    ) -> None:
        """Stage the last bytes and make the blob readable in the repository.

        Raises what `append` raises, and DigestMismatch; once all bytes are staged the session ends, come what may.
        """
        found = await self._sessions.find(owner, upload_id)
        if self._is_short(found, chunk):
            body = await gathered(chunk.body)
            if body.error is None and await self._finish_at_once(owner.repository, found, body, digest, create=create):
                return
            chunk = replace(chunk, body=body)
        async with self._writing(found) as (row, writer):
            await self._receive(row, writer, chunk)
            await writer.write([])  # whoever has no key to end it with says so while the session is there
            known = writer.digest
            if known is None and hint is not None and (hint.offset, hint.mark) == (writer.offset, writer.mark):
                known = hint.digest
            # The session ends first, while nobody else can write: whoever comes after finds none, not one half done.
            if not await self._sessions.end(row.id):
                raise UploadUnknown
            try:
                await self._publish(owner.repository, writer, digest, known, create=create)
            except BaseException:
                await writer.abort()
                raise

    def _is_short(self, row: StoredUpload, chunk: Chunk) -> bool:
        """Whether a chunk is a whole blob, as far as the client says, which is short."""
        size = chunk.body.announced
        if size is None or size > _SHORT_BYTES or row.committed or chunk.start or chunk.length not in (None, size):
            return False
        return self._limits.blob_bytes is None or size <= self._limits.blob_bytes

    async def _finish_at_once(
        self, repository: RepositoryName, row: StoredUpload, body: Gathered, digest: Digest, *, create: bool
    ) -> bool:
        """Make a blob that is in memory readable in the repository; False, with nothing done, where that takes more."""
        domain = await self._places.domain_of(repository)
        store = self._places.staging(domain)
        if not offers(store, StoresAtOnce) or not digest.matches(body.content):
            return False
        if await self._blobs.is_stored(repository, digest, domain):
            return False
        try:
            copy = await store.store(row.id, [body.content], digest, known=digest)
        except NoSpace:
            return False
        if copy is None or not await self._end_empty(row.id, copy):
            return False
        await self._record(repository, digest, copy, create=create, is_first=True)
        return True

    async def _end_empty(self, upload_id: str, copy: StoredCopy) -> bool:
        """End a session that was not locked, before its blob appears; drop that where another request was faster."""
        is_over = False
        try:
            is_over = await self._activity.write(OneStatement(lambda c: uploads.remove_empty_upload(c, upload_id)))
        finally:
            if not is_over:
                await self._blobs.drop_unrecorded(copy)
        return is_over

    async def cancel(self, owner: Owner, upload_id: str) -> None:
        """Drop a session and its bytes; raises UploadUnknown or UploadBusy."""
        if not await self._drop(await self._sessions.find(owner, upload_id)):
            raise UploadUnknown

    async def sweep(self, *, idle_since: float) -> int:
        """Drop sessions that nobody touched since then, and staged bytes that no session owns; returns how many."""
        swept = kept = 0
        while idle := (await self._idle(idle_since, kept + _SWEPT_AT_ONCE))[kept:]:
            removed = [upload_id for upload_id in idle if await self._sweep_session(upload_id, idle_since)]
            swept += len(removed)
            kept += len(idle) - len(removed)
        async with aclosing(self._places.every.walk()) as found:
            async for stored in found:
                if stored.upload_id is None:  # after the staged uploads come the copies, which may be millions
                    break
                if stored.modified_at < idle_since:
                    swept += int(await self._sweep_orphan(stored.upload_id))
        return swept

    async def _idle(self, before: float, limit: int) -> list[str]:
        return await self._activity.scan(lambda c: uploads.list_idle_uploads(c, before=before, limit=limit))

    async def _sweep_session(self, upload_id: str, idle_since: float) -> bool:
        """Drop a session unless its client came back since it was listed: then its bytes are promised."""
        row = await self._activity.read(lambda c: uploads.find_upload(c, upload_id))
        if row is None:
            return False
        try:
            async with self._sessions.held(row) as (_, writer):
                is_idle = await self._activity.write(
                    OneStatement(lambda c: uploads.remove_idle_upload(c, upload_id, before=idle_since))
                )
                if is_idle:
                    await writer.abort()
                return is_idle
        except (UploadBusy, UploadUnknown, NoSpace):
            # On a full disk, a session that never staged a byte must not keep the others from giving theirs back.
            return False
        except StoreUnavailable as error:
            return _skipped(error)

    async def _sweep_orphan(self, upload_id: str) -> bool:
        async def committed() -> int:
            return 0

        if await self._activity.read(lambda c: uploads.find_upload(c, upload_id)) is not None:
            return False
        try:
            async with self._places.every.stage(upload_id, Algorithm.SHA256, committed) as writer:
                await writer.abort()
        except StagedBytesBusy:
            return False
        except StoreUnavailable as error:
            return _skipped(error)
        return True

    async def _drop(self, row: StoredUpload) -> bool:
        async with self._sessions.held(row) as (_, writer):
            is_ours = await self._sessions.end(row.id)
            await writer.abort()
            return is_ours

    @asynccontextmanager
    async def _writing(self, found: StoredUpload) -> AsyncIterator[tuple[StoredUpload, BlobWriter]]:
        """The session as its one writer sees it; without room or within a bound, its bytes are freed at once."""
        async with self._sessions.begun(found) as (row, writer):
            held = await self._sessions.move(row, writer.offset) if writer.offset < row.committed else row
            try:
                yield held, writer
            except (NoSpace, BlobTooLarge):
                await writer.abort()
                await self._sessions.end(row.id)
                raise

    async def _receive(self, row: StoredUpload, writer: BlobWriter, chunk: Chunk) -> StoredUpload:
        """Append a chunk; what arrived before it broke off is promised. Returns the row as far as it was promised."""
        start = writer.offset
        if chunk.start is not None and chunk.start != start:
            raise UploadOutOfOrder(row.id, start)
        self._check_size(start + (chunk.body.announced or 0))
        promised = row

        async def note() -> None:
            nonlocal promised
            if writer.kept - promised.committed >= _CHECKPOINT_BYTES and chunk.length is None:
                promised = await self._sessions.move(promised, writer.kept)

        try:
            await Sink(writer, self._check_size, note).take(chunk.body)
        except (NoSpace, BlobTooLarge, StagedBytesBusy):
            raise
        except BaseException:
            await self._promise(promised, writer)
            raise
        received = writer.offset - start
        if chunk.length is not None and received != chunk.length:
            # What is not promised is cut off before the next append.
            message = f"the body has {received} bytes, Content-Range announced {chunk.length}"
            raise SizeInvalid(message)
        return promised

    async def _promise(self, row: StoredUpload, writer: BlobWriter) -> None:
        """Have what was written kept, and let the row say so; where it cannot be kept, what was kept before.

        A writer that finds another in its place promises nothing any more.
        """
        try:
            await writer.keep()
        except StagedBytesBusy:
            raise
        except BaseException:
            await self._promise_kept(row, writer)
            raise
        await self._promise_kept(row, writer)

    async def _promise_kept(self, row: StoredUpload, writer: BlobWriter) -> None:
        # Also where nothing came: whoever asks is there, and his session not idle.
        await self._sessions.move(row, writer.kept)
        if writer.kept == writer.offset:
            writer.remember()

    async def _publish(
        self, repository: RepositoryName, writer: BlobWriter, digest: Digest, known: Digest | None, *, create: bool
    ) -> None:
        """Make the staged bytes the blob of a repository; bytes that are stored already are not stored again."""
        is_known = known == digest
        if is_known and await self._blobs.record(repository, digest, None, create=create):
            await writer.abort()
            return
        copy = await writer.commit(digest, known=known)
        await self._record(repository, digest, copy, create=create, is_first=is_known)

    async def _record(
        self, repository: RepositoryName, digest: Digest, copy: StoredCopy, *, create: bool, is_first: bool
    ) -> None:
        try:
            await self._blobs.record(repository, digest, copy, create=create, is_first=is_first)
        except (RepositoryUnknown, UploadUnknown, NoSpace):
            # Nothing was recorded; after any other error it may have been, and the copy be the one that is read.
            await self._blobs.drop_unrecorded(copy)
            raise

    def _check_size(self, size: int) -> None:
        limit = self._limits.blob_bytes
        if limit is not None and size > limit:
            raise BlobTooLarge(limit)


def _skipped(error: StoreUnavailable) -> bool:
    """False for an upload that cannot be dropped now, so that the others can; raises when the whole store is away."""
    if error.is_away:
        raise error
    return False
