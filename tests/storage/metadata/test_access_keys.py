"""Access keys as rows."""

import asyncio
from functools import partial

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.access_keys import (
    StoredAccessKey,
    add_access_key,
    delete_access_key,
    find_access_key,
    list_access_keys,
    set_access_key_state,
)
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from tests.storage.metadata.rows import make_principal


def key(key_id: str = "LK1", user: str = "alice", created_at: float = 1.5) -> StoredAccessKey:
    return StoredAccessKey(key_id, user, b"\x00sealed\xff", is_active=True, created_at=created_at)


async def add(database: Database, new: StoredAccessKey, most: int = 2) -> bool:
    return await database.write(lambda c: add_access_key(c, new, most=most))


async def test_a_key_is_kept_as_it_was_given(database: Database) -> None:
    await database.write(make_principal)

    assert await add(database, key()) is True

    assert await database.read(lambda c: find_access_key(c, "LK1")) == key()


@pytest.mark.parametrize("other", ["lk1", "LK", "LK1 ", "LK%", ""])
async def test_ids_are_compared_exactly(database: Database, other: str) -> None:
    await database.write(make_principal)
    await add(database, key())

    assert await database.read(lambda c: find_access_key(c, other)) is None


def test_a_key_shows_no_secret() -> None:
    assert "sealed" not in repr(key())


async def test_a_user_has_at_most_so_many_keys(database: Database) -> None:
    await database.write(make_principal)
    await database.write(lambda c: make_principal(c, "bob"))

    outcomes = [await add(database, key(f"LK{n}")) for n in range(3)]

    assert outcomes == [True, True, False]
    assert await add(database, key("LK9", "bob")) is True


async def test_a_key_that_is_off_counts_and_a_deleted_one_does_not(database: Database) -> None:
    await database.write(make_principal)
    await add(database, key("LK1"), most=1)
    await database.write(lambda c: set_access_key_state(c, "LK1", active=False))
    assert await add(database, key("LK2"), most=1) is False

    await database.write(lambda c: delete_access_key(c, "LK1"))

    assert await add(database, key("LK2"), most=1) is True


async def test_of_many_added_at_once_no_more_than_that_are(database: Database, other_database: Database) -> None:
    await database.write(make_principal)
    adding = [add((database, other_database)[n % 2], key(f"LK{n}")) for n in range(20)]

    assert sorted(await asyncio.gather(*adding)) == [False] * 18 + [True] * 2

    assert len(await database.read(lambda c: list_access_keys(c, "alice"))) == 2


@pytest.mark.parametrize("is_role", [False, True])
async def test_only_who_logs_in_has_keys(database: Database, is_role: bool) -> None:  # noqa: FBT001  a parameter
    if is_role:
        await database.write(lambda c: make_principal(c, "alice", "role"))

    assert await add(database, key()) is False


async def test_no_two_keys_have_one_id(database: Database) -> None:
    await database.write(make_principal)
    await database.write(lambda c: make_principal(c, "bob"))
    await add(database, key("LK1", "alice"))

    with pytest.raises(DatabaseUnavailable):
        await add(database, key("LK1", "bob"))


async def test_keys_are_listed_oldest_first_and_only_of_the_user(database: Database) -> None:
    for name, kind in [("alice", "user"), ("bob", "user"), ("alice", "role")]:
        await database.write(partial(make_principal, name=name, kind=kind))
    younger, older, other = key("LK1", created_at=3.0), key("LK2", created_at=2.0), key("LK3", "bob")
    for new in (younger, older, other):
        await add(database, new)

    assert await database.read(lambda c: list_access_keys(c, "alice")) == [older, younger]


async def test_a_key_goes_off_and_on(database: Database) -> None:
    await database.write(make_principal)
    await add(database, key())
    states = []
    for active in (False, True):
        assert await database.write(partial(set_access_key_state, id="LK1", active=active)) is True
        found = await database.read(lambda c: find_access_key(c, "LK1"))
        states.append(found and found.is_active)

    assert states == [False, True]


async def test_a_key_that_is_not_there_is_neither_changed_nor_deleted(database: Database) -> None:
    assert await database.write(lambda c: set_access_key_state(c, "LK1", active=True)) is False
    assert await database.write(lambda c: delete_access_key(c, "LK1")) is False


async def test_the_generation_moves_with_every_change_of_a_key(database: Database) -> None:
    await database.write(make_principal)
    generations = [await database.read(current_generation)]
    for change in (
        lambda c: add_access_key(c, key(), most=1),
        lambda c: add_access_key(c, key("LK2"), most=1),
        lambda c: set_access_key_state(c, "LK1", active=False),
        lambda c: set_access_key_state(c, "LK2", active=False),
        lambda c: delete_access_key(c, "LK1"),
        lambda c: delete_access_key(c, "LK1"),
    ):
        await database.write(change)
        generations.append(await database.read(current_generation))

    assert generations == [1, 2, 2, 3, 3, 4, 4]
