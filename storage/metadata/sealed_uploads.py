"""What must be known of unfinished uploads that are sealed: rows of the activity database."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from storage.errors import StagedBytesBusy
from storage.metadata.activity_schema import sealed_upload
from storage.metadata.database import Database, insert
from storage.metadata.prepared import Prepared
from storage.metadata.staging import records_of
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUpload
from storage.staging_records import StagingRecord

_ROW = sealed_upload.c
_OF_UPLOAD = _ROW.upload_id == bindparam("upload_id")
_OF_MARK = _ROW.mark == bindparam("mark")
_THERE = Prepared(select(_ROW.upload_id).where(_OF_UPLOAD))
_TAIL = Prepared(select(_ROW.tail).where(_OF_UPLOAD, _OF_MARK))
_REMOVE = Prepared(delete(sealed_upload).where(_OF_UPLOAD, _OF_MARK))
_FIND = Prepared(
    select(_ROW.mark, _ROW.header, _ROW.is_open, _ROW.is_cut, _ROW.offset, _ROW.earlier_offset, _ROW.inner_mark).where(
        _OF_UPLOAD
    )
)


class SealedUploadRows:
    """The rows of all sealed uploads; `now` gives seconds since the epoch."""

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def find(self, upload_id: str) -> SealedUpload | None:
        """The row of an upload, None where there is none."""
        row = await self._database.read(lambda c: _FIND.row(c, upload_id=upload_id))
        if row is None:
            return None
        mark, header, is_open, is_cut, *places = row
        return SealedUpload(mark, header, bool(is_open), bool(is_cut), *places)

    async def tail(self, upload_id: str, mark: str) -> bytes | None:
        """The tail of the latest; raises StagedBytesBusy where the row has another mark, or there is none."""
        row = await self._database.read(lambda c: _TAIL.row(c, upload_id=upload_id, mark=mark))
        if row is None:
            raise StagedBytesBusy(upload_id)
        found: bytes | None = row[0]
        return found

    async def have(self, upload_id: str) -> bool:
        """Whether there is a row of an upload."""
        return await self._database.read(lambda c: _THERE.row(c, upload_id=upload_id) is not None)

    async def save(self, upload_id: str, change: Change) -> None:
        """Change a row; raises StagedBytesBusy where another writer changed it meanwhile."""
        values = {
            "mark": change.mark,
            "header": change.header,
            "is_open": change.is_open,
            "is_cut": change.is_cut,
            "inner_mark": change.inner_mark,
            "touched_at": self._now(),
            **_placed(change.latest, "offset", "tail"),
            **_placed(change.earlier, "earlier_offset", "earlier_tail"),
        }

        def write(connection: Connection) -> bool:
            if change.before is None:
                new = insert(connection, sealed_upload).values(upload_id=upload_id, **values)
                return connection.execute(new.on_conflict_do_nothing()).rowcount > 0
            ours = and_(_ROW.upload_id == upload_id, _ROW.mark == change.before)
            return connection.execute(update(sealed_upload).where(ours).values(values)).rowcount > 0

        if not await self._database.write(write):
            raise StagedBytesBusy(upload_id)

    async def remove(self, upload_id: str, mark: str) -> None:
        """Forget an upload; does nothing where its row has another mark."""
        await self._database.write(lambda c: _REMOVE.change(c, upload_id=upload_id, mark=mark))

    def all(self) -> AsyncGenerator[StagingRecord, None]:
        """Every row, by id, a page at a time, without the tails."""
        return records_of(self._database, _ROW.upload_id, _ROW.offset, _ROW.touched_at)


def _placed(kept: KeptAt | None, offset: str, tail: str) -> dict[str, Any]:
    """What two columns become; a tail of the row itself is what it was before the change."""
    if kept is None:
        return {offset: None, tail: None}
    if not isinstance(kept.tail, Recorded):
        return {offset: kept.offset, tail: kept.tail}
    return {offset: kept.offset, tail: _ROW.tail if kept.tail is Recorded.LATEST else _ROW.earlier_tail}
