"""`lading verify`: check everything that is stored against its digest, with the server running or stopped."""

import argparse
import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Final

from registry.bootstrap import adopt
from registry.commands.local import opened_registry
from registry.commands.progress import progress
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain, tell_in_a_line
from registry.config import Settings, SettingsInvalid, cores
from registry.content import open_content
from registry.core.verification import Checked, Verification
from registry.stores import open_store
from storage.errors import StorageError

_LEAST_THREADS: Final = 2  # one reads while the other hashes


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
    bad = (f"{copy['digest']}: {copy['problem']}" for copy in report.bad)
    tell_in_a_line(asdict(report), (*bad, _summary(report)), as_json=arguments.json)
    return 1 if report.bad else 0


async def _verify(settings: Settings, share: float) -> Report:
    report = Report()
    async with opened_registry(settings) as (databases, roots, prepared):
        async with open_store(settings.storage, databases) as unmarked:
            await adopt(databases.registry, unmarked)
        at_once = max(_LEAST_THREADS, cores())
        with ThreadPoolExecutor(at_once, thread_name_prefix="verify") as threads:
            async with open_content(settings, databases, prepared.registry_id, roots) as content:
                verification = Verification(
                    databases.registry, content.places, threads, cores=at_once, seals=content.seals
                )
                total, show = await verification.count(), progress()
                async for checked in verification.run(chosen=_chooser(share)):
                    _note(report, checked)
                    show(_line(report, total))
    return report


def _note(report: Report, checked: Checked) -> None:
    report.checked += 1
    report.checked_bytes += checked.size
    if checked.problem is not None:
        report.bad.append({"digest": checked.digest, "problem": checked.problem})


def _chooser(share: float) -> Callable[[str], bool]:
    if share >= 1:
        return lambda _digest: True
    return lambda _digest: random.random() < share  # noqa: S311  a sample, not a secret


def _line(report: Report, total: int) -> str:
    return f"checked {report.checked} of {total}, {report.checked_bytes // 1_000_000} MB, {len(report.bad)} bad"


def _summary(report: Report) -> str:
    remedy = "push again what is missing or damaged, and give back the keys of what cannot be opened"
    verdict = f"{len(report.bad)} bad: {remedy}" if report.bad else "all well"
    return f"checked {report.checked} objects, {report.checked_bytes} bytes: {verdict}"


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        message = "a share lies above 0 and is at most 1"
        raise argparse.ArgumentTypeError(message)
    return share
