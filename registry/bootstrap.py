"""The first start: a data directory, schemas, the registry's identity, and its root user."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import aiofiles

from auth.bootstrap import ROOT_USER
from auth.bootstrap import prepare as prepare_registry
from auth.passwords import Passwords
from registry.app import ACTIVITY_SCHEMA_NAME, Databases, open_databases
from registry.config import Settings
from storage.metadata.database import Database
from storage.metadata.migration import (
    ACTIVITY_SCHEMA,
    REGISTRY_SCHEMA,
    Schema,
    check_revision,
    create_namespace,
    upgrade,
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the person who started the server should see, once."""

    notice: str | None


async def prepare(settings: Settings) -> Preparation:
    """Make a data directory ready to serve; on a later start, check that it is.

    Raises SchemaOutdated, KeyFileInvalid, DatabaseUnavailable or OSError, each saying what to do.
    """
    root = settings.storage.root
    make_private(root)
    databases = open_databases(settings)
    passwords = Passwords()
    secret = settings.auth.admin_password
    try:
        await _fill_empty(databases)
        prepared = await prepare_registry(
            databases.registry,
            settings.key_file,
            passwords=passwords,
            admin_password=secret.get_secret_value() if secret else None,
            now=time.time(),
        )
    finally:
        passwords.close()
        await databases.close()
    if prepared.generated_password is None:
        return Preparation(None)
    file = root / "admin-password"
    await _write_private(file, prepared.generated_password + "\n")
    return Preparation(_notice(settings, prepared.generated_password, file))


async def migrate(settings: Settings) -> None:
    """Bring both databases to the schema of this version; does nothing when they have it."""
    make_private(settings.storage.root)
    databases = open_databases(settings)
    try:
        for database, schema in _schemas(databases):
            await _upgrade(databases, database, schema)
    finally:
        await databases.close()


def make_private(root: Path) -> None:
    """Make the data directory if it is missing, for its owner alone, like every file made from here on."""
    os.umask(0o077)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_mode & 0o077:
        root.chmod(0o700)


async def _fill_empty(databases: Databases) -> None:
    """Make the schemas in empty databases; one of another version is the operator's to migrate."""
    for database, schema in _schemas(databases):
        if not await _is_current(database, schema):
            await _upgrade(databases, database, schema)


async def _is_current(database: Database, schema: Schema) -> bool:
    return await database.read(lambda connection: check_revision(connection, schema))


async def _upgrade(databases: Databases, database: Database, schema: Schema) -> None:
    if schema is ACTIVITY_SCHEMA:
        await databases.registry.write(lambda connection: create_namespace(connection, ACTIVITY_SCHEMA_NAME))
    await database.write(lambda connection: upgrade(connection, schema))


def _schemas(databases: Databases) -> tuple[tuple[Database, Schema], ...]:
    return ((databases.registry, REGISTRY_SCHEMA), (databases.activity, ACTIVITY_SCHEMA))


async def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in place of an older one."""
    path.unlink(missing_ok=True)  # noqa: ASYNC240  once, before anything is served
    async with aiofiles.open(
        path, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600), encoding="utf-8"
    ) as file:
        await file.write(text)


def _notice(settings: Settings, password: str, file: Path) -> str:
    address = (settings.server.public_url or settings.server.listen).removeprefix("https://").removeprefix("http://")
    return (
        f"The root user {ROOT_USER} was made. Its password is shown this once, and kept in {file}:\n\n"
        f"    {password}\n\n"
        f"Log in with:\n\n"
        f"    docker login -u {ROOT_USER} -p {password} {address}\n"
    )
