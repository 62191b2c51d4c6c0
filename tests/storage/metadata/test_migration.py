"""Migrations: they make the tables that the code knows, from nothing, one process at a time."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import storage.metadata
from storage.errors import SchemaOutdated
from storage.metadata.activity_schema import ACTIVITY_REVISION
from storage.metadata.migration import (
    ACTIVITY_SCHEMA,
    REGISTRY_SCHEMA,
    Schema,
    check_revision,
    revision_of,
    touch,
    upgrade,
)
from storage.metadata.schema import REGISTRY_REVISION
from tests.contracts.database_places import Place

ROOT = Path(__file__).parents[3]
SCHEMAS = pytest.mark.parametrize("schema", [REGISTRY_SCHEMA, ACTIVITY_SCHEMA], ids=["registry", "activity"])
MIGRATE = (
    "import asyncio, json, sys\n"
    "from tests.contracts.database_places import Place\n"
    "asyncio.run(Place(*json.loads(sys.argv[1])).migrate())\n"
)


def _differences(connection: Connection, schema: Schema) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))


@SCHEMAS
async def test_migrations_make_the_tables_that_the_code_knows(unmade: Place, schema: Schema) -> None:
    await unmade.migrate()

    async with unmade.opened(schema) as database:
        assert await database.scan(lambda c: _differences(c, schema)) == []


async def test_text_that_is_paged_sorts_by_bytes_after_migrating(unmade: Place) -> None:
    """Alembic does not compare collations."""
    await unmade.migrate()

    async with unmade.opened(REGISTRY_SCHEMA) as database:
        if unmade.kind == "sqlite":
            return
        rows = await database.read(lambda c: c.execute(text(_COLLATED)).all())
    assert [tuple(row) for row in rows] == [
        ("access_key", "id"),
        ("blob", "digest"),
        ("domain_key", "domain"),
        ("encryption_domain", "name"),
        ("group_inline_policy", "group_name"),
        ("group_inline_policy", "name"),
        ("group_member", "group_name"),
        ("group_policy", "group_name"),
        ("group_policy", "policy_name"),
        ("identity_provider", "name"),
        ("manifest", "config_digest"),
        ("manifest", "digest"),
        ("manifest", "subject"),
        ("manifest_blob", "digest"),
        ("manifest_blob", "manifest"),
        ("manifest_child", "child"),
        ("manifest_child", "parent"),
        ("policy", "name"),
        ("policy_version", "policy_name"),
        ("principal", "boundary"),
        ("principal", "name"),
        ("principal_inline_policy", "name"),
        ("principal_policy", "policy_name"),
        ("repository", "name"),
        ("repository_blob", "digest"),
        ("stored_token", "access_key_id"),
        ("stored_token", "id"),
        ("stored_token", "name"),
        ("tag", "digest"),
        ("tag", "name"),
        ("user_group", "name"),
    ]


_COLLATED = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND collation_name = 'C' AND data_type = 'character varying' ORDER BY 1, 2
"""


@pytest.mark.parametrize(("name", "revision"), [("registry", REGISTRY_REVISION), ("activity", ACTIVITY_REVISION)])
def test_the_code_names_the_newest_migration(name: str, revision: str) -> None:
    migrations = Path(storage.metadata.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations / name))

    assert ScriptDirectory.from_config(config).get_heads() == [revision]


@SCHEMAS
async def test_an_empty_database_has_no_revision(unmade: Place, schema: Schema) -> None:
    async with unmade.opened(schema) as database:
        assert await database.read(revision_of) is None
        assert await database.read(lambda c: check_revision(c, schema)) is False


@SCHEMAS
async def test_a_migrated_database_has_the_revision_of_the_code(unmade: Place, schema: Schema) -> None:
    await unmade.migrate()

    async with unmade.opened(schema) as database:
        assert await database.read(revision_of) == schema.revision
        assert await database.read(lambda c: check_revision(c, schema)) is True


@SCHEMAS
async def test_touching_changes_nothing(unmade: Place, schema: Schema) -> None:
    """It only proves that a write is taken."""
    await unmade.migrate()

    async with unmade.opened(schema) as database:
        await database.write(touch)

        assert await database.read(revision_of) == schema.revision


async def test_migrating_again_does_nothing(unmade: Place) -> None:
    await unmade.migrate()

    await unmade.migrate()

    async with unmade.opened(REGISTRY_SCHEMA) as database:
        assert await database.read(revision_of) == "0004"


async def test_a_database_of_another_version_is_refused_with_the_command_to_run(unmade: Place) -> None:
    await unmade.migrate()
    async with unmade.opened(REGISTRY_SCHEMA) as database:
        await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0000'")).close())

        with pytest.raises(
            SchemaOutdated, match=r"^the database is at schema 0000, this version needs 0004: run `lading"
        ):
            await database.read(lambda c: check_revision(c, REGISTRY_SCHEMA))


async def test_a_migration_that_is_undone_leaves_nothing(unmade: Place) -> None:
    """A migration is one transaction on both databases."""

    def change(connection: Connection) -> None:
        upgrade(connection, REGISTRY_SCHEMA)
        raise InterruptedError

    async with unmade.opened(REGISTRY_SCHEMA) as database:
        with pytest.raises(Exception, match="InterruptedError"):
            await database.write(change)

        assert await database.read(revision_of) is None


async def test_processes_that_migrate_at_once_all_succeed(unmade: Place) -> None:
    """Several nodes may start on the same empty database."""
    arguments = [sys.executable, "-c", MIGRATE, json.dumps([unmade.kind, unmade.address])]
    processes = [await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]

    outcomes = [(await process.communicate(), process.returncode) for process in processes]

    assert [(errors, code) for (_, errors), code in outcomes] == [(b"", 0)] * 3
    async with unmade.opened(ACTIVITY_SCHEMA) as database:
        assert await database.read(revision_of) == "0004"
