"""Accounts, principals, keys and settings as rows."""

import pytest

from storage.errors import DatabaseUnavailable
from storage.metadata.accounts import (
    StoredPrincipal,
    StoredSigningKey,
    add_account,
    add_principal,
    add_setting,
    add_signing_key,
    find_principal,
    find_setting,
    list_signing_keys,
)
from storage.metadata.database import Database
from tests.storage.metadata.rows import ACCOUNT

ADMIN = StoredPrincipal(ACCOUNT, "admin", "root", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA")
KEY = StoredSigningKey("one", "ES256", b"\x00sealed\xff", 1.5)


async def test_a_principal_is_kept_as_it_was_given(database: Database) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    await database.write(lambda c: add_principal(c, ADMIN, 1.0))

    assert await database.read(lambda c: find_principal(c, "admin")) == ADMIN


async def test_a_principal_may_have_no_password(database: Database) -> None:
    robot = StoredPrincipal(ACCOUNT, "robot", "user", None)
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    await database.write(lambda c: add_principal(c, robot, 1.0))

    assert await database.read(lambda c: find_principal(c, "robot")) == robot


@pytest.mark.parametrize("name", ["Admin", "admin ", "adm%", ""])
async def test_principals_are_compared_exactly(database: Database, name: str) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    await database.write(lambda c: add_principal(c, ADMIN, 1.0))

    assert await database.read(lambda c: find_principal(c, name)) is None


async def test_two_principals_cannot_share_a_name(database: Database) -> None:
    await database.write(lambda c: add_account(c, ACCOUNT, 1.0))
    await database.write(lambda c: add_principal(c, ADMIN, 1.0))

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_principal(c, ADMIN, 2.0))


async def test_a_principal_belongs_to_an_account_that_exists(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: add_principal(c, ADMIN, 1.0))


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
