"""Upload sessions as rows."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.database import Database, OneStatement
from storage.metadata.sqlite import SqliteDatabase
from storage.metadata.uploads import (
    StoredUpload,
    add_upload,
    find_upload,
    list_idle_uploads,
    move_upload,
    remove_empty_upload,
    remove_idle_upload,
    remove_upload,
)

ONE = StoredUpload("one", "alpha", "arn:alice", "sha256", 0, 100.0)
TWO = StoredUpload("two", "alpha", "arn:bob", "sha512", 7, 200.0)


def opening(stored: StoredUpload, most: int = 10) -> OneStatement[bool]:
    """A change that opens a session of a principal that may have so many."""
    return OneStatement(lambda c: add_upload(c, stored, most=most))


async def test_a_session_is_kept_as_it_was_given(activity: Database) -> None:
    await activity.write(opening(TWO))

    assert await activity.read(lambda c: find_upload(c, "two")) == TWO


async def test_an_unknown_session_is_not_found(activity: Database) -> None:
    assert await activity.read(lambda c: find_upload(c, "one")) is None


async def test_a_session_is_opened_once(activity: Database) -> None:
    await activity.write(opening(ONE))

    with pytest.raises(DatabaseUnavailable):
        await activity.write(opening(ONE))


async def test_a_session_moves_from_where_it_stands(activity: Database) -> None:
    await activity.write(opening(ONE))

    assert await activity.write(lambda c: move_upload(c, "one", before=0, after=5, now=101.0)) is True

    assert await activity.read(lambda c: find_upload(c, "one")) == replace(ONE, committed=5)


async def test_a_session_that_stands_elsewhere_does_not_move(activity: Database) -> None:
    """A writer that lost its place cannot promise bytes that are not there."""
    await activity.write(opening(ONE))
    await activity.write(lambda c: move_upload(c, "one", before=0, after=5, now=101.0))

    assert await activity.write(lambda c: move_upload(c, "one", before=0, after=9, now=102.0)) is False

    assert await activity.read(lambda c: find_upload(c, "one")) == replace(ONE, committed=5)


async def test_a_session_can_move_back(activity: Database) -> None:
    """After a power cut fewer bytes may be there than were promised."""
    await activity.write(opening(TWO))

    assert await activity.write(lambda c: move_upload(c, "two", before=7, after=3, now=201.0)) is True


async def test_a_session_that_is_closed_does_not_move(activity: Database) -> None:
    assert await activity.write(lambda c: move_upload(c, "one", before=0, after=5, now=1.0)) is False


async def test_of_many_that_move_a_session_at_once_one_does(activity: Database) -> None:
    await activity.write(opening(ONE))
    moves = [activity.write(partial(move_upload, upload_id="one", before=0, after=n, now=101.0)) for n in range(1, 11)]

    assert sorted(await asyncio.gather(*moves)) == [False] * 9 + [True]


async def test_a_session_is_closed_once(activity: Database) -> None:
    await activity.write(opening(ONE))

    assert await activity.write(lambda c: remove_upload(c, "one")) is True
    assert await activity.write(lambda c: remove_upload(c, "one")) is False


async def test_an_empty_session_is_closed_unless_somebody_was_promised_bytes_of_it(activity: Database) -> None:
    await activity.write(opening(ONE))
    await activity.write(opening(TWO))

    assert await activity.write(lambda c: remove_empty_upload(c, "one")) is True
    assert await activity.write(lambda c: remove_empty_upload(c, "one")) is False
    assert await activity.write(lambda c: remove_empty_upload(c, "two")) is False
    assert await activity.read(lambda c: find_upload(c, "two")) == TWO


async def test_a_session_is_swept_only_while_it_is_idle(activity: Database) -> None:
    await activity.write(opening(ONE))

    assert await activity.write(lambda c: remove_idle_upload(c, "one", before=100.0)) is False
    assert await activity.write(lambda c: remove_idle_upload(c, "one", before=100.5)) is True
    assert await activity.write(lambda c: remove_idle_upload(c, "one", before=100.5)) is False


async def test_a_principal_may_have_so_many_sessions_and_no_more(activity: Database) -> None:
    for stored in (ONE, TWO, replace(ONE, id="three", repository="beta")):
        assert await activity.write(opening(stored, most=2)) is True

    assert await activity.write(opening(replace(ONE, id="four"), most=2)) is False
    assert await activity.read(lambda c: find_upload(c, "four")) is None
    await activity.write(lambda c: remove_upload(c, "one"))
    assert await activity.write(opening(replace(ONE, id="four"), most=2)) is True


async def test_of_many_that_open_sessions_at_once_no_more_succeed_than_may(activity: Database) -> None:
    """Those of one moment excepted, on PostgreSQL."""
    opened = await asyncio.gather(*(activity.write(opening(replace(ONE, id=f"{n}"), most=3)) for n in range(10)))

    if isinstance(activity, SqliteDatabase):
        assert sorted(opened) == [False] * 7 + [True] * 3
    assert await activity.write(opening(replace(ONE, id="late"), most=3)) is False


async def test_a_session_that_nobody_touched_since_is_idle(activity: Database) -> None:
    for stored in (TWO, ONE):
        await activity.write(opening(stored))

    async def idle(before: float, limit: int = 10) -> list[str]:
        return await activity.scan(lambda c: list_idle_uploads(c, before=before, limit=limit))

    assert await idle(100.0) == []
    assert await idle(100.5) == ["one"]
    assert await idle(201.0) == ["one", "two"]
    assert await idle(201.0, limit=1) == ["one"]


async def test_a_session_that_moved_is_not_idle(activity: Database) -> None:
    await activity.write(opening(ONE))

    await activity.write(lambda c: move_upload(c, "one", before=0, after=5, now=150.0))

    assert await activity.scan(lambda c: list_idle_uploads(c, before=150.0, limit=10)) == []
