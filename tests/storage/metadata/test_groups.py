"""Groups as rows."""

import asyncio
from functools import partial

from sqlalchemy import Connection, func, select

from storage.metadata import schema
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.groups import (
    add_group,
    add_member,
    delete_group,
    groups_of,
    is_group,
    list_groups,
    list_members,
    remove_member,
)
from storage.metadata.policies import attach, put_inline, put_policy
from storage.metadata.principals import find_principal
from tests.storage.metadata.rows import make_principal

HANGING = (schema.group_member, schema.group_policy, schema.group_inline_policy)


async def make_group(database: Database, name: str = "dev", *members: str) -> None:
    await database.write(lambda c: add_group(c, name, 1.0))
    for member in members:
        await database.write(partial(make_principal, name=member))
        await database.write(partial(add_member, group=name, user=member))


async def test_a_group_is_made_once(database: Database) -> None:
    assert await database.write(lambda c: add_group(c, "dev", 1.0)) is True
    assert await database.write(lambda c: add_group(c, "dev", 2.0)) is False


async def test_of_many_that_make_one_group_at_once_one_does(database: Database, other_database: Database) -> None:
    adding = [(database, other_database)[n % 2].write(lambda c: add_group(c, "dev", 1.0)) for n in range(20)]

    assert sorted(await asyncio.gather(*adding)) == [False] * 19 + [True]


async def test_a_group_is_there_until_it_is_deleted(database: Database) -> None:
    await make_group(database, "dev")
    assert await database.read(lambda c: is_group(c, "dev")) is True
    assert await database.read(lambda c: is_group(c, "Dev")) is False

    assert await database.write(lambda c: delete_group(c, "dev")) is True

    assert await database.read(lambda c: is_group(c, "dev")) is False
    assert await database.write(lambda c: delete_group(c, "dev")) is False


async def test_groups_are_listed_by_bytes(database: Database) -> None:
    for name in ("a", "_", "Z", "a.b", "a-b"):
        await make_group(database, name)

    assert await database.read(list_groups) == ["Z", "_", "a", "a-b", "a.b"]


async def test_members_are_listed_by_name(database: Database) -> None:
    await make_group(database, "dev", "bob", "alice", "Carol")

    assert await database.read(lambda c: list_members(c, "dev")) == ["Carol", "alice", "bob"]


async def test_a_user_is_put_into_a_group_once(database: Database) -> None:
    await make_group(database, "dev", "alice")

    assert await database.write(lambda c: add_member(c, "dev", "alice")) is False


async def test_only_users_become_members_and_only_of_groups(database: Database) -> None:
    await make_group(database, "dev")
    await database.write(lambda c: make_principal(c, "ci", "role"))
    await database.write(lambda c: make_principal(c, "admin", "root"))
    await database.write(lambda c: make_principal(c, "alice"))

    outcomes = [
        await database.write(partial(add_member, group=group, user=user))
        for group, user in [("dev", "ci"), ("dev", "admin"), ("dev", "nobody"), ("ops", "alice")]
    ]

    assert outcomes == [False] * 4
    assert await database.read(lambda c: list_members(c, "dev")) == []


async def test_a_member_can_leave_one_group_and_stay_in_another(database: Database) -> None:
    await make_group(database, "dev", "alice")
    await make_group(database, "ops")
    await database.write(lambda c: add_member(c, "ops", "alice"))
    alice = await database.read(lambda c: find_principal(c, "alice"))
    assert alice is not None
    assert await database.read(lambda c: groups_of(c, alice.id)) == ["dev", "ops"]

    assert await database.write(lambda c: remove_member(c, "dev", "alice")) is True

    assert await database.read(lambda c: groups_of(c, alice.id)) == ["ops"]
    assert await database.write(lambda c: remove_member(c, "dev", "alice")) is False


async def test_a_group_goes_with_its_policies_and_without_its_members(database: Database) -> None:
    await make_group(database, "dev", "alice")
    await database.write(lambda c: put_policy(c, "read", "{}", 1.0))
    await database.write(lambda c: attach(c, "read", group="dev"))
    await database.write(lambda c: put_inline(c, "group", "dev", "own", "{}", 1.0))

    await database.write(lambda c: delete_group(c, "dev"))

    def count(connection: Connection) -> list[int]:
        return [connection.execute(select(func.count()).select_from(each)).scalar_one() for each in HANGING]

    assert await database.read(count) == [0, 0, 0]
    assert await database.read(lambda c: find_principal(c, "alice")) is not None


async def test_the_generation_moves_when_a_membership_does(database: Database) -> None:
    """An empty group bears on nobody."""
    await make_group(database, "dev")
    await database.write(make_principal)
    generations = [await database.read(current_generation)]
    for change in (
        lambda c: add_group(c, "ops", 1.0),
        lambda c: add_member(c, "dev", "alice"),
        lambda c: add_member(c, "dev", "alice"),
        lambda c: remove_member(c, "dev", "alice"),
        lambda c: remove_member(c, "dev", "alice"),
        lambda c: delete_group(c, "dev"),
    ):
        await database.write(change)
        generations.append(await database.read(current_generation))

    assert generations == [1, 1, 2, 2, 3, 3, 4]
