"""The first start: a data directory, schemas, the registry's identity, and its root user."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiofiles

from auth.bootstrap import ROOT_USER, Prepared, registry_id_of
from auth.bootstrap import prepare as prepare_registry
from auth.passwords import Passwords
from registry.config import Settings
from registry.core.domains import EncryptionDomains
from registry.core.importing import unfinished_mark
from registry.databases import ACTIVITY_SCHEMA_NAME, Databases, open_databases, require_registry
from registry.roots import open_roots
from registry.stores import open_store
from storage.blobs.interface import BlobStore, Owned
from storage.errors import SchemaOutdated, StoredBytesMissing, StoreUnavailable
from storage.metadata import verification
from storage.metadata.database import Database
from storage.metadata.migration import (
    ACTIVITY_SCHEMA,
    REGISTRY_SCHEMA,
    Schema,
    check_revision,
    create_namespace,
    revision_of,
    upgrade,
)
from storage.metadata.verification import CheckedCopy
from storage.roots.interface import FoundingKeys

# The oldest copies: a registry that once wrote to a disk in place of the one that was away has its newest there.
_COPIES_LOOKED_FOR = 16


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the person who started the server should see, once."""

    notice: str | None


async def prepare(settings: Settings) -> Preparation:
    """Make a data directory ready to serve; on a later start, check that it is.

    Raises SchemaOutdated, KeyFileInvalid, KeyUnavailable, DatabaseUnavailable, StoreUnavailable or OSError, each saying
    what to do.
    """
    root = settings.storage.root
    make_private(root)
    databases = open_databases(settings)
    passwords = Passwords()
    try:
        await _fill_empty(databases)
        with open_roots(settings) as roots:
            prepared = await _prepared(settings, databases, roots, passwords)
    finally:
        passwords.close()
        await databases.close()
    if prepared.generated_password is None:
        return Preparation(None)
    file = root / "admin-password"
    await _write_private(file, prepared.generated_password + "\n")
    return Preparation(_notice(settings, prepared.generated_password, file))


async def _prepared(settings: Settings, databases: Databases, roots: FoundingKeys, passwords: Passwords) -> Prepared:
    secret = settings.auth.admin_password
    async with open_store(settings.storage, databases) as store:
        await adopt(databases.registry, store)  # what belongs to another registry is refused before one is founded
        prepared = await prepare_registry(
            databases.registry,
            roots,
            passwords=passwords,
            admin_password=secret.get_secret_value() if secret else None,
            now=time.time(),
        )
        await adopt(databases.registry, store)
    await EncryptionDomains(databases.registry, roots, prepared.registry_id, time.time).found()
    return prepared


async def adopt(database: Database, store: BlobStore) -> None:
    """See that a store holds the content of the registry in a database, and mark it where nobody did.

    `store` asks for no mark itself. Raises StoreUnavailable for the store of another registry, and for an unmarked one
    in which none of the registry's copies is found: its disk is not mounted.
    """
    if not isinstance(store, Owned):
        return
    # The mark is read first: it is made after the id, so a founder next door is never taken for a stranger.
    owner = await store.owner()
    registry_id = await registry_id_of(database)
    if owner == registry_id:
        return
    if registry_id is not None and owner == unfinished_mark(registry_id):
        message = "not all content has been copied here yet: let `lading import --from` end without a problem first"
        raise StoreUnavailable(message, is_away=True)
    if owner is not None:
        message = (
            f"the content store belongs to another registry ({owner}): put back the database that it was made with, "
            "or choose another place"
        )
        raise StoreUnavailable(message, is_away=True)
    copies = await database.scan(lambda c: verification.list_copies(c, after=0, limit=_COPIES_LOOKED_FOR))
    if copies and not await _is_any_there(store, copies):
        message = (
            "the content store holds nothing of what the database names: mount its disk, correct storage.bucket and "
            "prefix, or copy the content with `lading import --from`; if it is lost, go on without it by writing "
            f"{registry_id} into blobs/.store there"
        )
        raise StoreUnavailable(message, is_away=True)
    if registry_id is not None:
        await store.claim(registry_id)
        if await store.owner() != registry_id:  # of two that claim at once, one does
            message = "another registry was founded in the content store at this moment: choose another place"
            raise StoreUnavailable(message, is_away=True)


async def _is_any_there(store: BlobStore, copies: Sequence[CheckedCopy]) -> bool:
    for copy in copies:
        with suppress(StoredBytesMissing):
            await store.size(copy.storage_key)
            return True
    return False


async def founded(database: Database) -> str:
    """The id of the registry in a database; raises SchemaOutdated where there is none."""
    found = None
    if await database.read(lambda c: check_revision(c, REGISTRY_SCHEMA)):
        found = await registry_id_of(database)
    if found is None:
        message = "the database holds no registry yet: start `lading serve` once"
        raise SchemaOutdated(message)
    return found


async def migrate(settings: Settings) -> None:
    """Bring both databases to the schema of this version; does nothing when they have it.

    Raises FileNotFoundError or SchemaOutdated where there is no registry to bring anywhere: it is elsewhere.
    """
    require_registry(settings)
    make_private(settings.storage.root)
    databases = open_databases(settings)
    try:
        if await databases.registry.read(revision_of) is None:
            message = f"{settings.storage.root} holds no registry yet: start `lading serve` once"
            raise SchemaOutdated(message)
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
