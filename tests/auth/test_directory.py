"""Principals and policies as this process knows them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.directory import Directory
from auth.errors import StoredPolicyInvalid
from auth.passwords import Passwords
from auth.policy_documents import Owner, OwnerKind, PolicyDocuments
from storage.metadata.accounts import add_account
from storage.metadata.policies import put_inline, put_registry_policy
from storage.metadata.repositories import add_repository
from storage.metadata.sqlite import SqliteDatabase

T = TypeVar("T")

ACCOUNT = "123456789012"
SECRETS_KEY = bytes(range(32))
ALICE = Owner(OwnerKind.USER, "alice")


def document(action: str, **members: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **members}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class CountedReads:
    """A database that counts what it is asked, and waits where it is told to."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.reads = 0
        self.held: asyncio.Event | None = None

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.reads += 1
        found = await self._database.read(query)
        if self.held is not None:
            await self.held.wait()
        return found

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self._database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(change)

    async def close(self) -> None:
        await self._database.close()


@pytest.fixture
async def elsewhere(database: SqliteDatabase, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """The database of another process, with an account and alice in it."""
    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    other = SqliteDatabase(tmp_path / "registry.db")
    yield other
    await other.close()


@pytest.fixture
async def accounts(elsewhere: SqliteDatabase, passwords: Passwords) -> Accounts:
    accounts = Accounts(elsewhere, ACCOUNT, passwords, lambda: 1.5)
    await accounts.create_user("alice")
    return accounts


@pytest.fixture
def policies(elsewhere: SqliteDatabase) -> PolicyDocuments:
    return PolicyDocuments(elsewhere, lambda: 1.5)


@pytest.fixture
def counted(database: SqliteDatabase) -> CountedReads:
    return CountedReads(database)


@pytest.fixture
def directory(counted: CountedReads) -> Directory:
    return Directory(counted, SECRETS_KEY)


async def names(directory: Directory) -> list[str]:
    await directory.refresh()
    user = await directory.user("alice")
    assert user is not None
    return [policy.name for policy in user.policies]


async def test_everything_is_read_once_while_nothing_changes(
    directory: Directory, counted: CountedReads, accounts: Accounts, elsewhere: SqliteDatabase
) -> None:
    """A request then asks for the generation, and for nothing else."""
    key = await AccessKeys(elsewhere, SECRETS_KEY, lambda: 1.5).create("alice")

    async def request() -> None:
        await directory.refresh()
        assert await directory.user("alice") is not None
        assert await directory.access_key(key.id) is not None
        assert (await directory.repository("app")).policy is None
        assert await directory.registry_policy() is None

    await request()
    counted.reads = 0

    await request()

    assert counted.reads == 1


async def test_change_is_seen_after_the_next_refresh(
    directory: Directory, accounts: Accounts, policies: PolicyDocuments
) -> None:
    """Whoever made it."""
    found = [await names(directory)]
    await policies.put_inline(ALICE, "own", document("ecr:*"))
    found.append(await names(directory))
    await policies.put_managed("shared", document("ecr:*"))
    await policies.attach("shared", ALICE)
    found.append(await names(directory))
    await policies.delete_inline(ALICE, "own")
    found.append(await names(directory))

    own, shared = "user/alice/inline/own", "policy/shared"
    assert found == [[], [own], [shared, own], [shared]]


async def test_what_was_read_before_a_change_is_not_kept_after_it(
    directory: Directory, counted: CountedReads, accounts: Accounts, policies: PolicyDocuments
) -> None:
    """A slow look-up that ends after another request has seen the change must not undo that."""
    await directory.refresh()
    counted.held = asyncio.Event()
    slow = asyncio.create_task(directory.user("alice"))
    await asyncio.sleep(0)
    held, counted.held = counted.held, None
    await policies.put_inline(ALICE, "own", document("ecr:*"))
    await directory.refresh()

    held.set()
    await slow

    assert await names(directory) == ["user/alice/inline/own"]


async def test_repository_policies_are_read_together(
    directory: Directory, counted: CountedReads, elsewhere: SqliteDatabase, policies: PolicyDocuments
) -> None:
    """A page of the catalog costs one query, the second time none."""
    for name in ("a", "b", "c"):
        await elsewhere.write(partial(add_repository, name=name, now=0))
    await policies.put_of_repository("b", document("ecr:*", Principal="*"))
    await directory.refresh()
    counted.reads = 0

    found = await directory.repositories(["a", "b", "c", "missing"])
    again = await directory.repositories(["a", "b", "c", "missing"])

    assert {name: rules.policy and rules.policy.name for name, rules in found.items()} == {
        "a": None,
        "b": "repository/b",
        "c": None,
        "missing": None,
    }
    assert again == found
    assert counted.reads == 1


@pytest.mark.parametrize("name", ["x" * 8000, "Upper", "a//b", ""])
async def test_what_no_repository_can_be_called_is_neither_looked_up_nor_kept(
    directory: Directory, counted: CountedReads, name: str
) -> None:
    """Anybody may ask for anything, before it is known who asks and whether the name is one."""
    await directory.refresh()
    counted.reads = 0

    for _ in range(2):
        assert (await directory.repository(name)).policy is None

    assert counted.reads == 0


async def test_a_look_up_survives_that_others_ask_for_more_than_is_kept(
    directory: Directory, counted: CountedReads
) -> None:
    """What is forgotten to make room was in the hand of whoever found it before."""
    await directory.refresh()
    await directory.repository("a")
    counted.held = asyncio.Event()
    slow = asyncio.create_task(directory.repositories(["a", "b"]))
    await asyncio.sleep(0)
    held, counted.held = counted.held, None
    await directory.repositories([f"r{number}" for number in range(20_000)])

    held.set()

    assert (await slow).keys() == {"a", "b"}


async def test_stored_policy_that_cannot_be_read_stops_what_it_bears_on(
    directory: Directory, accounts: Accounts, elsewhere: SqliteDatabase
) -> None:
    """A Deny in it must not be lost; the error says which policy it is."""
    await elsewhere.write(lambda c: put_inline(c, "user", "alice", "broken", "{", 0))
    await elsewhere.write(lambda c: put_registry_policy(c, "[]", 0))
    await directory.refresh()

    with pytest.raises(StoredPolicyInvalid, match="user/alice/inline/broken"):
        await directory.user("alice")
    with pytest.raises(StoredPolicyInvalid, match="registry"):
        await directory.registry_policy()


async def test_nobody_is_known_by_a_name_that_nobody_has(directory: Directory, accounts: Accounts) -> None:
    await directory.refresh()

    assert await directory.user("bob") is None
    assert await directory.access_key("LK" + "A" * 18) is None


async def test_secrets_are_not_in_the_repr(directory: Directory, accounts: Accounts, elsewhere: SqliteDatabase) -> None:
    """What is kept may get into a traceback, its secrets not."""
    key = await AccessKeys(elsewhere, SECRETS_KEY, lambda: 1.5).create("alice")
    await accounts.set_password("alice", "s3cret")
    await directory.refresh()

    assert "argon2id" not in repr(await directory.user("alice"))
    assert key.secret not in repr(await directory.access_key(key.id))
    assert key.secret not in repr(key)


@pytest.mark.parametrize("name", ["a\x00", "\ud800", "A", "a//b", "x" * 256])
async def test_a_name_that_no_repository_can_have_is_not_asked_for(
    directory: Directory, counted: CountedReads, name: str
) -> None:
    """PostgreSQL refuses to be asked for a NUL, and a stranger may ask for anything."""
    await directory.refresh()
    counted.reads = 0

    rules = await directory.repository(name)

    assert (rules.policy, counted.reads) == (None, 0)
