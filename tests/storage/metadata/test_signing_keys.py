"""Signing keys as rows."""

from dataclasses import replace

from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.signing_keys import (
    StoredSigningKey,
    add_signing_key,
    delete_retired_keys,
    list_signing_keys,
    retire_others,
    retire_signing_key,
)

ZERO = StoredSigningKey("zero", "ES256", b"", 0.5)
ONE = StoredSigningKey("one", "EdDSA", b"\x00sealed\xff", 1.5, signs_from=2.5, retires_at=3.5)


async def add(database: Database, *keys: StoredSigningKey) -> None:
    for key in keys:
        await database.write(lambda c, key=key: add_signing_key(c, key))  # type: ignore[misc]  # bound early


async def test_keys_are_listed_oldest_first(database: Database) -> None:
    """With everything that was said of them."""
    await add(database, ONE, ZERO)

    assert await database.read(list_signing_keys) == [ZERO, ONE]


async def test_others_retire_unless_they_do_already(database: Database) -> None:
    """A key that takes over leaves alone what was decided before."""
    two = StoredSigningKey("two", "ES256", b"", 2)
    await add(database, ZERO, ONE, two)

    await database.write(lambda c: retire_others(c, "two", 9.0))

    assert await database.read(list_signing_keys) == [replace(ZERO, retires_at=9.0), ONE, two]


async def test_a_key_is_retired_at_once(database: Database) -> None:
    """Whatever was decided before; a key that is not there is told."""
    await add(database, ONE)

    assert await database.write(lambda c: retire_signing_key(c, "one", 1.0))
    assert not await database.write(lambda c: retire_signing_key(c, "two", 1.0))
    assert await database.read(list_signing_keys) == [replace(ONE, retires_at=1.0)]


async def test_keys_that_retired_long_ago_are_removed(database: Database) -> None:
    """Those without an end stay."""
    await add(database, ZERO, ONE)

    assert await database.write(lambda c: delete_retired_keys(c, 3.5)) == 0
    assert await database.write(lambda c: delete_retired_keys(c, 3.6)) == 1
    assert await database.read(list_signing_keys) == [ZERO]


async def test_every_change_moves_the_generation(database: Database) -> None:
    """Each process reads the keys again at its next request."""
    seen = [await database.read(current_generation)]
    await add(database, ZERO)
    seen.append(await database.read(current_generation))
    await database.write(lambda c: retire_others(c, "one", 9.0))
    seen.append(await database.read(current_generation))
    await database.write(lambda c: retire_signing_key(c, "zero", 1.0))
    seen.append(await database.read(current_generation))

    assert len(set(seen)) == 4
