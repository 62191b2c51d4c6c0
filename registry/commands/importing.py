"""`lading import`: copy all content from another store into the one that the settings name."""

import argparse
import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from registry.bootstrap import founded
from registry.commands.progress import progress
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain, tell_in_a_line
from registry.config import Settings, SettingsInvalid
from registry.config_sources import load
from registry.config_storage import StorageSettings
from registry.content import keyring
from registry.core.importing import Import, Imported, Outcome
from registry.databases import open_databases, require_registry
from registry.roots import open_roots
from registry.stores import open_store
from storage.errors import KeyUnavailable, StorageError

_S3: Final = "s3://"


@dataclass(slots=True)
class Report:
    """What was done: numbers of copies, bytes that were copied, what could not be checked, and what failed."""

    copied: int = 0
    copied_bytes: int = 0
    there_already: int = 0
    unchecked: list[dict[str, str]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many copies were dealt with."""
        return self.copied + self.there_already + len(self.unchecked) + len(self.failed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_settings(parser)
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="where the content is: a data directory, s3://BUCKET/PREFIX, or a file of settings whose [storage] says",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when all content is in the store of the settings, 1 when any is not."""
    try:
        settings = settings_of(arguments).settings
        source = _source(arguments.source, settings.storage)
        if _place(source) == _place(settings.storage):
            return complain(f"{arguments.source} is where the content is to go: set storage.backend to the new store")
        report = asyncio.run(_import(settings, source))
    except KeyUnavailable as error:
        return complain(f"{error.in_full}; see to it, then run this again: what is copied stays")
    except (SettingsInvalid, StorageError, OSError) as error:
        return complain(error)
    told = (f"{copy['digest']}: {copy['problem']}" for copy in (*report.unchecked, *report.failed))
    tell_in_a_line(asdict(report), (*told, _summary(report)), as_json=arguments.json)
    return 1 if report.failed else 0


async def _import(settings: Settings, source: StorageSettings) -> Report:
    require_registry(settings)
    databases = open_databases(settings)
    report = Report()
    try:
        registry_id = await founded(databases.registry)
        with open_roots(settings) as roots:  # asked only for what is sealed
            keys = keyring(databases, registry_id, roots)
            async with (
                open_store(source, databases, registry_id=registry_id) as old,
                open_store(settings.storage, databases) as new,
                keys.running(),
            ):
                copying = Import(databases.registry, old, new, registry_id, keys)
                total, show = await copying.count(), progress()
                async for imported in copying.run():
                    _note(report, imported)
                    show(
                        f"{report.done} of {total}, {report.copied_bytes // 1_000_000} MB, {len(report.failed)} failed"
                    )
    finally:
        await databases.close()
    return report


def _source(text: str, target: StorageSettings) -> StorageSettings:
    """The settings of the store that content comes from; what S3 asks for besides bucket and prefix is the target's."""
    if text.startswith(_S3):
        bucket, _, prefix = text.removeprefix(_S3).partition("/")
        place = {"backend": "s3", "bucket": bucket, "prefix": prefix}
        try:
            return StorageSettings.model_validate(target.model_dump() | place)
        except ValidationError as error:
            message = f"--from {text}: {error.errors()[0]['msg']}"
            raise SettingsInvalid(message) from error
    path = Path(text)
    if path.suffix == ".toml":
        return load({}, path).settings.storage
    if not (path / "blobs").is_dir():
        message = f"--from {text}: there is no content below {path / 'blobs'}"
        raise SettingsInvalid(message)
    return StorageSettings(backend="filesystem", root=path)


def _place(storage: StorageSettings) -> tuple[str | None, ...]:
    """What two stores have in common only if they are one."""
    if storage.backend == "filesystem":
        return (str(storage.root.resolve()),)
    return (storage.endpoint_url, storage.bucket, storage.prefix)


def _note(report: Report, imported: Imported) -> None:
    match imported.outcome:
        case Outcome.COPIED:
            report.copied += 1
            report.copied_bytes += imported.size
        case Outcome.THERE_ALREADY:
            report.there_already += 1
        case Outcome.UNCHECKED:
            report.unchecked.append({"digest": imported.digest, "problem": imported.problem})
        case Outcome.FAILED:
            report.failed.append({"digest": imported.digest, "problem": imported.problem})


def _line(report: Report, total: int) -> str:
    return f"{report.done} of {total}, {report.copied_bytes // 1_000_000} MB, {len(report.failed)} failed"


def _summary(report: Report) -> str:
    counts = f"copied {report.copied}, {report.copied_bytes} bytes; {report.there_already} were there already"
    if report.unchecked:
        counts += f"; {len(report.unchecked)} were copied unchecked"
    if report.failed:
        return f"{counts}; {len(report.failed)} failed: see to them, then run this again"
    return f"{counts}: restart the server with the new store, then run this once more for what was pushed meanwhile"
