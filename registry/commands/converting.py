"""`lading encryption convert`: bring all that is stored to what the settings say, whether the server runs or not."""

import argparse
import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Final

from registry.commands.local import opened_registry
from registry.commands.progress import progress
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import UsageInvalid, complain, tell_in_a_line
from registry.config import Settings, SettingsInvalid
from registry.content import open_content
from registry.core.errors import RegistryError
from registry.core.reencryption import Reencryption, Rewritten, grace_of
from storage.errors import StorageError
from storage.metadata.database import Forgetful
from storage.metadata.migration import ACTIVITY_SCHEMA, check_revision
from storage.metadata.reencryption import Wanted

_REFRESHED_EVERY_SECONDS: Final = 1.0


@dataclass(slots=True)
class Report:
    """What was done: objects that were rewritten, their bytes, and those that stay as they were.

    `others` is how many are not as they should be all the same: somebody stored them meanwhile. `is_forgotten` is
    False where the database's log still tells of what was stored before.
    """

    rewritten: int = 0
    rewritten_bytes: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    others: int = 0
    is_forgotten: bool = True

    @property
    def is_done(self) -> bool:
        """Whether all is as it should be."""
        return not self.failed and not self.others and self.is_forgotten


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_settings(parser)
    parser.add_argument("--domain", metavar="NAME", help="only what belongs to this encryption domain")
    add_grace(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def add_grace(parser: argparse.ArgumentParser) -> None:
    """Declare how long replaced bytes stay."""
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=_seconds,
        help="how long rewritten bytes stay for those who are reading them, 0 where no server runs; default: 60, and "
        "3600 in a bucket",
    )


def require_encryption(arguments: argparse.Namespace) -> None:
    """Raise UsageInvalid where nothing is to be encrypted: then content would be brought to that."""
    if settings_of(arguments).settings.encryption.mode == "off":
        raise UsageInvalid("encryption.mode is off: nothing is encrypted, so there is nothing to re-encrypt")


def run(arguments: argparse.Namespace, *, is_quiet: bool = False) -> int:
    """Exit 0 when all is as it should be, 1 when anything is not; a quiet run prints what fails alone."""
    try:
        settings = settings_of(arguments).settings
        report = asyncio.run(_convert(settings, arguments.domain, arguments.grace))
    except (SettingsInvalid, StorageError, RegistryError, OSError) as error:
        return complain(error)
    failed = (f"{each['digest']}: {each['problem']}" for each in report.failed)
    if not is_quiet:
        tell_in_a_line(asdict(report), (*failed, _summary(report, settings)), as_json=arguments.json)
    elif not report.is_done:
        complain(f"{_summary(report, settings)}; `lading encryption convert` names them")
    return 0 if report.is_done else 1


async def _convert(settings: Settings, domain: str | None, grace_seconds: float | None) -> Report:
    async with (
        opened_registry(settings) as (databases, roots, prepared),
        open_content(settings, databases, prepared.registry_id, roots) as content,
    ):
        await databases.activity.read(lambda connection: check_revision(connection, ACTIVITY_SCHEMA))
        if domain is not None:
            await content.domains.domain(domain)
        wanted = Wanted(seals=settings.encryption.mode != "off", domain=domain)
        grace = grace_of(content.places) if grace_seconds is None else grace_seconds
        work = Reencryption(databases.registry, content.places, content.seals, wanted, time.time, grace_seconds=grace)
        report, show = Report(), progress()
        await _rewrite(work, report, show)
        await _remove(work, grace, show)
        if isinstance(databases.registry, Forgetful):
            report.is_forgotten = await databases.registry.forget()
        return report


async def _rewrite(work: Reencryption, report: Report, show: Callable[[str], None]) -> None:
    total = await work.count()
    async with aclosing(work.run()) as done:
        async for rewritten in done:
            _note(report, rewritten)
            count = report.rewritten + len(report.failed)
            show(f"{count} of {total}, {report.rewritten_bytes // 1_000_000} MB, {len(report.failed)} failed")
    report.others = max(0, await work.count() - len(report.failed))


async def _remove(work: Reencryption, grace: float, show: Callable[[str], None]) -> None:
    """Remove what was replaced, once nobody can be reading it any more."""
    ends = time.time() + grace
    while left := await work.remove_replaced():
        rest = ends - time.time()
        if rest < -_REFRESHED_EVERY_SECONDS:
            return  # what was let go of since is another's to remove
        show(f"{left} replaced copies stay for {max(0, rest):.0f} s, for somebody may be reading them")
        await asyncio.sleep(min(_REFRESHED_EVERY_SECONDS, max(0.01, rest)))


def _note(report: Report, rewritten: Rewritten) -> None:
    if rewritten.problem:
        report.failed.append({"digest": rewritten.digest, "problem": rewritten.problem})
    else:
        report.rewritten += 1
        report.rewritten_bytes += rewritten.size


def _summary(report: Report, settings: Settings) -> str:
    is_off = settings.encryption.mode == "off"
    said = [f"rewrote {report.rewritten} objects, {report.rewritten_bytes} bytes"]
    if report.is_done:
        said.append("nothing is encrypted any more" if is_off else "all is encrypted with the newest key of its domain")
    if report.failed:
        said.append(f"{len(report.failed)} stay as they were: push them again or delete them, then run this again")
    if report.others:
        said.append(
            f"{report.others} were stored otherwise meanwhile: restart a server with other settings, then run "
            "this again"
        )
    if not report.is_forgotten:
        said.append("the database's log is in use, and may hold what was there before: run this again")
    return "; ".join(said)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:  # noqa: PLR2004  a day
        message = "a grace is 0 to 86400 seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds
