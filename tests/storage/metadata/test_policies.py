"""Managed and inline policies as rows, and what applies to whom."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, event, func, select

from storage.metadata import schema
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.groups import add_group, add_member
from storage.metadata.policies import (
    NamedDocument,
    PolicyVersion,
    attach,
    attached_to,
    boundary_of,
    delete_inline,
    delete_policy,
    detach,
    find_policy,
    is_boundary,
    list_inline,
    list_policies,
    list_versions,
    policies_of,
    put_inline,
    put_policy,
    set_default_version,
)
from storage.metadata.principals import change_principal
from tests.storage.metadata.rows import make_principal

OWNERS = pytest.mark.parametrize("owner", ["user", "role", "group"])


async def make_owner(database: Database, owner: str, name: str = "alice") -> None:
    if owner == "group":
        await database.write(lambda c: add_group(c, name, 1.0))
    else:
        await database.write(lambda c: make_principal(c, name, owner))


async def make_policy(database: Database, *documents: str, name: str = "read") -> None:
    for document in documents:
        await database.write(partial(put_policy, name=name, document=document, now=1.0))


async def versions(database: Database) -> list[tuple[int, bool]]:
    return [(each.version, each.is_default) for each in await database.read(lambda c: list_versions(c, "read"))]


async def test_a_policy_begins_with_version_one(database: Database) -> None:
    assert await database.write(lambda c: put_policy(c, "read", "{}", 1.5)) == 1

    assert await database.read(lambda c: find_policy(c, "read")) == "{}"
    assert await database.read(lambda c: list_versions(c, "read")) == [
        PolicyVersion(1, is_default=True, created_at=1.5)
    ]


async def test_the_version_written_last_counts_and_the_others_are_kept(database: Database) -> None:
    await make_policy(database, "one", "two")

    assert await database.read(lambda c: find_policy(c, "read")) == "two"
    assert await database.read(lambda c: find_policy(c, "read", 1)) == "one"
    assert await versions(database) == [(1, False), (2, True)]


async def test_five_versions_are_kept(database: Database) -> None:
    await make_policy(database, "1", "2", "3", "4", "5", "6", "7")

    assert await versions(database) == [(3, False), (4, False), (5, False), (6, False), (7, True)]


async def test_a_version_number_is_never_used_twice(database: Database) -> None:
    await make_policy(database, "1", "2", "3", "4", "5", "6")
    await database.write(lambda c: set_default_version(c, "read", 2))

    assert await database.write(lambda c: put_policy(c, "read", "7", 1.0)) == 7


async def test_an_earlier_version_can_count_again(database: Database) -> None:
    await make_policy(database, "one", "two")

    assert await database.write(lambda c: set_default_version(c, "read", 1)) is True

    assert await database.read(lambda c: find_policy(c, "read")) == "one"
    assert await versions(database) == [(1, True), (2, False)]


@pytest.mark.parametrize(("name", "version"), [("read", 1), ("read", 7), ("write", 2)])
async def test_a_version_that_is_not_kept_cannot_count(database: Database, name: str, version: int) -> None:
    await make_policy(database, "1", "2", "3", "4", "5", "6")

    assert await database.write(lambda c: set_default_version(c, name, version)) is False

    assert await database.read(lambda c: find_policy(c, "read")) == "6"


async def test_versions_written_at_once_are_numbered_one_after_another(
    database: Database, other_database: Database
) -> None:
    writing = [(database, other_database)[n % 2].write(lambda c: put_policy(c, "read", "{}", 1.0)) for n in range(20)]

    assert sorted(await asyncio.gather(*writing)) == list(range(1, 21))
    assert await versions(database) == [(16, False), (17, False), (18, False), (19, False), (20, True)]


async def test_policies_are_listed_by_bytes(database: Database) -> None:
    for name in ("a", "_", "Z", "a.b", "a-b"):
        await make_policy(database, "{}", name=name)

    assert await database.read(list_policies) == ["Z", "_", "a", "a-b", "a.b"]


@OWNERS
async def test_a_policy_is_attached_once_and_detached_once(database: Database, owner: str) -> None:
    await make_owner(database, owner)
    await make_policy(database, "{}")
    named = {owner: "alice"}

    assert await database.write(lambda c: attach(c, "read", **named)) is True
    assert await database.write(lambda c: attach(c, "read", **named)) is False
    assert await database.read(lambda c: attached_to(c, **named)) == ["read"]
    assert await database.write(lambda c: detach(c, "read", **named)) is True
    assert await database.write(lambda c: detach(c, "read", **named)) is False
    assert await database.read(lambda c: attached_to(c, **named)) == []


@OWNERS
async def test_nothing_is_attached_to_or_from_nowhere(database: Database, owner: str) -> None:
    await make_policy(database, "{}")
    named = {owner: "alice"}

    assert await database.write(lambda c: attach(c, "read", **named)) is False
    assert await database.write(lambda c: detach(c, "read", **named)) is False
    assert await database.read(lambda c: attached_to(c, **named)) == []
    await make_owner(database, owner)
    assert await database.write(lambda c: attach(c, "write", **named)) is False


async def test_owners_of_one_name_are_told_apart(database: Database) -> None:
    await make_policy(database, "{}")
    for owner in ("user", "role", "group"):
        await make_owner(database, owner)
    await database.write(lambda c: attach(c, "read", role="alice"))
    await database.write(lambda c: put_inline(c, "group", "alice", "own", "{}", 1.0))

    assert await database.read(lambda c: attached_to(c, user="alice")) == []
    assert await database.read(lambda c: attached_to(c, role="alice")) == ["read"]
    assert await database.read(lambda c: attached_to(c, group="alice")) == []
    assert await database.read(lambda c: list_inline(c, "user", "alice")) == []
    assert await database.read(lambda c: list_inline(c, "group", "alice")) == [NamedDocument("own", "{}")]


async def test_a_policy_goes_with_its_versions_and_attachments(database: Database) -> None:
    await make_policy(database, "one", "two")
    for owner in ("user", "group"):
        await make_owner(database, owner)
    await database.write(lambda c: attach(c, "read", user="alice"))
    await database.write(lambda c: attach(c, "read", group="alice"))

    assert await database.write(lambda c: delete_policy(c, "read")) is True

    def count(connection: Connection) -> list[int]:
        tables = (schema.policy, schema.policy_version, schema.principal_policy, schema.group_policy)
        return [connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables]

    assert await database.read(count) == [0, 0, 0, 0]
    assert await database.write(lambda c: delete_policy(c, "read")) is False


async def test_a_boundary_is_not_deleted_while_it_limits_somebody(database: Database) -> None:
    """Its deletion would lift the limit."""
    await make_policy(database, "{}")
    await make_owner(database, "role")
    await database.write(lambda c: change_principal(c, "alice", "role", boundary="read"))

    assert await database.read(lambda c: is_boundary(c, "read")) is True
    assert await database.write(lambda c: delete_policy(c, "read")) is False

    await database.write(lambda c: change_principal(c, "alice", "role", boundary=None))
    assert await database.read(lambda c: is_boundary(c, "read")) is False
    assert await database.write(lambda c: delete_policy(c, "read")) is True


@OWNERS
async def test_an_inline_policy_is_replaced_and_deleted(database: Database, owner: str) -> None:
    await make_owner(database, owner)

    assert await database.write(lambda c: put_inline(c, owner, "alice", "own", "one", 1.0)) is True
    assert await database.write(lambda c: put_inline(c, owner, "alice", "own", "two", 2.0)) is True
    assert await database.write(lambda c: put_inline(c, owner, "alice", "more", "three", 2.0)) is True

    listed = await database.read(lambda c: list_inline(c, owner, "alice"))
    assert listed == [NamedDocument("more", "three"), NamedDocument("own", "two")]
    assert await database.write(lambda c: delete_inline(c, owner, "alice", "own")) is True
    assert await database.write(lambda c: delete_inline(c, owner, "alice", "own")) is False


@OWNERS
async def test_an_inline_policy_has_an_owner(database: Database, owner: str) -> None:
    assert await database.write(lambda c: put_inline(c, owner, "alice", "own", "{}", 1.0)) is False
    assert await database.write(lambda c: delete_inline(c, owner, "alice", "own")) is False
    assert await database.read(lambda c: list_inline(c, owner, "alice")) == []


def _grant(connection: Connection) -> int:
    """Policies of every kind, for alice and for others."""
    alice = make_principal(connection, "alice")
    make_principal(connection, "bob")
    for group in ("dev", "ops", "empty"):
        add_group(connection, group, 1.0)
        put_inline(connection, "group", group, "own", f"of {group}", 1.0)
    for group, user in (("dev", "alice"), ("ops", "alice"), ("ops", "bob")):
        add_member(connection, group, user)
    for name in ("all", "audit", "build", "deploy", "other"):
        put_policy(connection, name, f"{name} 1", 1.0)
        put_policy(connection, name, f"{name} 2", 1.0)
    set_default_version(connection, "build", 1)
    attach(connection, "all", user="alice")
    attach(connection, "build", group="dev")
    attach(connection, "all", group="ops")
    attach(connection, "audit", group="empty")
    attach(connection, "other", user="bob")
    put_inline(connection, "user", "alice", "own", "of alice", 1.0)
    put_inline(connection, "user", "bob", "own", "of bob", 1.0)
    return alice


async def test_to_a_user_apply_its_own_policies_and_those_of_its_groups_each_once(database: Database) -> None:
    alice = await database.write(_grant)

    assert await database.read(lambda c: policies_of(c, alice)) == [
        NamedDocument("group/dev/inline/own", "of dev"),
        NamedDocument("group/ops/inline/own", "of ops"),
        NamedDocument("policy/all", "all 2"),
        NamedDocument("policy/build", "build 1"),
        NamedDocument("user/alice/inline/own", "of alice"),
    ]


async def test_to_a_role_apply_its_own_policies(database: Database) -> None:
    await make_policy(database, "{}")
    role = await database.write(lambda c: make_principal(c, "ci", "role"))
    await database.write(lambda c: attach(c, "read", role="ci"))
    await database.write(lambda c: put_inline(c, "role", "ci", "own", "[]", 1.0))

    applying = await database.read(lambda c: policies_of(c, role))

    assert applying == [NamedDocument("policy/read", "{}"), NamedDocument("role/ci/inline/own", "[]")]


async def test_to_nobody_applies_nothing(database: Database) -> None:
    assert await database.read(lambda c: policies_of(c, 1)) == []
    assert await database.read(lambda c: boundary_of(c, 1)) is None


async def test_all_policies_of_a_principal_are_one_query(database: Database) -> None:
    alice = await database.write(_grant)

    def statements(connection: Connection) -> int:
        asked: list[object] = []
        event.listen(connection, "before_execute", lambda *_: asked.append(None))
        policies_of(connection, alice)
        return len(asked)

    assert await database.scan(statements) == 1


async def test_a_boundary_is_the_version_that_counts(database: Database) -> None:
    await make_policy(database, "one", "two")
    alice = await database.write(make_principal)
    await database.write(lambda c: change_principal(c, "alice", "user", boundary="read"))

    assert await database.read(lambda c: boundary_of(c, alice)) == NamedDocument("policy/read", "two")
    assert await database.read(lambda c: policies_of(c, alice)) == []


async def test_the_generation_moves_with_every_change_of_a_policy(database: Database) -> None:
    await database.write(make_principal)
    generations = [await database.read(current_generation)]
    for change in (
        lambda c: put_policy(c, "read", "{}", 1.0),
        lambda c: set_default_version(c, "read", 1),
        lambda c: set_default_version(c, "read", 2),
        lambda c: attach(c, "read", user="alice"),
        lambda c: attach(c, "read", user="alice"),
        lambda c: detach(c, "read", user="alice"),
        lambda c: detach(c, "read", user="alice"),
        lambda c: put_inline(c, "user", "alice", "own", "{}", 1.0),
        lambda c: put_inline(c, "user", "bob", "own", "{}", 1.0),
        lambda c: delete_inline(c, "user", "alice", "own"),
        lambda c: delete_inline(c, "user", "alice", "own"),
        lambda c: delete_policy(c, "read"),
        lambda c: delete_policy(c, "read"),
    ):
        await database.write(change)
        generations.append(await database.read(current_generation))

    assert generations == [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
