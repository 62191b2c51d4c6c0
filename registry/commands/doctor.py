"""`lading doctor`: look at settings, databases and the content store, and say what to do about what is not well."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass

from auth.secrets_key import SECRETS_KEY_BYTES, rewrap_secrets_key, unwrap_secrets_key, wrap_secrets_key
from registry.bootstrap import founded
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain, tell_in_a_line
from registry.config import Settings, SettingsInvalid
from registry.databases import Databases, open_databases, require_registry
from registry.preflight import problems
from registry.roots import open_roots
from registry.stores import open_store
from storage.blobs.interface import Owned, Verdict
from storage.errors import SchemaOutdated, StorageError
from storage.metadata.database import Database
from storage.metadata.migration import ACTIVITY_SCHEMA, REGISTRY_SCHEMA, Schema, check_revision
from storage.metadata.secrets_key import read_root_key_fingerprint, read_secrets_key
from storage.roots.interface import FoundingKeys

_NO_REGISTRY = "none"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that was looked at: `verdict` is ok, warning or failed."""

    part: str
    subject: str
    verdict: Verdict
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print what was seen as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when nothing failed, 1 when something did."""
    try:
        settings = settings_of(arguments).settings
        seen = asyncio.run(_examine(settings, _quiet if arguments.json else _show))
    except (SettingsInvalid, StorageError, OSError) as error:
        return complain(error)
    tell_in_a_line([asdict(observation) for observation in seen], [_summary(seen)], as_json=arguments.json)
    return 1 if any(observation.verdict is Verdict.FAILED for observation in seen) else 0


async def _examine(settings: Settings, show: Callable[[Observation], None]) -> list[Observation]:
    seen = []
    async for observation in _observations(settings):
        show(observation)
        seen.append(observation)
    return seen


async def _observations(settings: Settings) -> AsyncIterator[Observation]:
    found = list(problems(settings))
    for problem in found:
        yield Observation("settings", "settings", Verdict.FAILED, problem)
    if not found:
        yield Observation("settings", "settings", Verdict.OK, "can be served with")
    is_founded = True
    try:
        require_registry(settings)
    except FileNotFoundError as error:
        yield Observation("database", "registry", Verdict.WARNING, f"{error}, or start `lading serve` once")
        is_founded = False  # and a look must not make its databases
    if is_founded or settings.storage.backend == "s3":
        async for observation in _of_parts(settings, is_founded=is_founded):
            yield observation


async def _of_parts(settings: Settings, *, is_founded: bool) -> AsyncIterator[Observation]:
    databases = open_databases(settings)
    try:
        if is_founded:
            async for observation in _of_databases(databases):
                yield observation
        yield await _of_root_key(settings, databases.registry if is_founded else None)
        async with open_store(settings.storage, databases) as store:
            if is_founded:
                yield await _of_owner(store, databases.registry)
            async for finding in store.examine():
                yield Observation("content", finding.subject, finding.verdict, finding.detail)
    finally:
        await databases.close()


async def _of_databases(databases: Databases) -> AsyncIterator[Observation]:
    for subject, database, schema in (
        ("registry", databases.registry, REGISTRY_SCHEMA),
        ("activity", databases.activity, ACTIVITY_SCHEMA),
    ):
        yield await _of_database(subject, database, schema)


async def _of_database(subject: str, database: Database, schema: Schema) -> Observation:
    try:
        is_made = await database.read(lambda connection: check_revision(connection, schema))
    except StorageError as error:
        return Observation("database", subject, Verdict.FAILED, error.in_full)
    if not is_made:
        return Observation("database", subject, Verdict.WARNING, "is empty: the first `lading serve` makes its tables")
    return Observation("database", subject, Verdict.OK, f"answers, with the tables of this version ({schema.revision})")


async def _of_root_key(settings: Settings, database: Database | None) -> Observation:
    """Whether it wraps and unwraps, and opens the secrets of the registry in the database; without one it is tried."""
    is_in_file = settings.encryption.mode in {"local", "off"}
    if database is None and is_in_file and not settings.key_file.exists():
        detail = f"key file {settings.key_file} is not there yet: the first `lading serve` makes it"
        return Observation("keys", "root key", Verdict.WARNING, detail)
    try:
        with open_roots(settings) as roots:
            root = await (_tried(roots) if database is None else _opened(roots, database))
    except SchemaOutdated as error:
        return Observation("keys", "root key", Verdict.WARNING, error.in_full)
    except StorageError as error:
        return Observation("keys", "root key", Verdict.FAILED, error.in_full)
    return Observation("keys", "root key", Verdict.OK, f"wraps and unwraps ({root})")


async def _tried(roots: FoundingKeys) -> str:
    wrapped = await wrap_secrets_key(bytes(SECRETS_KEY_BYTES), _NO_REGISTRY, roots)
    await unwrap_secrets_key(wrapped, _NO_REGISTRY, roots)
    return wrapped.root


async def _opened(roots: FoundingKeys, database: Database) -> str:
    registry_id = await founded(database)
    # In this order: between the two another process may put the one in the place of the other.
    fingerprint, wrapped = await database.read(lambda c: (read_root_key_fingerprint(c), read_secrets_key(c)))
    if wrapped is None:
        await roots.bare(fingerprint or "")
        return await _tried(roots)
    again = await rewrap_secrets_key(wrapped, registry_id, roots)
    await unwrap_secrets_key(again, registry_id, roots)
    return again.root


async def _of_owner(store: Owned, database: Database) -> Observation:
    """Whether the store is marked as this registry's."""
    try:
        owner, registry_id = await store.owner(), await founded(database)
    except StorageError as error:
        return Observation("content", "owner", Verdict.FAILED, error.words or str(error))
    if owner == registry_id:
        return Observation("content", "owner", Verdict.OK, f"holds the content of this registry ({registry_id})")
    if owner is None:
        detail = "has no mark yet: `lading serve` makes it, where the content is there or none was pushed"
        return Observation("content", "owner", Verdict.WARNING, detail)
    detail = f"is marked {owner!r}, and this registry is {registry_id}: correct where content is, or finish the import"
    return Observation("content", "owner", Verdict.FAILED, detail)


def _show(observation: Observation) -> None:
    row = (observation.verdict.value, observation.part, observation.subject)
    print(f"{row[0]:<8} {row[1]:<9} {row[2]:<20} {observation.detail}", flush=True)  # noqa: T201 (a command speaks)


def _quiet(_observation: Observation) -> None:
    return


def _summary(seen: list[Observation]) -> str:
    failed = sum(observation.verdict is Verdict.FAILED for observation in seen)
    warnings = sum(observation.verdict is Verdict.WARNING for observation in seen)
    return f"{len(seen)} looked at: {failed} failed, {warnings} to know of"
