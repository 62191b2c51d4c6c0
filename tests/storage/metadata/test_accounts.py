"""Signing keys and settings as rows."""

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.accounts import (
    StoredSigningKey,
    add_setting,
    add_signing_key,
    find_setting,
    list_signing_keys,
)
from storage.metadata.database import Database

KEY = StoredSigningKey("one", "ES256", b"\x00sealed\xff", 1.5)


async def test_signing_keys_are_listed_oldest_first(database: Database) -> None:
    older = StoredSigningKey("zero", "ES256", b"", 0.5)
    await database.write(lambda c: add_signing_key(c, KEY))
    await database.write(lambda c: add_signing_key(c, older))

    assert await database.read(list_signing_keys) == [older, KEY]


async def test_a_setting_is_found_once_it_was_drawn(database: Database) -> None:
    assert await database.read(lambda c: find_setting(c, "registry_id")) is None

    await database.write(lambda c: add_setting(c, "registry_id", "x"))

    assert await database.read(lambda c: find_setting(c, "registry_id")) == "x"


async def test_a_setting_is_drawn_once(database: Database) -> None:
    await database.write(lambda c: add_setting(c, "registry_id", "x"))

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_setting(c, "registry_id", "y"))

    assert await database.read(lambda c: find_setting(c, "registry_id")) == "x"
