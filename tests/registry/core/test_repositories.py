"""Repositories: they appear on first push, and list by name."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from registry.core.errors import RepositoryUnknown
from registry.core.names import RepositoryName
from registry.core.repositories import Listing, Page, Repositories, locked_repository
from storage.metadata.database import Database
from tests.registry.core.services import ALPHA, Core

T = TypeVar("T")


class CountedScans:
    """A database that counts what it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.scans = 0

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        self.scans += 1
        return await self._database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(change)

    async def close(self) -> None:
        await self._database.close()


async def make(core: Core, *names: str) -> None:
    def change(connection: Connection) -> None:
        for name in names:
            locked_repository(connection, RepositoryName(name), create=True, now=1.0)

    await core.database.write(change)


async def anyone(names: Sequence[str]) -> list[str]:
    return list(names)


def only(*seen: str) -> Callable[[Sequence[str]], Awaitable[list[str]]]:
    """A caller who may know of these repositories."""

    async def visible(names: Sequence[str]) -> list[str]:
        return [name for name in names if name in seen]

    return visible


async def test_a_repository_that_was_made_is_known(core: Core) -> None:
    assert await core.repositories.is_known(ALPHA) is False

    await make(core, "alpha")

    assert await core.repositories.is_known(ALPHA) is True


async def test_making_a_repository_again_finds_it(core: Core) -> None:
    def change(connection: Connection) -> int:
        return locked_repository(connection, ALPHA, create=True, now=1.0)

    assert await core.database.write(change) == await core.database.write(change)


async def test_a_repository_that_may_not_be_made_is_unknown(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.database.write(lambda c: locked_repository(c, ALPHA, create=False, now=1.0))

    assert await core.repositories.is_known(ALPHA) is False


async def test_the_catalog_lists_names_by_bytes(core: Core) -> None:
    await make(core, "b", "a_b", "a-b", "a/b")

    assert await core.repositories.catalog(Page(), anyone) == Listing(["a-b", "a/b", "a_b", "b"], more=False)


async def test_the_catalog_takes_no_more_than_a_page_holds(core: Core) -> None:
    await make(core, *"abcdefg")

    assert await core.repositories.catalog(Page(), anyone) == Listing(list("abcde"), more=True)
    assert await core.repositories.catalog(Page(limit=100), anyone) == Listing(list("abcde"), more=True)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(limit=2), Listing(["a", "b"], more=True)),
        (Page(last="b", limit=2), Listing(["c", "d"], more=False)),
        (Page(last="bb", limit=1), Listing(["c"], more=True)),
        (Page(last="d", limit=2), Listing([], more=False)),
        (Page(limit=0), Listing([], more=False)),
        (Page(limit=4), Listing(["a", "b", "c", "d"], more=False)),
    ],
)
async def test_the_catalog_has_pages(core: Core, page: Page, expected: Listing) -> None:
    await make(core, *"abcd")

    assert await core.repositories.catalog(page, anyone) == expected


async def test_the_catalog_shows_what_the_caller_may_see(core: Core) -> None:
    await make(core, *"abcdefghij")

    assert await core.repositories.catalog(Page(limit=2), only(*"bdj")) == Listing(["b", "d"], more=True)
    assert await core.repositories.catalog(Page("d", 2), only(*"bdj")) == Listing(["j"], more=False)
    assert await core.repositories.catalog(Page(limit=2), only()) == Listing([], more=False)


async def test_the_catalog_reads_hidden_names_by_the_page(core: Core) -> None:
    """A caller who may see little costs no query for each name that is hidden."""
    await make(core, "a", *(f"b{number:03}" for number in range(100)))
    counted = CountedScans(core.database)

    listing = await Repositories(counted, most=19).catalog(Page(limit=1), only("a"))

    assert listing == Listing(["a"], more=False)
    assert counted.scans <= 6
