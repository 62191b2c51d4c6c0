"""Answers that are given again: always what the database would say now."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from storage.metadata.answers import Answers
from storage.metadata.sqlite import SqliteDatabase

READ: Final = "SELECT value FROM thing WHERE name = ?"


class Asking:
    """Asks for things, and counts how often the database was asked."""

    def __init__(self, database: SqliteDatabase, *, most: int = 10) -> None:
        self.answers: Answers[str, int | None] = Answers(database, most=most, is_kept=lambda value: value != 13)
        self.asked = 0

    async def get(self, name: str) -> int | None:
        def query(connection: Connection) -> int | None:
            self.asked += 1
            return connection.exec_driver_sql(READ, (name,)).scalar_one_or_none()

        return await self.answers.get(name, query)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE thing (name TEXT PRIMARY KEY, value INTEGER)")
    connection.close()
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path)
    yield database
    await database.close()


async def put(database: SqliteDatabase, name: str, value: int) -> None:
    await database.write(lambda c: c.exec_driver_sql("REPLACE INTO thing VALUES (?, ?)", (name, value)).close())


async def test_nothing_is_asked_twice_while_nothing_changes(database: SqliteDatabase) -> None:
    await put(database, "a", 1)
    asking = Asking(database)

    assert [await asking.get(name) for name in "abab"] == [1, None, 1, None]
    assert asking.asked == 2


async def test_a_change_of_ones_own_is_seen(database: SqliteDatabase) -> None:
    asking = Asking(database)
    for value in range(20):
        await put(database, "a", value)
        assert await asking.get("a") == value


async def test_a_change_of_another_process_is_seen(database: SqliteDatabase, path: Path) -> None:
    """As soon as that knows that it is committed."""
    asking = Asking(database)
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for line in sys.stdin:\n"
        "    connection.execute('REPLACE INTO thing VALUES (?, ?)', ('a', int(line)))\n"
        "    print('done', flush=True)\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    for value in range(100):
        other.stdin.write(b"%d\n" % value)
        assert await other.stdout.readline() == b"done\n"
        assert await asking.get("a") == value
        assert await asking.get("a") == value
    other.stdin.close()
    assert await other.wait() == 0
    assert asking.asked <= 101  # opening the database may count as a change


@pytest.mark.parametrize("mode", ["PASSIVE", "RESTART", "TRUNCATE"])
async def test_a_change_is_seen_however_the_log_is_emptied(database: SqliteDatabase, path: Path, mode: str) -> None:
    asking = Asking(database)
    other = sqlite3.connect(path, isolation_level=None)
    for value in range(20):
        other.execute("REPLACE INTO thing VALUES ('a', ?)", (value,))
        assert await asking.get("a") == value
        other.execute(f"PRAGMA wal_checkpoint({mode})")
        assert await asking.get("a") == value
    other.close()


async def test_a_change_that_is_not_committed_is_not_seen(database: SqliteDatabase, path: Path) -> None:
    await put(database, "a", 1)
    asking = Asking(database)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("REPLACE INTO thing VALUES ('a', 2)")

    assert await asking.get("a") == 1
    other.execute("COMMIT")
    assert await asking.get("a") == 2
    other.close()


async def test_a_question_that_was_answered_while_something_changed_is_asked_again(
    database: SqliteDatabase, path: Path
) -> None:
    """Nobody can tell whether the answer was of before or after."""
    other = sqlite3.connect(path, isolation_level=None)
    answers: Answers[str, int | None] = Answers(database, most=10)

    def slowly(connection: Connection) -> int | None:
        found: int | None = connection.exec_driver_sql(READ, ("a",)).scalar_one_or_none()
        other.execute("REPLACE INTO thing VALUES ('a', 5)")
        return found

    assert await answers.get("a", slowly) is None
    assert await answers.get("a", slowly) == 5
    other.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["ours", "theirs", "ask", "empty"]), st.sampled_from("abc"), st.integers(0, 20)),
        max_size=30,
    )
)
async def test_answers_are_what_the_database_says(
    database: SqliteDatabase, path: Path, steps: list[tuple[str, str, int]]
) -> None:
    asking, other = Asking(database, most=2), sqlite3.connect(path, isolation_level=None)
    for step, name, value in steps:
        match step:
            case "ours":
                await put(database, name, value)
            case "theirs":
                other.execute("REPLACE INTO thing VALUES (?, ?)", (name, value))
            case "empty":
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = other.execute(READ, (name,)).fetchone()
        assert await asking.get(name) == (row[0] if row else None)
    other.close()


async def test_only_so_many_answers_are_kept(database: SqliteDatabase) -> None:
    asking = Asking(database, most=2)
    for name in "abcabc":
        await asking.get(name)

    assert asking.asked > 3
    assert len(asking.answers._kept) <= 2


async def test_an_answer_that_is_not_worth_it_is_not_kept(database: SqliteDatabase) -> None:
    await put(database, "a", 13)
    asking = Asking(database)

    assert [await asking.get("a"), await asking.get("a")] == [13, 13]
    assert asking.asked == 2


async def test_without_a_log_every_question_is_asked(tmp_path: Path) -> None:
    """There is nothing to tell by whether anything changed."""
    database = SqliteDatabase(tmp_path / "missing" / "file.db")

    assert database.version() is None
    await database.close()
