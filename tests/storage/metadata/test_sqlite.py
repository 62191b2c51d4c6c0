"""SQLite: what its connections are set to, and a disk that is full."""

import asyncio
import gc
import sqlite3
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from storage.errors import DatabaseUnavailable, NoSpace
from storage.metadata.database import OneStatement
from storage.metadata.sqlite import SqliteDatabase


def pragma(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def store(connection: Connection, size: int) -> None:
    connection.exec_driver_sql(f"INSERT INTO thing VALUES (zeroblob({size}))")


def fill(connection: Connection) -> None:
    """Let the file grow no further."""
    pragma(connection, f"max_page_count = {pragma(connection, 'page_count')}")


def holding(folder: Path, needle: bytes) -> list[str]:
    """The files that hold some bytes."""
    return [path.name for path in folder.iterdir() if needle in path.read_bytes()]


def count(connection: Connection) -> object:
    return connection.exec_driver_sql("SELECT count(*) FROM thing").scalar_one()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1), ("secure_delete", 1), ("query_only", 0)],
)
async def test_the_writer_waits_for_the_disk(file: SqliteDatabase, name: str, expected: object) -> None:
    """An acknowledged write is durable: 2 is FULL, which syncs the log at every commit."""
    assert await file.write(lambda c: pragma(c, name)) == expected


async def test_what_undoes_a_statement_is_kept_in_memory(file: SqliteDatabase) -> None:
    """Not in a file that anybody may find where the system keeps such: 2 is MEMORY."""
    assert await file.write(lambda c: pragma(c, "temp_store")) == 2


async def test_a_database_may_be_written_without_waiting_for_the_disk(tmp_path: Path) -> None:
    """What changes with every request may lose its last seconds, never the file: 1 is NORMAL."""
    database = SqliteDatabase(tmp_path / "activity.db", durable=False)

    assert await database.write(lambda c: pragma(c, "synchronous")) == 1
    await database.close()


async def test_a_read_cannot_write(file: SqliteDatabase) -> None:
    with pytest.raises(DatabaseUnavailable):
        await file.read(lambda c: store(c, 1))


async def test_a_scan_cannot_write(file: SqliteDatabase) -> None:
    with pytest.raises(DatabaseUnavailable):
        await file.scan(lambda c: store(c, 1))


async def test_a_write_that_does_not_fit_raises_no_space(file: SqliteDatabase) -> None:
    await file.write(fill)

    with pytest.raises(NoSpace):
        await file.write(lambda c: store(c, 100_000))


async def test_a_write_that_does_not_fit_leaves_nothing(file: SqliteDatabase) -> None:
    await file.write(fill)

    def change(connection: Connection) -> None:
        store(connection, 10)
        store(connection, 100_000)

    with pytest.raises(NoSpace):
        await file.write(change)

    assert await file.read(count) == 0


async def test_a_write_that_does_not_fit_takes_no_neighbour_with_it(file: SqliteDatabase) -> None:
    await file.write(fill)
    sizes = (10, 100_000, 10)

    outcomes = await asyncio.gather(*(file.write(partial(store, size=size)) for size in sizes), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), NoSpace, type(None)]
    assert await file.read(count) == 2


async def test_writes_that_shared_an_undone_transaction_are_made_on_their_own(file: SqliteDatabase) -> None:
    """A disk that fills up while a transaction runs makes SQLite undo all of it, not only the change at fault."""

    def overflow(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does
        raise NoSpace

    changes = [lambda c: store(c, 1), overflow, lambda c: store(c, 2)]

    outcomes = await asyncio.gather(*(file.write(change) for change in changes), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), NoSpace, type(None)]
    assert await file.read(count) == 2


async def test_nobody_hears_of_success_when_the_transaction_was_undone(file: SqliteDatabase) -> None:
    """Whatever made SQLite undo a transaction, no change of it counts as made."""

    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does
        raise DatabaseUnavailable("disk I/O error")

    changes = [lambda c: store(c, 1), fail, lambda c: store(c, 2)]

    outcomes = await asyncio.gather(*(file.write(change) for change in changes), return_exceptions=True)

    made = [outcome for outcome in outcomes if outcome is None]
    assert await file.read(count) == len(made)


async def test_writes_go_on_when_there_is_space_again(file: SqliteDatabase) -> None:
    await file.write(fill)
    with pytest.raises(NoSpace):
        await file.write(lambda c: store(c, 100_000))
    await file.write(lambda c: pragma(c, "max_page_count = 1000"))

    await file.write(lambda c: store(c, 100_000))

    assert await file.read(count) == 1


async def test_a_file_that_cannot_be_opened_is_a_fact_about_storage(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "missing" / "file.db")

    for use in (database.read, database.scan, database.write):
        with pytest.raises(DatabaseUnavailable):
            await use(count)
    await database.close()


@pytest.mark.parametrize("kind_of", [partial, OneStatement])
async def test_a_change_waits_until_another_process_has_made_its_own(
    file: SqliteDatabase,
    tmp_path: Path,
    kind_of: Callable[[Callable[[Connection], None]], Callable[[Connection], None]],
) -> None:
    other = sqlite3.connect(tmp_path / "file.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(file.write(kind_of(partial(store, size=1))))
    await asyncio.sleep(0.03)
    assert not writing.done()

    other.execute("INSERT INTO thing VALUES ('of another')")
    other.execute("COMMIT")

    await writing
    assert await file.read(count) == 2
    other.close()


async def test_nobody_waits_for_those_before_him(tmp_path: Path) -> None:
    """A locked database fails what waits for it within a bound, not one group after another."""
    path = tmp_path / "file.db"
    database = SqliteDatabase(path, busy_seconds=0.2, patience_seconds=0.3)
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE thing (content BLOB)").close())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    changes = [database.write(partial(store, size=1)) for _ in range(64 * 20)]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailable}
    # Each of the twenty groups that is tried takes 0.2 s, so two or three are before the patience of all has ended.
    untried = [outcome for outcome in outcomes if "locked for too long" in str(outcome)]
    assert len(untried) > len(outcomes) / 2
    other.execute("ROLLBACK")
    other.close()
    await database.write(partial(store, size=1))
    await database.close()


async def test_a_database_that_is_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    """What was read from, scanned and written to is let go of whole."""
    database = SqliteDatabase(tmp_path / "file.db")
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE thing (content BLOB)").close())
    await database.read(count)
    await database.scan(count)

    await database.close()

    left = weakref.ref(database)
    del database
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("leaves_another", [False, True])
async def test_a_file_that_is_not_at_its_path_takes_no_change(
    file: SqliteDatabase, tmp_path: Path, *, leaves_another: bool
) -> None:
    """A change would be acknowledged, and lost with the file; reading goes on."""
    path = tmp_path / "file.db"
    path.rename(tmp_path / "moved.db")
    if leaves_another:
        path.touch()

    with pytest.raises(DatabaseUnavailable, match="was moved"):
        await file.write(partial(store, size=1))
    with pytest.raises(DatabaseUnavailable, match="was moved"):
        await file.scan(count)

    assert path.exists() == leaves_another
    path.unlink(missing_ok=True)
    (tmp_path / "moved.db").rename(path)
    await file.write(partial(store, size=1))
    assert await file.read(count) == 1


async def test_nothing_is_left_of_what_was_removed(file: SqliteDatabase, tmp_path: Path) -> None:
    """Whoever gets hold of the files does not find it, in free pages, between rows, or in the log."""

    def change(connection: Connection, statement: str) -> None:
        connection.exec_driver_sql(statement)

    for size in (1, 300, 5_000):
        await file.write(partial(change, statement=f"INSERT INTO thing VALUES ('canary' || hex(zeroblob({size})))"))
    await file.write(partial(change, statement="UPDATE thing SET content = 'short' WHERE length(content) > 9000"))
    await file.write(partial(change, statement="DELETE FROM thing WHERE length(content) > 100"))
    await file.write(partial(change, statement="UPDATE thing SET content = 'gone'"))
    assert holding(tmp_path, b"canary")

    assert await file.forget()

    assert holding(tmp_path, b"canary") == []


async def test_a_log_that_is_read_cannot_be_emptied(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "file.db", busy_seconds=0.01)
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE thing (content BLOB)").close())
    reader = sqlite3.connect(tmp_path / "file.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM thing").fetchall()
    await database.write(lambda c: store(c, 10))

    assert not await database.forget()

    reader.close()
    assert await database.forget()
    await database.close()
