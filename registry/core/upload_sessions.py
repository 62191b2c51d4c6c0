"""Upload sessions as they are kept: a row that tells how far the client was promised, and the bytes that are staged.

- A row is moved only from where it was seen to be: of two writers that think they are the one, the second hears of it.
- What is staged is held by one writer at a time; the row is read while it is held, or else nothing is staged yet.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from registry.core.errors import UploadBusy, UploadUnknown
from registry.core.names import RepositoryName
from registry.core.places import Places
from storage.blobs.interface import BeginsLate, BlobStore, BlobWriter, offers
from storage.digest import Algorithm
from storage.errors import StagedBytesBusy
from storage.metadata import uploads
from storage.metadata.database import Database, OneStatement
from storage.metadata.uploads import StoredUpload


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose session it is."""

    repository: RepositoryName
    principal: str


class Sessions:
    """The open sessions of a registry; `now` is in seconds since the epoch."""

    def __init__(self, activity: Database, places: Places, now: Callable[[], float]) -> None:
        self._activity = activity
        self._places = places
        self._now = now

    async def find(self, owner: Owner, upload_id: str) -> StoredUpload:
        """The row of a session; raises UploadUnknown for everybody but its owner."""
        row = await self._row(upload_id)
        if row is None or row.repository != owner.repository.text or row.principal != owner.principal:
            raise UploadUnknown
        return row

    @asynccontextmanager
    async def held(self, row: StoredUpload) -> AsyncIterator[tuple[StoredUpload, BlobWriter]]:
        """Hold the session's bytes, and its row as it is while they are held; raises UploadBusy or UploadUnknown."""
        async with self._held(row, await self._store_of(row)) as found:
            yield found

    @asynccontextmanager
    async def begun(self, row: StoredUpload) -> AsyncIterator[tuple[StoredUpload, BlobWriter]]:
        """The same for who is going to write; where nothing was promised, from the first write on.

        Who was faster has moved the row by then, or ended the session: then `move` and `end` tell.
        """
        store = await self._store_of(row)
        if row.committed or not offers(store, BeginsLate):
            async with self._held(row, store) as found:
                yield found
            return

        async def committed() -> int:
            return _promised(await self._row(row.id))

        async with _written(row, store.begin(row.id, Algorithm(row.algorithm), committed)) as writer:
            yield row, writer

    @asynccontextmanager
    async def _held(self, row: StoredUpload, store: BlobStore) -> AsyncIterator[tuple[StoredUpload, BlobWriter]]:
        held: StoredUpload | None = None

        async def committed() -> int:
            nonlocal held
            held = await self._row(row.id)
            return _promised(held)

        async with _written(row, store.stage(row.id, Algorithm(row.algorithm), committed)) as writer:
            if held is None:
                raise UploadUnknown
            yield held, writer

    async def move(self, row: StoredUpload, offset: int) -> StoredUpload:
        """Promise the bytes up to an offset; raises UploadUnknown, or StagedBytesBusy where somebody else moved it."""
        now = self._now()

        is_moved = await self._activity.write(
            OneStatement(lambda c: uploads.move_upload(c, row.id, before=row.committed, after=offset, now=now))
        )
        if is_moved:
            return replace(row, committed=offset)
        if await self._row(row.id) is None:
            raise UploadUnknown
        raise StagedBytesBusy(row.id)  # whoever moved it has it by now, and needs what is staged

    async def end(self, upload_id: str) -> bool:
        """End a session; False where somebody else did."""
        return await self._activity.write(OneStatement(lambda c: uploads.remove_upload(c, upload_id)))

    async def _row(self, upload_id: str) -> StoredUpload | None:
        return await self._activity.read(lambda c: uploads.find_upload(c, upload_id))

    async def _store_of(self, row: StoredUpload) -> BlobStore:
        return self._places.staging(await self._places.domain_of(RepositoryName(row.repository)))


def _promised(row: StoredUpload | None) -> int:
    """How many bytes of a session count, none where it is over."""
    return row.committed if row else 0


@asynccontextmanager
async def _written(row: StoredUpload, staged: AbstractAsyncContextManager[BlobWriter]) -> AsyncIterator[BlobWriter]:
    """A writer of the session; where that turns out to be over, nobody will come back for what is staged."""
    try:
        async with staged as writer:
            try:
                yield writer
            except UploadUnknown:
                await writer.abort()
                raise
    except StagedBytesBusy as error:
        raise UploadBusy(row.id, row.committed) from error
