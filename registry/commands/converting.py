"""`lading encryption convert`: bring all that is stored to what the settings say, whether the server runs or not."""

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final

from registry.commands.local import opened_registry
from registry.commands.progress import progress
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain, tell_in_a_line
from registry.config import Settings, SettingsInvalid
from registry.content import open_content
from registry.core.errors import RegistryError
from registry.core.reencryption import Reencryption, Rewritten
from storage.errors import StorageError
from storage.metadata.reencryption import Wanted

GRACE_SECONDS: Final = 60.0
"""How long replaced bytes stay for those who are reading them."""


@dataclass(slots=True)
class Report:
    """What was done: objects that were rewritten, their bytes, and those that stay as they were."""

    rewritten: int = 0
    rewritten_bytes: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_settings(parser)
    parser.add_argument("--domain", metavar="NAME", help="only what belongs to this encryption domain")
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=_seconds,
        default=GRACE_SECONDS,
        help="how long replaced bytes stay for those who are reading them; default: 60",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace, *, is_quiet: bool = False) -> int:
    """Exit 0 when all is as it should be, 1 when anything stays as it was; a quiet run prints what fails alone."""
    try:
        settings = settings_of(arguments).settings
        grace = getattr(arguments, "grace", GRACE_SECONDS)
        report = asyncio.run(_convert(settings, arguments.domain, grace))
    except (SettingsInvalid, StorageError, RegistryError, OSError) as error:
        return complain(error)
    failed = (f"{each['digest']}: {each['problem']}" for each in report.failed)
    if not is_quiet:
        tell_in_a_line(asdict(report), (*failed, _summary(report, settings)), as_json=arguments.json)
    elif report.failed:
        complain(f"{len(report.failed)} objects stay as they were: `lading encryption convert` names them")
    return 1 if report.failed else 0


async def _convert(settings: Settings, domain: str | None, grace: float) -> Report:
    report, show = Report(), progress()
    wanted = Wanted(seals=settings.encryption.mode != "off", domain=domain)
    async with (
        opened_registry(settings) as (databases, roots, prepared),
        open_content(settings, databases, prepared.registry_id, roots) as content,
    ):
        if domain is not None:
            await content.domains.domain(domain)
        work = Reencryption(databases.registry, content.places, content.seals, wanted, time.time)
        total = await work.count()
        async for rewritten in work.run():
            _note(report, rewritten)
            done = report.rewritten + len(report.failed)
            show(f"{done} of {total}, {report.rewritten_bytes // 1_000_000} MB, {len(report.failed)} failed")
        await _remove(work, grace, show)
    return report


async def _remove(work: Reencryption, grace: float, show: Callable[[str], None]) -> None:
    """Remove what was replaced, once nobody can be reading it any more."""
    ended, told = time.time(), 0
    while left := await work.remove_replaced(before=time.time() - grace):
        rest = ended + grace - time.time()
        if rest < -1:
            return  # what was let go of since is another's to remove
        if left != told:
            show(f"{left} replaced copies are removed in {max(0, rest):.0f} s, for somebody may be reading them")
        told = left
        await asyncio.sleep(min(1.0, max(0.05, rest)))


def _note(report: Report, rewritten: Rewritten) -> None:
    if rewritten.problem:
        report.failed.append({"digest": rewritten.digest, "problem": rewritten.problem})
    else:
        report.rewritten += 1
        report.rewritten_bytes += rewritten.size


def _summary(report: Report, settings: Settings) -> str:
    is_off = settings.encryption.mode == "off"
    state = "nothing is encrypted any more" if is_off else "all is encrypted with the newest key of its domain"
    counts = f"rewrote {report.rewritten} objects, {report.rewritten_bytes} bytes"
    if report.failed:
        return f"{counts}; {len(report.failed)} stay as they were: push them again or delete them, then run this again"
    return f"{counts}: {state}"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:  # noqa: PLR2004  a day
        message = "a grace is 0 to 86400 seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds
