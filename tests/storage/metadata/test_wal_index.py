"""The header of the WAL index: what moves it, and what does not."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.metadata import wal_index
from storage.metadata.sqlite import SqliteDatabase
from storage.metadata.wal_index import wal_index_of

_ADD = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO thing VALUES (1)'); c.commit()"


async def said_by(program: str, file: Path) -> str:
    """What a program that knows nothing of this one says of its failure, nothing if it had none."""
    command = [sys.executable, "-c", program, str(file)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    return done.stderr


async def test_a_commit_of_this_process_is_told(file: SqliteDatabase) -> None:
    before = file.last_commit()

    await file.write(lambda c: c.exec_driver_sql("INSERT INTO thing VALUES (1)").close())

    assert before is not None
    assert file.last_commit() not in {before, None}


async def test_a_commit_of_a_program_that_knows_nothing_of_this_one_is_told(
    file: SqliteDatabase, tmp_path: Path
) -> None:
    before = file.last_commit()

    assert await said_by(_ADD, tmp_path / "file.db") == ""

    assert file.last_commit() not in {before, None}


async def test_no_two_of_many_commits_look_the_same(file: SqliteDatabase) -> None:
    """Nor those that write the very same bytes in the very same place, nor those after the log began anew."""
    seen = [file.last_commit()]

    for number in range(50):
        await file.write(lambda c: c.exec_driver_sql("DELETE FROM thing").close())
        await file.write(lambda c: c.exec_driver_sql("INSERT INTO thing VALUES (1)").close())
        if number % 10 == 0:
            assert await file.forget()
        seen.append(file.last_commit())

    assert len(set(seen)) == len(seen)


async def test_reading_moves_nothing(file: SqliteDatabase) -> None:
    before = file.last_commit()

    await file.read(lambda c: c.exec_driver_sql("SELECT * FROM thing").all())
    await file.scan(lambda c: c.exec_driver_sql("SELECT * FROM thing").all())

    assert file.last_commit() == before


async def test_what_is_undone_or_under_way_moves_nothing(file: SqliteDatabase, tmp_path: Path) -> None:
    before = file.last_commit()

    with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO thing VALUES (zeroblob(100000))")
        assert file.last_commit() == before
        other.execute("ROLLBACK")

    assert file.last_commit() == before


async def test_the_locks_of_sqlite_are_left_alone(file: SqliteDatabase, tmp_path: Path) -> None:
    """Looking opens no other descriptor: to close one would open the database to two writers at once."""
    with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None)) as ours:
        ours.execute("BEGIN IMMEDIATE")
        index = wal_index_of(tmp_path / "file.db")
        assert index is not None
        index.close()
        said = await said_by(_ADD.replace("argv[1]", "argv[1], timeout=0"), tmp_path / "file.db")

    assert "locked" in said


async def test_a_database_that_nobody_has_open_has_none(tmp_path: Path) -> None:
    assert wal_index_of(tmp_path / "none.db") is None


async def test_where_the_system_tells_of_no_descriptors_nothing_is_told_and_all_is_read(
    file: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_index, "_DESCRIPTORS", tmp_path / "none")

    assert file.last_commit() is None
    assert await file.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM thing").scalar_one()) == 0


async def test_a_closed_database_tells_nothing(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "file.db")
    assert database.last_commit() is not None
    await database.close()

    assert database.last_commit() is None


async def test_a_database_is_found_through_a_link(tmp_path: Path) -> None:
    """SQLite opens what a link leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    database = SqliteDatabase(tmp_path / "link" / "file.db")

    assert database.last_commit() is not None
    await database.close()
