"""What is staged in a store without files, as rows: one writer at a time, for as long as its process lives."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from storage.errors import StagedBytesBusy
from storage.metadata.database import Database
from storage.metadata.staging import StagingRows
from storage.staging_records import StagingRecord, Taken
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD


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
def rows(activity: Database, clock: Clock) -> StagingRows:
    """The rows as one process uses them."""
    return StagingRows(activity, process="one", now=clock)


@pytest.fixture
def others(other_activity: Database, clock: Clock) -> StagingRows:
    """The same rows, as another process uses them."""
    return StagingRows(other_activity, process="two", now=clock)


async def _all(rows: StagingRows) -> list[StagingRecord]:
    return [record async for record in rows.all()]


async def test_an_upload_begins_with_nothing(rows: StagingRows) -> None:
    """Taking it makes its record."""
    assert await rows.take(UPLOAD, "a") == Taken(None, was_held=False)

    assert await _all(rows) == [StagingRecord(UPLOAD, 0, 1000)]
    assert await rows.have(UPLOAD) is True
    assert await rows.have(OTHER_UPLOAD) is False


async def test_the_next_writer_finds_what_was_saved(rows: StagingRows, others: StagingRows) -> None:
    """In whichever process it is."""
    await rows.take(UPLOAD, "a")
    await rows.save(UPLOAD, "a", "state", 7)
    await rows.release(UPLOAD, "a")

    assert await others.take(UPLOAD, "b") == Taken("state", was_held=False)


@pytest.mark.parametrize("seconds", [0, 10])
async def test_a_held_upload_is_busy(rows: StagingRows, others: StagingRows, clock: Clock, seconds: float) -> None:
    """For ten seconds after the last word of its process, to the moment."""
    await rows.take(UPLOAD, "a")
    clock.seconds += seconds

    with pytest.raises(StagedBytesBusy):
        await others.take(UPLOAD, "b")
    with pytest.raises(StagedBytesBusy):
        await rows.take(UPLOAD, "b")


async def test_what_a_silent_process_held_can_be_taken(rows: StagingRows, others: StagingRows, clock: Clock) -> None:
    """The next writer is told that nobody let go."""
    await rows.take(UPLOAD, "a")
    await rows.save(UPLOAD, "a", "state", 7)
    clock.seconds += 10.5

    assert await others.take(UPLOAD, "b") == Taken("state", was_held=True)


async def test_a_writer_that_was_taken_for_dead_changes_nothing(
    rows: StagingRows, others: StagingRows, clock: Clock
) -> None:
    """It learns it when it saves; what else it says is not heard."""
    await rows.take(UPLOAD, "a")
    clock.seconds += 10.5
    await others.take(UPLOAD, "b")
    await others.save(UPLOAD, "b", "theirs", 7)

    with pytest.raises(StagedBytesBusy):
        await rows.save(UPLOAD, "a", "mine", 9)
    await rows.release(UPLOAD, "a")
    await rows.remove(UPLOAD, "a")
    await rows.still_here()

    with pytest.raises(StagedBytesBusy):
        await rows.take(UPLOAD, "c")
    clock.seconds += 10.5
    assert await rows.take(UPLOAD, "c") == Taken("theirs", was_held=True)


async def test_a_process_that_lives_keeps_what_it_holds(rows: StagingRows, others: StagingRows, clock: Clock) -> None:
    """All of it, with one word, and nothing of another's."""
    await rows.take(UPLOAD, "a")
    await others.take(OTHER_UPLOAD, "b")
    clock.seconds += 9
    await rows.still_here()
    clock.seconds += 9

    with pytest.raises(StagedBytesBusy):
        await others.take(UPLOAD, "c")
    assert (await rows.take(OTHER_UPLOAD, "c")).was_held


async def test_saving_is_a_sign_of_life(rows: StagingRows, others: StagingRows, clock: Clock) -> None:
    """And renews when the upload was touched."""
    await rows.take(UPLOAD, "a")
    clock.seconds += 9
    await rows.save(UPLOAD, "a", "state", 7)
    clock.seconds += 9

    with pytest.raises(StagedBytesBusy):
        await others.take(UPLOAD, "b")
    assert await _all(others) == [StagingRecord(UPLOAD, 7, 1009)]


async def test_an_upload_that_was_released_is_free_at_once(rows: StagingRows, others: StagingRows) -> None:
    """Also for the process that held it, whose later words are not of it."""
    await rows.take(UPLOAD, "a")
    await rows.release(UPLOAD, "a")
    await rows.still_here()

    assert await others.take(UPLOAD, "b") == Taken(None, was_held=False)


async def test_a_removed_upload_begins_again(rows: StagingRows, others: StagingRows) -> None:
    """Nothing is left of it, and its former writer has no say."""
    await rows.take(UPLOAD, "a")
    await rows.save(UPLOAD, "a", "state", 7)
    await rows.remove(UPLOAD, "a")

    with pytest.raises(StagedBytesBusy):
        await rows.save(UPLOAD, "a", "state", 9)
    assert await others.take(UPLOAD, "b") == Taken(None, was_held=False)


@pytest.mark.parametrize("is_abandoned", [False, True])
async def test_of_many_that_take_an_upload_at_once_one_has_it(
    rows: StagingRows, others: StagingRows, clock: Clock, *, is_abandoned: bool
) -> None:
    """Whether it is there already or not."""
    if is_abandoned:
        await rows.take(UPLOAD, "a")
        clock.seconds += 11

    taken = await asyncio.gather(
        *(process.take(UPLOAD, f"{number}") for number, process in enumerate([rows, others] * 4)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, Taken) for one in taken) == 1
    assert sum(isinstance(one, StagedBytesBusy) for one in taken) == 7


async def test_all_rows_are_told_across_pages(rows: StagingRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, by id."""
    monkeypatch.setattr("storage.metadata.staging._PAGE", 2)
    ids = [f"{number:032x}" for number in range(5)]
    for upload_id in ids:
        await rows.take(upload_id, "a")

    assert [replace(record, touched_at=0) for record in await _all(rows)] == [StagingRecord(id_, 0, 0) for id_ in ids]
