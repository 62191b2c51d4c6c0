"""What is remembered of a database, and for how long."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from storage.metadata.remembered import Remembered
from storage.metadata.sqlite import SqliteDatabase

T = TypeVar("T")


class Counting(SqliteDatabase):
    """A database that counts what it is asked, and runs `between` before it answers."""

    asked = 0

    async def between(self) -> None:
        """What happens after a question was put and before it is answered."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Count, and read."""
        self.asked += 1
        await self.between()
        return await super().read(query)


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Counting]:
    """A database with one thing in it."""
    database = Counting(tmp_path / "file.db")
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE thing (name TEXT, size INTEGER)").close())
    await put(database, 1)
    yield database
    await database.close()


async def put(database: SqliteDatabase, size: int) -> None:
    """Let there be one thing of this size."""

    def change(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM thing")
        connection.exec_driver_sql("INSERT INTO thing VALUES ('a', ?)", (size,))

    await database.write(change)


def size_of(connection: Connection, name: str) -> int | None:
    """The size of a thing."""
    return connection.exec_driver_sql("SELECT size FROM thing WHERE name = ?", (name,)).scalar_one_or_none()


async def test_a_question_is_put_once_as_long_as_nobody_commits(file: Counting) -> None:
    sizes = Remembered(file, size_of)

    assert [await sizes.read("a") for _ in range(3)] == [1, 1, 1]
    assert file.asked == 1


async def test_what_is_not_there_is_remembered_too(file: Counting) -> None:
    sizes = Remembered(file, size_of)

    assert [await sizes.read("b") for _ in range(3)] == [None, None, None]
    assert file.asked == 1


async def test_a_commit_is_seen_at_the_next_question(file: Counting) -> None:
    sizes = Remembered(file, size_of)
    await sizes.read("a")

    await put(file, 2)

    assert await sizes.read("a") == 2


async def test_an_answer_that_a_commit_overtakes_is_not_kept_as_the_newer_one(file: Counting) -> None:
    """Two readers at once: the first one's answer is older than the commit that the second has seen."""
    sizes = Remembered(file, size_of)
    answers: list[int | None] = []

    async def overtake() -> None:
        if file.asked == 1:
            await put(file, 2)
            answers.append(await sizes.read("a"))

    file.between = overtake  # type: ignore[method-assign]
    await sizes.read("a")

    assert answers == [2]
    await put(file, 3)
    assert await sizes.read("a") == 3


async def test_memory_is_bounded_by_what_answers_weigh(file: Counting) -> None:
    sizes = Remembered(file, size_of, weight=lambda _: 10, most=25)

    for name in ("a", "b", "c", "c", "c"):
        await sizes.read(name)

    assert file.asked == 3
    await sizes.read("a")
    assert file.asked == 4


async def test_what_weighs_too_much_is_asked_for_each_time(file: Counting) -> None:
    sizes = Remembered(file, size_of, weight=lambda _: 10, most=5)

    assert [await sizes.read("a") for _ in range(2)] == [1, 1]
    assert file.asked == 2


async def test_where_nobody_can_tell_of_commits_every_question_is_put(
    file: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "last_commit", lambda: None)
    sizes = Remembered(file, size_of)

    assert [await sizes.read("a") for _ in range(2)] == [1, 1]
    assert file.asked == 2
