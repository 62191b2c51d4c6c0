"""What must be known of unfinished uploads that are sealed: rows of the activity database."""

from collections.abc import AsyncGenerator, Callable
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from storage.errors import StagedBytesBusy
from storage.metadata.activity_schema import sealed_upload
from storage.metadata.database import Database
from storage.metadata.prepared import Prepared
from storage.metadata.staging import records_of
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUpload
from storage.staging_records import StagingRecord

_ROW = sealed_upload.c
_OF_UPLOAD = _ROW.upload_id == bindparam("upload")
_OF_MARK = _ROW.mark == bindparam("its_mark")
_THERE = Prepared(select(_ROW.upload_id).where(_OF_UPLOAD))
_TAIL = Prepared(select(_ROW.tail).where(_OF_UPLOAD, _OF_MARK))
_REMOVE = Prepared(delete(sealed_upload).where(_OF_UPLOAD, _OF_MARK))
_SAVED = (
    "mark",
    "header",
    "is_open",
    "is_cut",
    "inner_mark",
    "touched_at",
    "offset",
    "tail",
    "earlier_offset",
    "earlier_tail",
)
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
        row = await self._database.read(lambda c: _FIND.row(c, upload=upload_id))
        if row is None:
            return None
        mark, header, is_open, is_cut, *places = row
        return SealedUpload(mark, header, bool(is_open), bool(is_cut), *places)

    async def tail(self, upload_id: str, mark: str) -> bytes | None:
        """The tail of the latest; raises StagedBytesBusy where the row has another mark, or there is none."""
        row = await self._database.read(lambda c: _TAIL.row(c, upload=upload_id, its_mark=mark))
        if row is None:
            raise StagedBytesBusy(upload_id)
        found: bytes | None = row[0]
        return found

    async def have(self, upload_id: str) -> bool:
        """Whether there is a row of an upload."""
        return await self._database.read(lambda c: _THERE.row(c, upload=upload_id) is not None)

    async def save(self, upload_id: str, change: Change) -> None:
        """Change a row; raises StagedBytesBusy where another writer changed it meanwhile."""
        saving = _saving(change.before is None, _recorded(change.latest), _recorded(change.earlier))
        values = {
            "new_upload_id" if change.before is None else "upload": upload_id,
            "new_mark": change.mark,
            "new_header": change.header,
            "new_is_open": change.is_open,
            "new_is_cut": change.is_cut,
            "new_inner_mark": change.inner_mark,
            "new_touched_at": self._now(),
            **_placed(change.latest, "new_offset", "new_tail"),
            **_placed(change.earlier, "new_earlier_offset", "new_earlier_tail"),
        }
        if change.before is not None:
            values["its_mark"] = change.before

        def write(connection: Connection) -> bool:
            return saving.change(connection, **values) > 0

        if not await self._database.write(write):
            raise StagedBytesBusy(upload_id)

    async def remove(self, upload_id: str, mark: str) -> None:
        """Forget an upload; does nothing where its row has another mark."""
        await self._database.write(lambda c: _REMOVE.change(c, upload=upload_id, its_mark=mark))

    def all(self) -> AsyncGenerator[StagingRecord, None]:
        """Every row, by id, a page at a time, without the tails."""
        return records_of(self._database, _ROW.upload_id, _ROW.offset, _ROW.touched_at)


@cache
def _saving(is_new: bool, latest: Recorded | None, earlier: Recorded | None) -> Prepared:  # noqa: FBT001  a key
    """What saves a change whose tails are given, or were in the row before it."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _SAVED}
    for column, recorded in (("tail", latest), ("earlier_tail", earlier)):
        if recorded is not None:
            values[column] = _ROW.tail if recorded is Recorded.LATEST else _ROW.earlier_tail
    if is_new:
        values["upload_id"] = bindparam("new_upload_id")
        return Prepared(lambda insert: insert(sealed_upload).values(values).on_conflict_do_nothing())
    return Prepared(update(sealed_upload).where(_OF_UPLOAD, _OF_MARK).values(values))


def _recorded(kept: KeptAt | None) -> Recorded | None:
    """Which tail of the row itself is meant, if it is one of those."""
    return kept.tail if kept is not None and isinstance(kept.tail, Recorded) else None


def _placed(kept: KeptAt | None, offset: str, tail: str) -> dict[str, int | bytes | None]:
    """What two columns are given; a tail of the row itself is not given."""
    if kept is None:
        return {offset: None, tail: None}
    given: dict[str, int | bytes | None] = {offset: kept.offset}
    if not isinstance(kept.tail, Recorded):
        given[tail] = kept.tail
    return given
