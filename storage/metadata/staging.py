"""What is staged in a store without files: rows of the activity database, each held by one writer at a time."""

from collections.abc import AsyncGenerator, Callable
from typing import Final

from sqlalchemy import Column, Connection, Select, bindparam, delete, or_, select, update

from storage.errors import StagedBytesBusy
from storage.metadata.activity_schema import staging
from storage.metadata.database import Database, insert
from storage.staging_records import StagingRecord, Taken

_HELD_SECONDS: Final = 10.0
_PAGE: Final = 500


_OURS = (staging.c.id == bindparam("upload_id"), staging.c.writer == bindparam("ours"))


class StagingRows:
    """The rows of all staged uploads, as one process uses them.

    `process` is drawn by each process; `now` gives seconds since the epoch. A process that said for ten seconds neither
    `still_here` nor anything else of an upload is taken for dead, and what it held can be taken.
    """

    def __init__(self, database: Database, *, process: str, now: Callable[[], float]) -> None:
        self._database = database
        self._process = process
        self._now = now

    async def take(self, upload_id: str, writer: str) -> Taken:
        """Hold an upload for a writer; raises StagedBytesBusy while another writer's process lives."""
        now = self._now()
        ours = {"process": self._process, "writer": writer, "held_until": now + _HELD_SECONDS, "touched_at": now}

        def change(connection: Connection) -> Taken:
            new = insert(connection, staging).values(id=upload_id, state=None, size=0, **ours)
            if connection.execute(new.on_conflict_do_nothing()).rowcount:
                return Taken(None, was_held=False)
            found = connection.execute(
                select(staging.c.state, staging.c.writer).where(staging.c.id == upload_id).with_for_update()
            ).one_or_none()
            is_free = or_(staging.c.writer.is_(None), staging.c.held_until < now)
            taken = connection.execute(update(staging).where(staging.c.id == upload_id, is_free).values(**ours))
            if found is None or not taken.rowcount:
                raise StagedBytesBusy(upload_id)
            return Taken(found.state, was_held=found.writer is not None)

        return await self._database.write(change)

    async def save(self, upload_id: str, writer: str, state: str, size: int) -> None:
        """Write down what is staged; raises StagedBytesBusy when the upload is no longer this writer's."""
        now = self._now()
        values = {"state": state, "size": size, "touched_at": now, "held_until": now + _HELD_SECONDS}
        saved = await self._database.write(
            lambda c: c.execute(update(staging).where(*_OURS).values(values), _names(upload_id, writer)).rowcount
        )
        if not saved:
            raise StagedBytesBusy(upload_id)

    async def release(self, upload_id: str, writer: str) -> None:
        """Let the next writer have it; does nothing when it is no longer this writer's."""
        free = update(staging).where(*_OURS).values(process=None, writer=None)
        await self._database.write(lambda c: c.execute(free, _names(upload_id, writer)))

    async def remove(self, upload_id: str, writer: str) -> bool:
        """Forget an upload; False, and nothing is done, when it is no longer this writer's."""
        gone = delete(staging).where(*_OURS)
        return await self._database.write(lambda c: c.execute(gone, _names(upload_id, writer)).rowcount > 0)

    async def still_here(self) -> None:
        """Say that this process lives."""
        held_until = self._now() + _HELD_SECONDS
        renewed = update(staging).where(staging.c.process == self._process).values(held_until=held_until)
        await self._database.write(lambda c: c.execute(renewed))

    async def have(self, upload_id: str) -> bool:
        """Whether there is a row of an upload."""
        asked = select(staging.c.id).where(staging.c.id == upload_id)
        return await self._database.read(lambda c: c.execute(asked).one_or_none() is not None)

    def all(self) -> AsyncGenerator[StagingRecord, None]:
        """Every row, by id, a page at a time."""
        return records_of(self._database, staging.c.id, staging.c.size, staging.c.touched_at)


async def records_of(
    database: Database, upload_id: "Column[str]", size: "Column[int]", touched_at: "Column[float]"
) -> AsyncGenerator[StagingRecord, None]:
    """Every row of a table of staged uploads, by id, a page at a time, read without its other columns."""
    rows = select(upload_id, size, touched_at).order_by(upload_id).limit(_PAGE)
    after = ""
    while page := await _page(database, rows.where(upload_id > after)):
        for record in page:
            yield record
        after = page[-1].upload_id


async def _page(database: Database, rows: Select[str, int, float]) -> list[StagingRecord]:
    return await database.scan(lambda c: [StagingRecord(*row) for row in c.execute(rows)])


def _names(upload_id: str, writer: str) -> dict[str, str]:
    return {"upload_id": upload_id, "ours": writer}
