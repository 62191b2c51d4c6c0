"""The last use of credentials: cheap to note, written soon, never in the way."""

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.callers import Caller, CredentialKind
from auth.last_use import LastUse
from auth.passwords import Passwords
from auth.principals import Principal, PrincipalKind
from storage.errors import DatabaseUnavailable
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.last_use import LastUsed

BOB = Principal("123456789012", "bob", PrincipalKind.USER)
HOME = "192.0.2.7"
T = TypeVar("T")


def using(credential_id: str | None, kind: CredentialKind = CredentialKind.ACCESS_KEY) -> Caller:
    return Caller(BOB, credential=kind, credential_id=credential_id)


@pytest.fixture
def last_use(activity: Database, clock: SimpleNamespace) -> LastUse:
    return LastUse(activity, lambda: clock.time)


@pytest.mark.parametrize(
    "credential_kind", [CredentialKind.ACCESS_KEY, CredentialKind.SERVICE_TOKEN, CredentialKind.REFRESH_TOKEN]
)
async def test_use_of_a_listed_credential_is_written(
    last_use: LastUse, clock: SimpleNamespace, credential_kind: CredentialKind
) -> None:
    last_use.note(using("one", credential_kind), HOME)

    await last_use.write()

    assert await last_use.of(["one", "two"]) == {"one": LastUsed("one", clock.time, HOME)}


async def test_other_credentials_are_not_noted(last_use: LastUse) -> None:
    """Passwords have no id, and signed tokens are listed nowhere."""
    last_use.note(using("jti", CredentialKind.BEARER_TOKEN), HOME)
    last_use.note(using(None, CredentialKind.PASSWORD), HOME)
    last_use.note(using(None), HOME)

    await last_use.write()

    assert await last_use.of(["jti"]) == {}


async def test_at_most_one_use_a_minute_is_written(last_use: LastUse, clock: SimpleNamespace) -> None:
    first = clock.time
    for seconds in (0, 30, 29):
        clock.time += seconds
        last_use.note(using("one"), HOME)
        await last_use.write()
    assert (await last_use.of(["one"]))["one"].used_at == first
    clock.time += 1

    last_use.note(using("one"), "192.0.2.8")
    await last_use.write()

    assert (await last_use.of(["one"]))["one"] == LastUsed("one", first + 60, "192.0.2.8")


async def test_later_use_stands_whichever_worker_writes_first(
    activity: Database, other_activity: Database, clock: SimpleNamespace
) -> None:
    early, late = LastUse(activity, lambda: clock.time), LastUse(other_activity, lambda: clock.time)
    early.note(using("one"), HOME)
    clock.time += 1
    late.note(using("one"), "192.0.2.8")

    await late.write()
    await early.write()

    assert (await early.of(["one"]))["one"] == LastUsed("one", clock.time, "192.0.2.8")


async def test_workers_that_write_the_same_credentials_do_not_meet(
    activity: Database, other_activity: Database, clock: SimpleNamespace
) -> None:
    workers = [LastUse(each, lambda: clock.time) for each in (activity, other_activity)]
    names = [f"key{number}" for number in range(200)]
    for worker, order in zip(workers, (names, names[::-1]), strict=True):
        for name in order:
            worker.note(using(name), HOME)

    await asyncio.gather(*(worker.write() for worker in workers))

    assert len(await workers[0].of(names)) == 200


async def test_what_is_noted_is_written_when_the_block_ends(last_use: LastUse) -> None:
    """A server that is told to stop loses nothing."""
    async with last_use.written():
        last_use.note(using("one"), HOME)

    assert "one" in await last_use.of(["one"])


class Interrupted:
    """A database that is away until it is told to be back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_back = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self.database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        if not self.is_back:
            raise DatabaseUnavailable
        return await self.database.write(change)

    async def close(self) -> None:
        await self.database.close()


async def test_database_that_is_away_fails_nothing_and_is_written_when_it_is_back(
    activity: Database, clock: SimpleNamespace
) -> None:
    database, used = Interrupted(activity), clock.time
    last_use = LastUse(database, lambda: clock.time)
    last_use.note(using("one"), HOME)
    await last_use.write()
    clock.time += 30
    last_use.note(using("two"), HOME)
    database.is_back = True

    await last_use.write()

    assert await last_use.of(["one", "two"]) == {
        "one": LastUsed("one", used, HOME),
        "two": LastUsed("two", used + 30, HOME),
    }


async def test_use_of_a_deleted_key_is_forgotten(
    activity: Database, database: Database, clock: SimpleNamespace, passwords: Passwords
) -> None:
    """What is gone leaves nothing behind; what is there keeps its last use, however long ago that was."""
    await database.write(partial(add_account, account_id="123456789012", now=0))
    await Accounts(database, "123456789012", passwords, lambda: 0.0).create_user("bob", None)
    keys = AccessKeys(database, bytes(32), lambda: 0.0)
    kept, deleted = await keys.create("bob"), await keys.create("bob")
    last_use = LastUse(activity, lambda: clock.time)
    for key in (kept, deleted):
        last_use.note(using(key.id), HOME)
    await last_use.write()
    await keys.delete(deleted.id)

    await last_use.forget_missing(database)

    assert list(await last_use.of([kept.id, deleted.id])) == [kept.id]


async def test_whatever_a_proxy_forwards_as_an_address_can_be_written(last_use: LastUse) -> None:
    """One bad note must not keep the others from being written."""
    last_use.note(using("one"), "\udcff" * 100)
    last_use.note(using("two"), HOME)

    await last_use.write()

    uses = await last_use.of(["one", "two"])
    assert uses["one"].source == r"\udcff" * 10 + r"\udc"
    assert uses["two"].source == HOME
