"""`lading verify`: check everything that is stored against its digest, with the server running or stopped."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import orjson

from auth.bootstrap import registry_id_of
from registry.bootstrap import adopt
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain
from registry.config import Settings, SettingsInvalid
from registry.core.verification import Checked, Verification
from registry.databases import open_databases, require_registry
from registry.stores import open_store
from storage.errors import SchemaOutdated, StorageError
from storage.metadata.database import Database
from storage.metadata.migration import REGISTRY_SCHEMA, check_revision

_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Report:
    """What was found."""

    checked: int = 0
    checked_bytes: int = 0
    bad: list[dict[str, str]] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_settings(parser)
    parser.add_argument(
        "--sample", type=_share, default=1.0, metavar="SHARE", help="look at this share of all objects, as in 0.1"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when all is well, 1 when anything is bad."""
    try:
        settings = settings_of(arguments).settings
        report = asyncio.run(_verify(settings, arguments.sample))
    except (SettingsInvalid, StorageError, OSError) as error:
        return complain(error)
    if arguments.json:
        sys.stdout.write(orjson.dumps(asdict(report)).decode() + "\n")
    else:
        for bad in report.bad:
            print(f"{bad['digest']}: {bad['problem']}")  # noqa: T201 (a command speaks)
        print(_summary(report))  # noqa: T201 (a command speaks)
    return 1 if report.bad else 0


async def _verify(settings: Settings, share: float) -> Report:
    require_registry(settings)
    databases = open_databases(settings)
    report = Report()
    try:
        registry_id = await _registry_id(databases.registry)
        async with open_store(settings.storage, databases) as unmarked:
            await adopt(databases.registry, unmarked)
        async with open_store(settings.storage, databases, registry_id=registry_id) as store:
            verification = Verification(databases.registry, store)
            show = _progress(await verification.count())
            async for checked in verification.run(chosen=_chooser(share)):
                _note(report, checked)
                show(report)
    finally:
        await databases.close()
    return report


async def _registry_id(database: Database) -> str:
    found = None
    if await database.read(lambda c: check_revision(c, REGISTRY_SCHEMA)):
        found = await registry_id_of(database)
    if found is None:
        message = "the database holds no registry yet: start `lading serve` once"
        raise SchemaOutdated(message)
    return found


def _note(report: Report, checked: Checked) -> None:
    report.checked += 1
    report.checked_bytes += checked.size
    if checked.problem is not None:
        report.bad.append({"digest": checked.digest, "problem": checked.problem})


def _chooser(share: float) -> Callable[[str], bool]:
    if share >= 1:
        return lambda _digest: True
    return lambda _digest: random.random() < share  # noqa: S311  a sample, not a secret


def _progress(total: int) -> Callable[[Report], None]:
    """Show how far it is: one line that changes on a terminal, a plain line now and then elsewhere."""
    on_terminal = sys.stderr.isatty()
    shown_at = time.monotonic()

    def show(report: Report) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at < _EVERY_SECONDS:
            return
        shown_at = time.monotonic()
        line = f"checked {report.checked} of {total}, {report.checked_bytes // 1_000_000} MB, {len(report.bad)} bad"
        print(f"\r{line}" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr)  # noqa: T201

    return show


def _summary(report: Report) -> str:
    verdict = f"{len(report.bad)} bad: push them again to repair them" if report.bad else "all well"
    return f"checked {report.checked} objects, {report.checked_bytes} bytes: {verdict}"


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        message = "a share lies above 0 and is at most 1"
        raise argparse.ArgumentTypeError(message)
    return share
