"""What is recorded of uploads that are sealed, as rows: each changed by who knows what it was before."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from storage.errors import StagedBytesBusy
from storage.metadata.database import Database
from storage.metadata.sealed_uploads import SealedUploadRows
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUpload
from storage.staging_records import StagingRecord
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD

HEADER: Final = bytes(range(128))
FIRST: Final = Change(None, "a", None, is_open=False, is_cut=False, latest=KeptAt(7, b"tail"))


@dataclass
class Clock:
    """Seconds since the epoch, as a test says."""

    seconds: float = 1000

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows(activity: Database, clock: Clock) -> SealedUploadRows:
    """The rows as one process uses them."""
    return SealedUploadRows(activity, now=clock)


@pytest.fixture
def others(other_activity: Database, clock: Clock) -> SealedUploadRows:
    """The same rows, as another process uses them."""
    return SealedUploadRows(other_activity, now=clock)


async def _all(rows: SealedUploadRows) -> list[StagingRecord]:
    return [record async for record in rows.all()]


async def test_nothing_is_known_of_an_upload_at_first(rows: SealedUploadRows) -> None:
    """Nor is there a tail."""
    assert await rows.find(UPLOAD) is None
    assert await rows.have(UPLOAD) is False
    with pytest.raises(StagedBytesBusy):
        await rows.tail(UPLOAD, "a")


async def test_what_was_saved_is_found(rows: SealedUploadRows, others: SealedUploadRows) -> None:
    """In whichever process."""
    change = Change(None, "a", HEADER, is_open=True, is_cut=True, latest=KeptAt(5 * 2**40), inner_mark="inner")
    await rows.save(UPLOAD, change)

    assert await others.find(UPLOAD) == SealedUpload("a", HEADER, True, True, 5 * 2**40, None, "inner")
    assert await others.tail(UPLOAD, "a") is None
    assert await others.have(UPLOAD) is True
    assert await others.have(OTHER_UPLOAD) is False


async def test_a_tail_is_read_by_who_knows_the_mark(rows: SealedUploadRows, others: SealedUploadRows) -> None:
    """Another's would be of other bytes."""
    await rows.save(UPLOAD, FIRST)

    assert await others.tail(UPLOAD, "a") == b"tail"
    with pytest.raises(StagedBytesBusy):
        await others.tail(UPLOAD, "b")


async def test_tails_move_without_being_sent(rows: SealedUploadRows) -> None:
    """What was latest becomes earlier, stays what it is, or comes back, with an offset of its own."""
    await rows.save(UPLOAD, FIRST)

    kept = KeptAt(9, b"next")
    await rows.save(UPLOAD, replace(FIRST, before="a", mark="b", latest=kept, earlier=KeptAt(7, Recorded.LATEST)))
    assert (await rows.tail(UPLOAD, "b"), await _offsets(rows)) == (b"next", (9, 7))

    stays, back = KeptAt(8, Recorded.LATEST), KeptAt(6, Recorded.EARLIER)
    await rows.save(UPLOAD, replace(FIRST, before="b", mark="c", latest=stays, earlier=back))
    assert (await rows.tail(UPLOAD, "c"), await _offsets(rows)) == (b"next", (8, 6))

    await rows.save(UPLOAD, replace(FIRST, before="c", mark="d", latest=back, earlier=stays))
    assert (await rows.tail(UPLOAD, "d"), await _offsets(rows)) == (b"tail", (6, 8))

    await rows.save(UPLOAD, replace(FIRST, before="d", mark="e", latest=KeptAt(0), earlier=None))
    assert (await rows.tail(UPLOAD, "e"), await _offsets(rows)) == (None, (0, None))


async def _offsets(rows: SealedUploadRows) -> tuple[int, int | None]:
    found = await rows.find(UPLOAD)
    assert found is not None
    return found.latest, found.earlier


@pytest.mark.parametrize("before", [None, "b"])
async def test_a_change_of_something_else_is_refused(
    rows: SealedUploadRows, others: SealedUploadRows, before: str | None
) -> None:
    """And changes nothing."""
    await rows.save(UPLOAD, FIRST)

    with pytest.raises(StagedBytesBusy):
        await others.save(UPLOAD, replace(FIRST, before=before, mark="c", latest=KeptAt(99)))

    assert await rows.find(UPLOAD) == SealedUpload("a", None, False, False, 7)


async def test_a_change_of_what_is_gone_is_refused(rows: SealedUploadRows) -> None:
    """It is not made anew."""
    with pytest.raises(StagedBytesBusy):
        await rows.save(UPLOAD, replace(FIRST, before="a", mark="b"))

    assert await rows.have(UPLOAD) is False


@pytest.mark.parametrize("before", [None, "a"])
async def test_of_many_that_change_a_row_at_once_one_does(
    rows: SealedUploadRows, others: SealedUploadRows, before: str | None
) -> None:
    """Whether it is there already or not."""
    if before is not None:
        await rows.save(UPLOAD, FIRST)

    changes = [replace(FIRST, before=before, mark=f"{number}") for number in range(8)]
    saves = (process.save(UPLOAD, change) for process, change in zip([rows, others] * 4, changes, strict=True))
    results = await asyncio.gather(*saves, return_exceptions=True)

    assert results.count(None) == 1
    assert sum(isinstance(result, StagedBytesBusy) for result in results) == 7


async def test_a_row_is_removed_by_who_knows_its_mark(rows: SealedUploadRows, others: SealedUploadRows) -> None:
    """Twice does no harm; another's stays."""
    await rows.save(UPLOAD, FIRST)

    await others.remove(UPLOAD, "b")
    assert await rows.have(UPLOAD) is True
    await others.remove(UPLOAD, "a")
    await others.remove(UPLOAD, "a")

    assert await rows.have(UPLOAD) is False


async def test_all_rows_are_told_across_pages(
    rows: SealedUploadRows, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, by id, with when it was touched."""
    monkeypatch.setattr("storage.metadata.staging._PAGE", 2)
    ids = [f"{number:032x}" for number in range(5)]
    for upload_id in ids:
        clock.seconds += 1
        await rows.save(upload_id, FIRST)

    assert await _all(rows) == [StagingRecord(id_, 7, 1001 + number) for number, id_ in enumerate(ids)]


async def test_tails_are_read_only_when_they_are_asked_for(activity: Database, rows: SealedUploadRows) -> None:
    """A row may have half a MiB of them, and a list has many rows."""
    await rows.save(UPLOAD, FIRST)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    def hear(connection: Connection) -> None:  # what SQLAlchemy is passed by
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.set_trace_callback(statements.append)

    event.listen(Engine, "before_cursor_execute", note)
    await activity.read(hear)
    try:
        await rows.find(UPLOAD)
        await rows.have(UPLOAD)
        await _all(rows)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(statements) >= 3
    assert not [statement for statement in statements if "tail" in statement]
