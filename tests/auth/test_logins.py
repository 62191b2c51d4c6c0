"""Names and secrets: who is let in, and that nobody learns more from being refused."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.callers import CredentialKind
from auth.credentials import BasicCredentials
from auth.directory import Directory
from auth.errors import CredentialsInvalid, TooManyAttempts
from auth.logins import Logins
from auth.passwords import Passwords
from auth.throttle import Throttle
from storage.metadata.accounts import add_account
from storage.metadata.sqlite import SqliteDatabase

ACCOUNT = "123456789012"
SECRETS_KEY = bytes(range(32))
HOME = "192.0.2.7"
T = TypeVar("T")


class Verifications:
    """Counts what would cost 25 ms, and knows one password."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, password: str, phc: str) -> bool:
        self.count += 1
        return password == "right" and phc.startswith("$argon2id$")


class Reads:
    """A database that counts what it is asked."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.count = 0

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.count += 1
        return await self.database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self.database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self.database.write(change)

    async def close(self) -> None:
        await self.database.close()


class World:
    """A registry with bob, who has a password, robot, who has none, and carol, who is disabled."""

    def __init__(self, database: SqliteDatabase, throttle: Throttle, passwords: Passwords) -> None:
        self.reads = Reads(database)
        self.accounts = Accounts(database, ACCOUNT, passwords, lambda: 0.0)
        self.keys = AccessKeys(database, SECRETS_KEY, lambda: 0.0)
        self.directory = Directory(self.reads, SECRETS_KEY)
        self.verifications = Verifications()
        self.logins = Logins(Passwords(verify=self.verifications), throttle, self.directory)

    async def refused(self, name: str, secret: str, client: str = HOME) -> str:
        with pytest.raises((CredentialsInvalid, TooManyAttempts)) as raised:
            await self.login(name, secret, client)
        return str(raised.value)

    async def login(self, name: str, secret: str, client: str = HOME) -> CredentialKind:
        await self.directory.refresh()
        return (await self.logins.check(BasicCredentials(name, secret), client)).credential


@pytest.fixture
async def world(database: SqliteDatabase, throttle: Throttle, passwords: Passwords) -> World:
    await database.write(partial(add_account, account_id=ACCOUNT, now=0))
    world = World(database, throttle, passwords)
    for name, password in (("bob", "right"), ("robot", None), ("carol", "right")):
        await world.accounts.create_user(name, password)
    await world.accounts.update_user("carol", disabled=True)
    return world


WRONG = [("bob", "wrong"), ("nobody", "right"), ("robot", "right"), ("robot", ""), ("carol", "right"), ("carol", "x")]


@pytest.mark.parametrize(("name", "secret"), WRONG)
async def test_every_wrong_login_costs_one_derivation_each_time(world: World, name: str, secret: str) -> None:
    """Unknown, disabled, without a password, wrong password: one answer, the same work, and none is remembered."""
    messages = {await world.refused(name, secret) for _ in range(3)}

    assert messages == {"the user name or the password is wrong"}
    assert world.verifications.count == 3


@pytest.mark.parametrize(("name", "secret"), WRONG)
async def test_every_wrong_login_counts(world: World, name: str, secret: str) -> None:
    """The right password of a disabled user as well: that it counts for nothing would tell that it is right."""
    for _ in range(10):
        await world.refused(name, secret)

    assert await world.refused(name, secret) == "too many wrong passwords: try again in 60 seconds"
    assert world.verifications.count == 10


async def test_wrong_secrets_of_known_and_unknown_keys_count_alike(world: World) -> None:
    key = await world.keys.create("bob")
    disabled = await world.keys.create("carol")

    for name, secret in ((key.id, "wrong"), ("LK" + "A" * 18, "wrong"), (disabled.id, disabled.secret)):
        messages = [await world.refused(name, secret) for _ in range(11)]
        assert set(messages[:10]) == {"the user name or the password is wrong"}
        assert messages[10] == "too many wrong passwords: try again in 60 seconds"
    assert world.verifications.count == 0


async def test_blocked_key_waits_though_its_secret_is_right(world: World) -> None:
    key = await world.keys.create("bob")
    for _ in range(10):
        await world.refused(key.id, "wrong")

    assert "too many wrong passwords" in await world.refused(key.id, key.secret)
    assert await world.login(key.id, key.secret, "192.0.2.8") is CredentialKind.ACCESS_KEY
    assert await world.login("bob", "right") is CredentialKind.PASSWORD


@pytest.mark.parametrize("name", ["bob", "nobody"])
async def test_nothing_is_looked_up_for_who_has_to_wait(world: World, name: str) -> None:
    """Whether there is such a user cannot be told from how soon the refusal comes."""
    for _ in range(10):
        await world.refused(name, "wrong")
    world.reads.count = 0

    await world.refused(name, "right")

    assert world.reads.count == 1  # whether any principal has changed, asked for everybody


async def test_user_disabled_after_a_login_is_refused_at_once(world: World) -> None:
    """What is remembered of a login never lets anybody in who may not log in any more."""
    assert await world.login("bob", "right") is CredentialKind.PASSWORD
    await world.accounts.update_user("bob", disabled=True)

    await world.refused("bob", "right")

    assert world.verifications.count == 2


async def test_right_login_is_checked_once_a_minute(world: World, clock: SimpleNamespace) -> None:
    for _ in range(5):
        await world.login("bob", "right")
    assert world.verifications.count == 1
    clock.time += 60

    await world.login("bob", "right")

    assert world.verifications.count == 2
