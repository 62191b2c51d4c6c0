"""Leases as rows."""

import asyncio

from storage.metadata.database import Database
from storage.metadata.leases import drop_lease, take_lease


async def take(database: Database, holder: str, now: float, seconds: float = 60, name: str = "sweep") -> bool:
    return await database.write(lambda c: take_lease(c, name, holder, now=now, seconds=seconds))


async def test_a_free_lease_is_taken(database: Database) -> None:
    assert await take(database, "one", 0) is True


async def test_a_lease_has_one_holder(database: Database) -> None:
    await take(database, "one", 0)

    assert await take(database, "two", 59) is False


async def test_a_lease_is_held_until_the_moment_it_expires(database: Database) -> None:
    await take(database, "one", 0, seconds=60)

    assert await take(database, "two", 60) is False


async def test_an_expired_lease_can_be_taken_by_another(database: Database) -> None:
    await take(database, "one", 0, seconds=60)

    assert await take(database, "two", 60.5) is True
    assert await take(database, "one", 61) is False


async def test_its_holder_renews_a_lease(database: Database) -> None:
    await take(database, "one", 0, seconds=60)

    assert await take(database, "one", 40, seconds=60) is True

    assert await take(database, "two", 99) is False


async def test_a_lease_that_was_given_back_is_free(database: Database) -> None:
    await take(database, "one", 0)

    await database.write(lambda c: drop_lease(c, "sweep", "one"))

    assert await take(database, "two", 1) is True


async def test_only_its_holder_gives_a_lease_back(database: Database) -> None:
    await take(database, "one", 0)

    await database.write(lambda c: drop_lease(c, "sweep", "two"))

    assert await take(database, "two", 1) is False


async def test_leases_of_different_names_are_independent(database: Database) -> None:
    await take(database, "one", 0, name="sweep")

    assert await take(database, "two", 0, name="scrub") is True


async def test_of_many_that_ask_at_once_one_gets_the_lease(database: Database, other_database: Database) -> None:
    asked = [take((database, other_database)[n % 2], f"holder {n}", 0) for n in range(20)]

    assert sorted(await asyncio.gather(*asked)) == [False] * 19 + [True]
