"""Principals as rows."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

from storage.errors import DatabaseUnavailable
from storage.metadata import schema
from storage.metadata.access_keys import StoredAccessKey, add_access_key
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.groups import add_group, add_member, list_groups
from storage.metadata.policies import attach, list_policies, put_inline, put_policy
from storage.metadata.principals import (
    NewPrincipal,
    StoredPrincipal,
    add_principal,
    change_principal,
    delete_principal,
    find_principal,
    find_role,
    list_principals,
)
from tests.storage.metadata.rows import ACCOUNT, make_principal

ADMIN = NewPrincipal(ACCOUNT, "admin", "root", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA")
BY_BYTES = ["A", "Z", "_", "a", "a-b", "a.b", "a@b", "aa", "b"]
HANGING = ["access_key", "group_member", "principal_inline_policy", "principal_policy"]


async def found(database: Database, name: str) -> StoredPrincipal:
    principal = await database.read(lambda c: find_principal(c, name))
    assert principal is not None
    return principal


async def counted(database: Database, *tables: str) -> dict[str, int]:
    def count(connection: Connection) -> dict[str, int]:
        queries = {name: select(func.count()).select_from(schema.REGISTRY.tables[name]) for name in tables}
        return {name: connection.execute(query).scalar_one() for name, query in queries.items()}

    return await database.read(count)


async def test_a_principal_is_kept_as_it_was_given(database: Database) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    await database.write(lambda c: put_policy(c, "limit", "{}", 1.0))
    given = NewPrincipal(ACCOUNT, "alice", "user", "hash", None, 2.25, '{"team": "é"}', "limit")

    assert await database.write(lambda c: add_principal(c, given, 1.5)) is True

    assert await found(database, "alice") == StoredPrincipal(
        id=1,
        account_id=ACCOUNT,
        name="alice",
        kind="user",
        password_hash="hash",
        is_disabled=False,
        valid_after=2.25,
        tags='{"team": "é"}',
        boundary="limit",
        trust_policy=None,
        created_at=1.5,
        max_session_seconds=3600,
    )


async def test_a_role_is_kept_with_its_trust_policy(database: Database) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    role = NewPrincipal(ACCOUNT, "ci", "role", trust_policy="{}")
    await database.write(lambda c: add_principal(c, role, 1.0))

    kept = await database.read(lambda c: find_role(c, "ci"))

    assert kept is not None
    assert (kept.kind, kept.trust_policy, kept.password_hash) == ("role", "{}", None)


@pytest.mark.parametrize("name", ["Admin", "admin ", "adm%", ""])
async def test_principals_are_compared_exactly(database: Database, name: str) -> None:
    await database.write(lambda c: make_principal(c, "admin", "root"))

    assert await database.read(lambda c: find_principal(c, name)) is None


@pytest.mark.parametrize(("there", "added"), [("root", "user"), ("user", "root"), ("user", "user"), ("role", "role")])
async def test_a_name_is_given_once(database: Database, there: str, added: str) -> None:
    """The root user and the users log in by the same names."""
    await database.write(lambda c: make_principal(c, "alice", there))

    assert await database.write(lambda c: add_principal(c, NewPrincipal(ACCOUNT, "alice", added), 2.0)) is False


async def test_a_role_may_have_the_name_of_a_user(database: Database) -> None:
    user = await database.write(lambda c: make_principal(c, "alice", "user"))
    role = await database.write(lambda c: make_principal(c, "alice", "role"))

    assert user != role
    assert (await found(database, "alice")).id == user


async def test_a_role_does_not_log_in_by_name(database: Database) -> None:
    await database.write(lambda c: make_principal(c, "ci", "role"))

    assert await database.read(lambda c: find_principal(c, "ci")) is None


async def test_a_user_is_no_role(database: Database) -> None:
    await database.write(lambda c: make_principal(c, "alice", "user"))

    assert await database.read(lambda c: find_role(c, "alice")) is None


async def test_of_many_that_add_one_name_at_once_one_does(database: Database, other_database: Database) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    new = NewPrincipal(ACCOUNT, "alice", "user")
    adding = [(database, other_database)[n % 2].write(lambda c: add_principal(c, new, 1.0)) for n in range(20)]

    assert sorted(await asyncio.gather(*adding)) == [False] * 19 + [True]


async def test_a_principal_belongs_to_an_account_that_exists(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_principal(c, ADMIN, 1.0))


async def test_principals_of_a_kind_are_listed_in_pages_by_bytes(database: Database) -> None:
    for name in reversed(BY_BYTES):
        await database.write(partial(make_principal, name=name))
    await database.write(lambda c: make_principal(c, "aaa", "role"))
    await database.write(lambda c: make_principal(c, "admin", "root"))

    first = await database.scan(lambda c: list_principals(c, "user", after="", limit=5))
    second = await database.scan(lambda c: list_principals(c, "user", after="a-b", limit=5))

    assert [each.name for each in first + second] == BY_BYTES


async def test_a_change_touches_the_fields_it_names(database: Database) -> None:
    await database.write(lambda c: make_principal(c, "alice"))
    await database.write(lambda c: make_principal(c, "alice", "role"))

    assert await database.write(
        lambda c: change_principal(c, "alice", "user", is_disabled=True, valid_after=9.5, password_hash="x")
    )

    alice = await found(database, "alice")
    assert (alice.is_disabled, alice.valid_after, alice.password_hash, alice.tags) == (True, 9.5, "x", "{}")
    role = await database.read(lambda c: find_role(c, "alice"))
    assert role is not None
    assert (role.is_disabled, role.valid_after) == (False, 0.0)


async def test_a_principal_that_is_not_there_cannot_be_changed(database: Database) -> None:
    await database.write(lambda c: make_principal(c, "alice"))

    assert await database.write(lambda c: change_principal(c, "alice", "role", tags="x")) is False


async def test_a_boundary_is_a_policy_that_exists(database: Database) -> None:
    """A limit that is nowhere written would limit nothing."""
    await database.write(lambda c: make_principal(c, "alice"))

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: change_principal(c, "alice", "user", boundary="nowhere"))


@pytest.mark.parametrize("owner", ["user", "role"])
async def test_a_principal_goes_with_what_hangs_on_it(database: Database, owner: str) -> None:
    await database.write(lambda c: make_principal(c, "alice", owner))
    await database.write(lambda c: put_policy(c, "read", "{}", 1.0))
    await database.write(lambda c: attach(c, "read", **{owner: "alice"}))
    await database.write(lambda c: put_inline(c, owner, "alice", "own", "{}", 1.0))
    await database.write(lambda c: add_group(c, "dev", 1.0))
    await database.write(lambda c: add_member(c, "dev", "alice"))
    key = StoredAccessKey("LK1", "alice", b"x", is_active=True, created_at=1.0)
    await database.write(lambda c: add_access_key(c, key, most=2))
    of_users = 1 if owner == "user" else 0
    assert await counted(database, *HANGING) == dict(zip(HANGING, [of_users, of_users, 1, 1], strict=True))

    assert await database.write(lambda c: delete_principal(c, "alice", owner)) is True

    assert await counted(database, "principal", *HANGING) == dict.fromkeys(["principal", *HANGING], 0)
    assert await database.read(list_groups) == ["dev"]
    assert await database.read(list_policies) == ["read"]


async def test_only_the_kind_that_was_named_is_deleted(database: Database) -> None:
    await database.write(lambda c: make_principal(c, "alice", "user"))

    assert await database.write(lambda c: delete_principal(c, "alice", "role")) is False

    assert (await found(database, "alice")).kind == "user"


async def test_no_principal_gets_the_id_of_one_that_was_deleted(database: Database) -> None:
    """What was read for the one must never be taken for the other."""
    before = await database.write(lambda c: make_principal(c, "alice"))
    await database.write(lambda c: delete_principal(c, "alice", "user"))

    assert await database.write(lambda c: make_principal(c, "alice")) > before


async def test_the_generation_moves_with_every_change_of_a_principal(database: Database) -> None:
    generations = [await database.read(current_generation)]
    for change in (
        make_principal,
        lambda c: add_principal(c, NewPrincipal(ACCOUNT, "alice", "user"), 1.0),
        lambda c: change_principal(c, "alice", "user", is_disabled=True),
        lambda c: change_principal(c, "bob", "user", is_disabled=True),
        lambda c: delete_principal(c, "bob", "user"),
        lambda c: delete_principal(c, "alice", "user"),
    ):
        await database.write(change)
        generations.append(await database.read(current_generation))

    assert generations == [0, 1, 1, 2, 2, 2, 3]
