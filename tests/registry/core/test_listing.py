"""Runs of rows: short ones are read where the event loop waits for them."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from registry.core.listing import read_run


class Counting:
    """A database that has so many rows, and counts how it was asked for them."""

    def __init__(self, rows: int) -> None:
        self.rows = list(range(rows))
        self.reads = 0
        self.scans = 0

    async def read(self, query: Callable[[Connection], Any]) -> Any:
        self.reads += 1
        return query(self)  # type: ignore[arg-type]  # the query asks nothing of it but its rows

    async def scan(self, query: Callable[[Connection], Any]) -> Any:
        self.scans += 1
        return query(self)  # type: ignore[arg-type]  # the same

    async def write(self, _change: Callable[[Connection], Any], /) -> Any:
        raise AssertionError

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize(
    ("rows", "limit", "scans"), [(0, 10, 0), (10, 10, 0), (10, 100_000, 0), (199, 100_000, 0), (5000, 50, 0)]
)
async def test_a_short_run_is_read_on_the_loop(rows: int, limit: int, scans: int) -> None:
    database = Counting(rows)

    found = await read_run(database, limit, lambda c, most: c.rows[:most])  # type: ignore[attr-defined]

    assert found == list(range(min(rows, limit)))
    assert (database.reads, database.scans) == (1, scans)


@pytest.mark.parametrize(("rows", "limit"), [(200, 100_000), (5000, 100_000), (5000, 300)])
async def test_a_long_run_is_read_elsewhere(rows: int, limit: int) -> None:
    database = Counting(rows)

    found = await read_run(database, limit, lambda c, most: c.rows[:most])  # type: ignore[attr-defined]

    assert found == list(range(min(rows, limit)))
    assert database.scans == 1


async def test_how_long_a_short_run_is_depends_on_what_it_is_of() -> None:
    database = Counting(1000)

    found = await read_run(database, 100_000, lambda c, most: c.rows[:most], short=1024)  # type: ignore[attr-defined]

    assert (len(found), database.reads, database.scans) == (1000, 1, 0)
