"""Settings as rows."""

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.accounts import add_setting, find_setting
from storage.metadata.database import Database


async def test_a_setting_is_found_once_it_was_drawn(database: Database) -> None:
    assert await database.read(lambda c: find_setting(c, "registry_id")) is None

    await database.write(lambda c: add_setting(c, "registry_id", "x"))

    assert await database.read(lambda c: find_setting(c, "registry_id")) == "x"


async def test_a_setting_is_drawn_once(database: Database) -> None:
    await database.write(lambda c: add_setting(c, "registry_id", "x"))

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_setting(c, "registry_id", "y"))

    assert await database.read(lambda c: find_setting(c, "registry_id")) == "x"
