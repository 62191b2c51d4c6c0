"""What every metadata database promises, as tests that take a migrated `database`."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from storage.errors import DatabaseUnavailable
from storage.metadata.accounts import add_setting, find_setting
from storage.metadata.database import Database, OneStatement
from storage.metadata.remembered import Remembered
from tests.contracts.database_places import Place

ROOT = Path(__file__).parents[2]


class Refusal(Exception):
    """What a use case raises."""


def names(connection: Connection) -> list[str]:
    """Names of every setting, in order."""
    rows = connection.exec_driver_sql("SELECT name FROM registry_setting").scalars()
    return sorted(rows)


def refuse(connection: Connection) -> None:
    """Write something, then find that it may not be."""
    add_setting(connection, "refused", "x")
    raise Refusal


def add(name: str) -> Callable[[Connection], None]:
    """A change that adds a setting."""
    return partial(add_setting, name=name, value="")


async def test_a_write_returns_what_its_change_returns(database: Database) -> None:
    assert await database.write(lambda _: 42) == 42


async def test_a_read_sees_a_write_that_returned(database: Database) -> None:
    await database.write(lambda c: add_setting(c, "a", "1"))

    assert await database.read(lambda c: find_setting(c, "a")) == "1"


async def test_a_scan_sees_a_write_that_returned(database: Database) -> None:
    await database.write(lambda c: add_setting(c, "a", "1"))

    assert await database.scan(lambda c: find_setting(c, "a")) == "1"


async def test_what_is_remembered_is_what_the_newest_commit_of_another_process_left(
    database: Database, other_database: Database
) -> None:
    settings = Remembered(database, find_setting)
    found = [await settings.read("a"), await settings.read("a")]

    await other_database.write(lambda c: add_setting(c, "a", "1"))

    assert [*found, await settings.read("a"), await settings.read("a")] == [None, None, "1", "1"]


async def test_a_read_sees_the_newest_commit_of_another_process(database: Database, other_database: Database) -> None:
    assert await database.read(names) == []

    await other_database.write(lambda c: add_setting(c, "a", "1"))

    assert await database.read(names) == ["a"]


async def test_a_scan_sees_the_newest_commit_of_another_process(database: Database, other_database: Database) -> None:
    assert await database.scan(names) == []

    await other_database.write(lambda c: add_setting(c, "a", "1"))

    assert await database.scan(names) == ["a"]


async def test_a_change_sees_what_it_wrote(database: Database) -> None:
    def change(connection: Connection) -> str | None:
        add_setting(connection, "a", "1")
        return find_setting(connection, "a")

    assert await database.write(change) == "1"


async def test_what_a_change_raises_reaches_its_caller(database: Database) -> None:
    with pytest.raises(Refusal):
        await database.write(refuse)


async def test_a_change_that_raises_leaves_nothing(database: Database) -> None:
    with contextlib.suppress(Refusal):
        await database.write(refuse)

    assert await database.read(names) == []


async def test_a_change_that_raises_takes_no_neighbour_with_it(database: Database) -> None:
    """Writes that wait together may share a commit, but not a failure."""
    changes = [database.write(add(f"{n:02}") if n % 3 else refuse) for n in range(30)]

    outcomes = await asyncio.gather(*changes, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Refusal, type(None), type(None)] * 10
    assert await database.read(names) == [f"{n:02}" for n in range(30) if n % 3]


@pytest.mark.parametrize("kind_of", [partial, OneStatement])
async def test_a_statement_that_fails_takes_no_neighbour_with_it(
    database: Database, kind_of: Callable[[Callable[[Connection], None]], Callable[[Connection], None]]
) -> None:
    """A row that is there already fails in the database rather than in Python."""
    changes = [database.write(kind_of(add(str(n // 2)))) for n in range(20)]

    outcomes = await asyncio.gather(*changes, return_exceptions=True)

    assert sum(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes) == 10
    assert await database.read(names) == [str(n) for n in range(10)]


async def test_a_change_of_one_statement_is_made_like_any_other(database: Database, other_database: Database) -> None:
    """Alone or beside others, after one that failed, and before one that takes more."""
    for name in ("a", "b"):
        await database.write(OneStatement(add(name)))
    with pytest.raises(DatabaseUnavailable):
        await database.write(OneStatement(add("a")))
    await database.write(add("c"))
    await asyncio.gather(*(database.write(OneStatement(add(f"{n}"))) for n in range(3)), database.write(add("d")))

    assert await other_database.read(names) == ["0", "1", "2", "a", "b", "c", "d"]


async def test_a_refused_statement_is_a_fact_about_storage(database: Database) -> None:
    await database.write(lambda c: add_setting(c, "a", "1"))

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_setting(c, "a", "2"))


async def test_a_query_that_fails_is_a_fact_about_storage(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.read(lambda c: c.exec_driver_sql("SELECT * FROM nowhere"))


async def test_a_scan_that_fails_is_a_fact_about_storage(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.scan(lambda c: c.exec_driver_sql("SELECT * FROM nowhere"))


async def test_reads_go_on_after_one_that_failed(database: Database) -> None:
    with contextlib.suppress(DatabaseUnavailable):
        await database.read(lambda c: c.exec_driver_sql("SELECT * FROM nowhere"))

    assert await database.read(names) == []


async def test_every_one_of_many_concurrent_writes_is_kept(database: Database) -> None:
    await asyncio.gather(*(database.write(add(f"{n:03}")) for n in range(150)))

    assert await database.read(names) == [f"{n:03}" for n in range(150)]


async def test_writers_of_two_processes_both_make_progress(database: Database, other_database: Database) -> None:
    both = (database, other_database)

    await asyncio.gather(*(both[n % 2].write(add(f"{n:03}")) for n in range(60)))

    assert await database.read(names) == [f"{n:03}" for n in range(60)]


async def test_two_changes_of_the_same_row_happen_one_after_another(
    database: Database, other_database: Database
) -> None:
    """Nothing that one of two processes counted is lost."""
    await database.write(lambda c: add_setting(c, "count", "0"))

    def count(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE registry_setting SET value = CAST(CAST(value AS int) + 1 AS text)")

    await asyncio.gather(*(chosen.write(count) for chosen in (database, other_database) for _ in range(20)))

    assert await database.read(lambda c: find_setting(c, "count")) == "40"


async def test_another_process_writes_beside_this_one(place: Place, database: Database) -> None:
    program = (
        "import asyncio, sys, json\n"
        "from tests.contracts.database_places import Place\n"
        "from storage.metadata.accounts import add_setting\n"
        "from storage.metadata.migration import REGISTRY_SCHEMA\n"
        "async def main():\n"
        "    async with Place(*json.loads(sys.argv[1])).opened(REGISTRY_SCHEMA) as database:\n"
        "        for n in range(20):\n"
        "            await database.write(lambda c: add_setting(c, f'theirs {n:02}', ''))\n"
        "asyncio.run(main())\n"
    )
    arguments = [sys.executable, "-c", program, json.dumps([place.kind, place.address, place.namespace])]
    process = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stderr=subprocess.PIPE)
    written = 0
    while process.returncode is None:
        await database.write(add(f"ours {written:05}"))
        written += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)

    _, errors = await process.communicate()

    assert (process.returncode, errors) == (0, b"")
    theirs = [name for name in await database.read(names) if name.startswith("theirs")]
    assert theirs == [f"theirs {n:02}" for n in range(20)]
    assert len(await database.read(names)) == written + 20


async def test_a_change_whose_caller_was_cancelled_is_made_whole_or_not_at_all(database: Database) -> None:
    def change(connection: Connection, number: int) -> None:
        add_setting(connection, f"first {number}", "")
        add_setting(connection, f"second {number}", "")

    tasks = [asyncio.ensure_future(database.write(partial(change, number=n))) for n in range(20)]
    await asyncio.sleep(0)
    for number, task in enumerate(tasks):
        task.cancel()
        if number % 5 == 0:
            await asyncio.sleep(0.001)

    await asyncio.gather(*tasks, return_exceptions=True)
    await database.write(lambda _: None)

    found = await database.read(names)
    assert {name.removeprefix("first ") for name in found if "first" in name} == {
        name.removeprefix("second ") for name in found if "second" in name
    }


async def test_writes_go_on_after_a_caller_was_cancelled(database: Database) -> None:
    cancelled = asyncio.ensure_future(database.write(lambda c: add_setting(c, "a", "1")))
    await asyncio.sleep(0)
    cancelled.cancel()

    await database.write(lambda c: add_setting(c, "b", "2"))

    assert await database.read(lambda c: find_setting(c, "b")) == "2"


async def test_closing_finishes_the_writes_that_wait(
    place: Place, database: Database, other_database: Database
) -> None:
    """A server that stops keeps what it began: every write is finished when `close` returns."""
    writes = [asyncio.ensure_future(database.write(add(f"{n:02}"))) for n in range(40)]
    await asyncio.sleep(0)

    await database.close()

    assert await other_database.read(names) == [f"{n:02}" for n in range(40)]
    assert await asyncio.gather(*writes) == [None] * 40


async def test_closing_twice_does_nothing(database: Database) -> None:
    await database.write(lambda _: None)
    await database.close()

    await database.close()


async def test_a_database_that_was_never_used_can_be_closed(database: Database) -> None:
    await database.close()


async def test_a_write_after_closing_is_refused(database: Database) -> None:
    """A caller that comes too late is answered rather than left waiting."""
    await database.write(lambda _: None)
    await database.close()

    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(database.write(lambda _: None), 5)
