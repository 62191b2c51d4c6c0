"""Databases that earlier migrations made, and that hold data, reach this code's schema with all of it."""

from functools import partial

import pytest
from sqlalchemy import Connection, text

from storage.errors import SchemaOutdated
from storage.metadata.blobs import StoredBlob, find_blob
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.groups import add_group, add_member, groups_of
from storage.metadata.migration import REGISTRY_SCHEMA, check_revision, revision_of, upgrade
from storage.metadata.principals import NewPrincipal, StoredPrincipal, add_principal, find_principal, find_role
from storage.metadata.repositories import find_repository
from tests.contracts.database_places import Place
from tests.storage.metadata.rows import ACCOUNT, digest

_HELD = f"""
    INSERT INTO account VALUES ('{ACCOUNT}', 1.0);
    INSERT INTO principal (id, account_id, name, kind, password_hash, created_at)
        VALUES (1, '{ACCOUNT}', 'admin', 'root', '$argon2id$', 1.5), (7, '{ACCOUNT}', 'robot', 'user', NULL, 2.5);
    INSERT INTO repository (account_id, name, created_at) VALUES ('{ACCOUNT}', 'alpha', 3.0);
    INSERT INTO registry_setting VALUES ('registry_id', 'x')
"""


def _hold(connection: Connection) -> None:
    upgrade(connection, REGISTRY_SCHEMA, "0001")
    for statement in _HELD.split(";"):
        connection.execute(text(statement))
    if connection.dialect.name == "postgresql":  # where an id was given, the sequence has not moved
        connection.execute(text("SELECT setval('principal_id_seq', 7)"))


async def _upgraded(database: Database) -> None:
    await database.write(_hold)
    await database.write(lambda c: upgrade(c, REGISTRY_SCHEMA))


async def test_a_database_at_the_first_migration_is_refused_until_it_is_migrated(unmade: Place) -> None:
    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await database.write(_hold)

        with pytest.raises(SchemaOutdated, match=r"at schema 0001, this version needs 0004: run `lading migrate`$"):
            await database.read(lambda c: check_revision(c, REGISTRY_SCHEMA))

        await database.write(lambda c: upgrade(c, REGISTRY_SCHEMA))
        assert await database.read(lambda c: check_revision(c, REGISTRY_SCHEMA)) is True


async def test_what_a_database_held_is_there_after_migrating(unmade: Place) -> None:
    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await _upgraded(database)

        assert await database.read(lambda c: find_principal(c, "admin")) == StoredPrincipal(
            id=1,
            account_id=ACCOUNT,
            name="admin",
            kind="root",
            password_hash="$argon2id$",
            is_disabled=False,
            valid_after=0.0,
            tags="{}",
            boundary=None,
            trust_policy=None,
            created_at=1.5,
            max_session_seconds=3600,
        )
        robot = await database.read(lambda c: find_principal(c, "robot"))
        assert robot is not None
        assert (robot.id, robot.kind, robot.password_hash) == (7, "user", None)
        assert await database.read(lambda c: find_repository(c, "alpha")) == 1


async def test_a_migrated_database_takes_what_its_schema_is_for(unmade: Place) -> None:
    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await _upgraded(database)

        assert await database.write(lambda c: add_principal(c, NewPrincipal(ACCOUNT, "robot", "user"), 4.0)) is False
        assert await database.write(lambda c: add_principal(c, NewPrincipal(ACCOUNT, "robot", "role"), 4.0)) is True
        role = await database.read(lambda c: find_role(c, "robot"))
        assert role is not None
        assert role.id > 7
        assert await database.write(lambda c: add_group(c, "dev", 4.0)) is True
        assert await database.write(partial(add_member, group="dev", user="robot")) is True
        assert await database.read(lambda c: groups_of(c, 7)) == ["dev"]
        assert await database.read(current_generation) == 2


async def test_a_migration_that_fails_leaves_the_database_as_it_was(unmade: Place) -> None:
    def change(connection: Connection) -> None:
        upgrade(connection, REGISTRY_SCHEMA)
        raise InterruptedError

    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await database.write(_hold)

        with pytest.raises(Exception, match="InterruptedError"):
            await database.write(change)

        assert await database.read(revision_of) == "0001"
        names = await database.read(lambda c: c.execute(text("SELECT name FROM principal ORDER BY id")).scalars().all())
        assert names == ["admin", "robot"]


_STORED = f"""
    INSERT INTO account VALUES ('{ACCOUNT}', 1.0);
    INSERT INTO repository (account_id, name, created_at) VALUES ('{ACCOUNT}', 'alpha', 3.0);
    INSERT INTO blob (digest, size, storage_key, state, created_at) VALUES ('{digest(1)}', 10, 'key-1', 'stored', 1.0);
    INSERT INTO repository_blob (repository_id, digest, blob_id, linked_at)
        SELECT repository.id, blob.digest, blob.id, 1.0 FROM repository, blob;
    INSERT INTO manifest (repository_id, digest, media_type, size, total_size, pushed_at, payload)
        SELECT id, '{digest(2)}', 'text/plain', 1, 1, 1.0, '7' FROM repository
"""


async def test_content_of_before_encryption_is_plain_and_served(unmade: Place) -> None:
    """Its repositories seal what is pushed from now on, in the registry's default domain."""

    def hold(connection: Connection) -> None:
        upgrade(connection, REGISTRY_SCHEMA, "0003")
        for statement in _STORED.split(";"):
            connection.execute(text(statement))
        upgrade(connection, REGISTRY_SCHEMA)

    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await database.write(hold)

        found = await database.read(lambda c: find_blob(c, "alpha", digest(1)))
        assert found == StoredBlob(1, digest(1), 10, "key-1", domain="", key_version=0)
        manifests = await database.read(lambda c: c.execute(text("SELECT domain, key_version FROM manifest")).all())
        assert [tuple(row) for row in manifests] == [("", 0)]
        assert await database.read(lambda c: c.execute(text("SELECT domain FROM repository")).scalars().all()) == [
            "AES256"
        ]
