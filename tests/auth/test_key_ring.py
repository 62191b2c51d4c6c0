"""Which key signs, which verify, which are published, at any moment."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from auth.directory import Directory
from auth.errors import NoSigningKey
from auth.key_ring import KeyRing
from auth.keys import SigningKey, seal_private_key
from storage.metadata.signing_keys import StoredSigningKey, add_signing_key, retire_signing_key
from storage.metadata.sqlite import SqliteDatabase

T = TypeVar("T")

SECRETS_KEY = bytes(range(32))
NOW = 1_700_000_000.0


@pytest.fixture
def ring(clock: SimpleNamespace) -> KeyRing:
    return KeyRing(now=lambda: clock.time)


@pytest.fixture
def directory(database: SqliteDatabase, ring: KeyRing) -> Directory:
    return Directory(database, SECRETS_KEY, ring)


async def store(
    database: SqliteDatabase, key: SigningKey, *, made: float, signs: float = 0, retires: float | None = None
) -> None:
    sealed = seal_private_key(key, SECRETS_KEY)
    row = StoredSigningKey(key.kid, key.algorithm, sealed, made, signs, retires)
    await database.write(lambda c: add_signing_key(c, row))


def published(ring: KeyRing) -> list[str]:
    return [jwk["kid"] for jwk in ring.published()]


async def test_keys_take_turns(
    database: SqliteDatabase,
    directory: Directory,
    ring: KeyRing,
    key: SigningKey,
    other_key: SigningKey,
    clock: SimpleNamespace,
) -> None:
    """The next one is published and verifies before it signs; the one before verifies until it retires."""
    await store(database, key, made=1, retires=NOW + 200)
    await store(database, other_key, made=2, signs=NOW + 100)
    await directory.refresh()
    assert ring.signing_key().kid == key.kid
    assert published(ring) == [key.kid, other_key.kid]

    clock.time = NOW + 100
    assert ring.signing_key().kid == other_key.kid
    assert ring.find(key.kid) is not None

    clock.time = NOW + 200
    assert ring.find(key.kid) is None
    assert published(ring) == [other_key.kid]


async def test_key_made_last_signs_though_another_was_to_start_later(
    database: SqliteDatabase, directory: Directory, ring: KeyRing, key: SigningKey, other_key: SigningKey
) -> None:
    """A rotation at once is not undone by one that was planned before it."""
    await store(database, key, made=1, signs=NOW - 1)
    await store(database, other_key, made=2, signs=NOW - 2)

    await directory.refresh()

    assert ring.signing_key().kid == other_key.kid


async def test_ring_follows_the_database(
    database: SqliteDatabase, directory: Directory, ring: KeyRing, key: SigningKey, other_key: SigningKey
) -> None:
    """A key that another process made or retired is known after the next refresh."""
    await store(database, key, made=1)
    await directory.refresh()

    await store(database, other_key, made=2)
    await directory.refresh()
    both = published(ring)
    await database.write(lambda c: retire_signing_key(c, key.kid, NOW))
    await directory.refresh()

    assert both == [key.kid, other_key.kid]
    assert published(ring) == [other_key.kid]


async def test_edition_stays_while_the_keys_do(
    database: SqliteDatabase, directory: Directory, ring: KeyRing, key: SigningKey
) -> None:
    """A change of policies makes nobody verify tokens again."""
    await store(database, key, made=1)
    await directory.refresh()
    edition, opened = ring.edition, ring.signing_key()

    await database.write(lambda c: retire_signing_key(c, key.kid, None))  # type: ignore[arg-type]  # changes nothing
    await directory.refresh()

    assert ring.edition is edition
    assert ring.signing_key() is opened


class Slow:
    """A database whose first read is answered last."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._is_first = True
        self.answer = asyncio.Event()

    async def read(self, query: Callable[[Connection], T]) -> T:
        found = await self._database.read(query)
        if self._is_first:
            self._is_first = False
            await self.answer.wait()
        return found


async def test_older_reading_does_not_replace_a_newer_one(
    database: SqliteDatabase, ring: KeyRing, key: SigningKey, other_key: SigningKey
) -> None:
    """Of two requests that read at once, the one that began later wins, whichever ends first."""
    slow: Any = Slow(database)
    await store(database, key, made=1)
    first = asyncio.ensure_future(ring.reload(slow, SECRETS_KEY))
    await asyncio.sleep(0)
    await store(database, other_key, made=2)

    await ring.reload(slow, SECRETS_KEY)
    slow.answer.set()
    await first

    assert published(ring) == [key.kid, other_key.kid]


def test_ring_without_keys_does_not_sign(ring: KeyRing) -> None:
    """Nothing is ever signed with a key that nobody has."""
    with pytest.raises(NoSigningKey):
        ring.signing_key()
