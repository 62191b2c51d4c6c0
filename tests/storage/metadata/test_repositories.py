"""Repositories as rows."""

from functools import partial

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.database import Database
from storage.metadata.repositories import add_repository, find_repository, list_repositories, lock_repository
from tests.storage.metadata.rows import make_repository

BY_BYTES = ["a", "a-b", "a-b/c", "a.b", "a/b", "a0", "a10", "a2", "a_b", "a__b", "aa", "ab/c", "b"]


async def test_a_repository_is_found_by_name(database: Database) -> None:
    made = await database.write(lambda c: make_repository(c, "alpha"))

    assert await database.read(lambda c: find_repository(c, "alpha")) == made


async def test_an_unknown_repository_is_not_found(database: Database) -> None:
    assert await database.read(lambda c: find_repository(c, "alpha")) is None


@pytest.mark.parametrize("other", ["Alpha", "alph", "alpha/", "alpha\\", "alph_", "alph%"])
async def test_names_are_compared_exactly(database: Database, other: str) -> None:
    await database.write(lambda c: make_repository(c, "alpha"))

    assert await database.read(lambda c: find_repository(c, other)) is None


async def test_a_repository_is_made_once(database: Database) -> None:
    await database.write(lambda c: make_repository(c, "alpha"))

    assert await database.write(lambda c: add_repository(c, "alpha", 2.0)) is False


async def test_making_a_repository_says_so(database: Database) -> None:
    await database.write(lambda c: make_repository(c, "alpha"))

    assert await database.write(lambda c: add_repository(c, "beta", 2.0)) is True


async def test_a_repository_needs_an_account(database: Database) -> None:
    """Nothing in a registry is without an owner."""
    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_repository(c, "alpha", 1.0))


async def test_no_repository_has_the_id_that_stands_for_none(database: Database) -> None:
    """A candidate with repository id 0 is a copy that nobody reads."""
    assert await database.write(lambda c: make_repository(c, "alpha")) > 0


async def test_locking_finds_the_repository(database: Database) -> None:
    made = await database.write(lambda c: make_repository(c, "alpha"))

    assert await database.write(lambda c: lock_repository(c, "alpha")) == made
    assert await database.write(lambda c: lock_repository(c, "beta")) is None


async def test_repositories_are_listed_by_bytes(database: Database) -> None:
    """Clients page by the last name they saw, so every database must agree on the order."""
    for name in reversed(BY_BYTES):
        await database.write(partial(make_repository, name=name))

    assert await database.scan(lambda c: list_repositories(c, after="", limit=100)) == sorted(BY_BYTES, key=str.encode)


async def test_pages_of_repositories_hold_each_name_once(database: Database) -> None:
    for name in BY_BYTES:
        await database.write(partial(make_repository, name=name))
    seen: list[str] = []
    while page := await database.scan(
        lambda c: list_repositories(c, after=seen[-1] if seen else "", limit=3)  # noqa: B023  awaited at once
    ):
        seen += page

    assert seen == sorted(BY_BYTES, key=str.encode)


async def test_a_page_may_start_at_a_name_that_is_not_there(database: Database) -> None:
    for name in ("a", "c"):
        await database.write(partial(make_repository, name=name))

    assert await database.scan(lambda c: list_repositories(c, after="b", limit=10)) == ["c"]
