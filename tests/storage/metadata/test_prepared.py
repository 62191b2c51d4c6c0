"""Statements that are built once: on both databases they do what SQLAlchemy would have them do."""

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, bindparam, create_engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.errors import DatabaseUnavailable
from storage.metadata import activity_schema
from storage.metadata.activity_schema import login_failure, sealed_upload
from storage.metadata.database import Database
from storage.metadata.prepared import Insert, Prepared, Value, on_sqlite

_ROW = login_failure.c
ADD = Prepared(insert(login_failure))
GET = Prepared(select(_ROW.failures, _ROW.checking, _ROW.began_at).where(_ROW.id == bindparam("who")))
COUNT = Prepared(select(func.count()).select_from(login_failure))
MOVE = Prepared(
    update(login_failure).where(_ROW.id == bindparam("who"), _ROW.failures > 1).values(failures=bindparam("now"))
)
REMOVE = Prepared(delete(login_failure).where(_ROW.id == bindparam("who")))


def _replacing(begin: Insert) -> Any:
    new = begin(login_failure)
    return new.on_conflict_do_update(index_elements=["id"], set_={"failures": new.excluded.failures})


REPLACE = Prepared(_replacing)
TAKE = Prepared(lambda begin: begin(login_failure).on_conflict_do_nothing().returning(_ROW.failures))


def row(who: str, failures: int = 1) -> dict[str, str | bytes | int | float | None]:
    return {"id": who, "failures": failures, "checking": 0, "began_at": 1.5}


async def test_what_was_added_is_found(activity: Database) -> None:
    await activity.write(lambda c: ADD.change(c, **row("a", 3)))

    assert await activity.read(lambda c: tuple(GET.row(c, who="a") or ())) == (3, 0, 1.5)
    assert await activity.read(lambda c: GET.value(c, who="a")) == 3
    assert await activity.read(lambda c: [tuple(each) for each in GET.rows(c, who="a")]) == [(3, 0, 1.5)]


async def test_what_is_not_there_is_none(activity: Database) -> None:
    assert await activity.read(lambda c: GET.row(c, who="a")) is None
    assert await activity.read(lambda c: GET.value(c, who="a")) is None
    assert await activity.read(lambda c: GET.rows(c, who="a")) == []


async def test_changes_are_counted(activity: Database) -> None:
    """Constants of the statement are bound with what differs from run to run."""
    await activity.write(lambda c: ADD.many(c, [row("a", 1), row("b", 2)]))

    assert await activity.write(lambda c: MOVE.change(c, who="a", now=9)) == 0
    assert await activity.write(lambda c: MOVE.change(c, who="b", now=9)) == 1
    assert await activity.read(lambda c: GET.value(c, who="b")) == 9
    assert await activity.write(lambda c: REMOVE.change(c, who="b")) == 1
    assert await activity.write(lambda c: REMOVE.change(c, who="b")) == 0


async def test_many_rows_are_as_many_changes(activity: Database) -> None:
    await activity.write(lambda c: ADD.many(c, [row(str(number)) for number in range(50)]))
    await activity.write(lambda c: ADD.many(c, []))

    assert await activity.read(COUNT.value) == 50


async def test_a_conflict_is_resolved_in_both_dialects(activity: Database) -> None:
    await activity.write(lambda c: REPLACE.change(c, **row("a", 1)))
    await activity.write(lambda c: REPLACE.change(c, **row("a", 5)))

    assert await activity.read(lambda c: GET.value(c, who="a")) == 5
    assert await activity.write(lambda c: TAKE.value(c, **row("a", 7))) is None
    assert await activity.write(lambda c: TAKE.value(c, **row("b", 7))) == 7


async def test_a_key_that_is_taken_fails_the_change_alone(activity: Database) -> None:
    await activity.write(lambda c: ADD.change(c, **row("a", 1)))

    with pytest.raises(DatabaseUnavailable):
        await activity.write(lambda c: ADD.many(c, [row("b"), row("a")]))
    assert await activity.read(COUNT.value) == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30),
    header=st.none() | st.binary(max_size=128),
    offset=st.integers(0, 2**63 - 1),
    touched=st.floats(allow_nan=False, allow_infinity=False, width=64),
)
async def test_values_come_back_as_they_were(
    activity: Database, who: str, header: bytes | None, offset: int, touched: float
) -> None:
    """Whatever they look like to SQL."""
    values: dict[str, Value] = {
        "upload_id": who,
        "mark": "' OR :x",
        "header": header,
        "offset": offset,
        "touched_at": touched,
    }
    flags: dict[str, Value] = {"is_open": True, "is_cut": False, "inner_mark": ""}

    def change(connection: Connection) -> Any:
        _DROP.change(connection, who=who)
        _KEEP.change(connection, **values, **flags)
        return tuple(_KEPT.row(connection, who=who) or ())

    kept = await activity.write(change)

    assert kept[:5] == (who, "' OR :x", header, offset, touched)
    assert [bool(kept[5]), bool(kept[6])] == [True, False]


_S = sealed_upload.c
_KEEP = Prepared(insert(sealed_upload))
_DROP = Prepared(delete(sealed_upload).where(_S.upload_id == bindparam("who")))
_KEPT = Prepared(
    select(_S.upload_id, _S.mark, _S.header, _S.offset, _S.touched_at, _S.is_open, _S.is_cut).where(
        _S.upload_id == bindparam("who")
    )
)


def test_the_errors_of_the_driver_are_those_of_sqlalchemy() -> None:
    engine = create_engine("sqlite://")
    activity_schema.ACTIVITY.create_all(engine)
    with engine.connect() as connection:
        ADD.change(connection, **row("a"))
        with pytest.raises(IntegrityError):
            ADD.change(connection, **row("a"))
        with pytest.raises(OperationalError):
            on_sqlite(connection, "SELECT * FROM nothing")
    engine.dispose()


def test_threads_may_meet_at_the_first_run() -> None:
    """Whoever compiles it, it is the same statement."""
    failures: list[BaseException] = []
    for _ in range(20):
        statement, start = (
            Prepared(select(_ROW.failures).where(_ROW.id == "a", _ROW.checking == 0)),
            threading.Barrier(4),
        )

        def run(statement: Prepared = statement, start: threading.Barrier = start) -> None:
            engine = create_engine("sqlite://")
            activity_schema.ACTIVITY.create_all(engine)
            with engine.connect() as connection:
                ADD.change(connection, **row("a", 4))
                start.wait()
                try:
                    assert statement.value(connection) == 4
                except BaseException as error:  # noqa: BLE001  told below
                    failures.append(error)
            engine.dispose()

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
