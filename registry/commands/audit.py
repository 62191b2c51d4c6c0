"""`lading audit`: who did what, found, exported as lines of JSON, and proven to be as it was recorded."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from auth.actions import REGISTRY, Resource
from auth.authorizer import REGION
from auth.bootstrap import ROOT_USER, open_registry
from auth.errors import AuthError
from auth.principals import ANONYMOUS, Principal, PrincipalKind
from registry.audit_parts import history_of
from registry.commands.settings import settings_of
from registry.commands.subcommands import Report, Subcommand, add_subcommands, complain, table, tell
from registry.config import Settings, SettingsInvalid
from registry.core.audit_history import AuditHistory
from registry.databases import open_databases
from registry.http.auditing import UNKNOWN, inert
from storage.errors import SchemaOutdated, StorageError
from storage.metadata.audit import AuditQuery
from storage.metadata.audit_event import THE_REGISTRY, EventKind, RecordedEvent, Verdict
from storage.metadata.migration import REGISTRY_SCHEMA, check_revision

_LIMIT: Final = 100
_MOST: Final = 100_000
_EVERY_SECONDS: Final = 1.0
_WIDE: Final = 200
_SHOWN: Final = 10
_WITHOUT_ARN: Final = frozenset({ANONYMOUS.arn, UNKNOWN, THE_REGISTRY})


class _Tampered(Exception):
    """What was proven wrong."""


@dataclass(frozen=True, slots=True)
class _Opened:
    history: AuditHistory
    account_id: str


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=_time, metavar="TIME", help="as in 2026-01-31T09:00:00Z, or seconds since 1970")
    parser.add_argument("--until", type=_time, metavar="TIME", help="the same, exclusive")
    parser.add_argument("--event", choices=[kind.value for kind in EventKind])
    parser.add_argument("--decision", choices=[verdict.value for verdict in Verdict])
    parser.add_argument(
        "--principal", metavar="ARN", help="an ARN or user name, anonymous, unknown or registry; * at its end: any"
    )
    parser.add_argument("--action", metavar="ACTION", help="as in ecr:PutImage or lading:*")
    parser.add_argument("--resource", metavar="ARN", help="an ARN or repository, as in team/app or team/*")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_limit, default=_LIMIT, metavar="N", help=f"at most so many ({_LIMIT})")
    parser.add_argument("--oldest-first", action="store_true", help="the other way round")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there; default: standard output")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="prove the lines of an audit file or an export instead"
    )


SUBCOMMANDS = (
    Subcommand("search", "show what happened, the newest first", None, (_add_filters, _add_search)),
    Subcommand("export", "write events as lines of JSON, the oldest first", None, (_add_filters, _add_output)),
    Subcommand("verify", "prove that no event was changed, added or removed", None, (_add_file,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says; exit 1 where the trail was tampered with."""
    work: Callable[[_Opened, argparse.Namespace], Awaitable[Report | None]]
    work = {"search": _search, "export": _export, "verify": _verify}[arguments.subcommand]
    try:
        report = asyncio.run(_on_registry(settings_of(arguments).settings, work, arguments))
    except (SettingsInvalid, AuthError, StorageError, OSError, _Tampered) as error:
        return complain(error)
    if report is not None:
        tell(report, as_json=arguments.json)
    return 0


async def _on_registry(
    settings: Settings,
    work: Callable[[_Opened, argparse.Namespace], Awaitable[Report | None]],
    arguments: argparse.Namespace,
) -> Report | None:
    async with _opened(settings) as opened:
        return await work(opened, arguments)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Opened]:
    if not settings.storage.root.is_dir():
        message = f"there is no data directory {settings.storage.root}: name it with --root"
        raise FileNotFoundError(message)
    databases = open_databases(settings)
    try:
        if not await databases.registry.read(lambda connection: check_revision(connection, REGISTRY_SCHEMA)):
            raise SchemaOutdated(f"{settings.storage.root} holds no registry yet: start `lading serve` once")
        prepared = await open_registry(databases.registry, settings.key_file)
        yield _Opened(history_of(databases.activity, prepared.root_key), prepared.account_id)
    finally:
        await databases.close()


async def _search(opened: _Opened, arguments: argparse.Namespace) -> Report:
    found = await opened.history.page(
        _query(opened, arguments), limit=arguments.limit, newest_first=not arguments.oldest_first
    )
    return Report(table(_cells(recorded) for recorded in found), [recorded.document() for recorded in found])


async def _export(opened: _Opened, arguments: argparse.Namespace) -> Report | None:
    """Write page by page, so that memory does not grow with the trail."""
    show, written = _progress("exported"), 0
    with nullcontext(sys.stdout.buffer) if arguments.output is None else _created(arguments.output) as file:
        async for recorded in opened.history.events(_query(opened, arguments)):
            file.write(recorded.line())
            written += 1
            show(written)
    if arguments.output is None:
        return None
    return Report(f"{written} events are in {arguments.output}", {"events": written, "file": str(arguments.output)})


async def _verify(opened: _Opened, arguments: argparse.Namespace) -> Report:
    if arguments.file is not None:
        return _verify_lines(opened.history, arguments.file)
    events = await opened.history.check(_progress("checked"))
    return Report(f"{events} events: all as they were recorded", {"events": events})


def _verify_lines(history: AuditHistory, path: Path) -> Report:
    with path.open("rb") as file:
        found = history.check_lines(file)
    if found.bad:
        shown = ", ".join(map(str, found.bad[:_SHOWN]))
        raise _Tampered(f"{path}: {len(found.bad)} lines are not as they were recorded: {shown}")
    text = f"{found.events} events: all as they were recorded, {found.missing} missing between the first and the last"
    if found.unsealed:
        text += f"; {found.unsealed} more that nothing proves, for the database did not take them"
    return Report(text, asdict(found))


def _query(opened: _Opened, arguments: argparse.Namespace) -> AuditQuery:
    return AuditQuery(
        since=arguments.since,
        until=arguments.until,
        event=None if arguments.event is None else EventKind(arguments.event),
        decision=None if arguments.decision is None else Verdict(arguments.decision),
        principal=_principal(arguments.principal, opened.account_id),
        action=arguments.action,
        resource=_resource(arguments.resource, opened.account_id),
    )


def _principal(text: str | None, account_id: str) -> str | None:
    """An ARN, where only a user's name is given."""
    if text is None or text in _WITHOUT_ARN or ":" in text or "*" in text:
        return text
    kind = PrincipalKind.ROOT if text == ROOT_USER else PrincipalKind.USER
    return Principal(account_id, text, kind).arn


def _resource(text: str | None, account_id: str) -> str | None:
    """An ARN, where only a repository is given, or what repositories begin with."""
    if text is None or text == REGISTRY.arn or text.startswith("arn:"):
        return text
    return Resource.of_repository(text, account_id=account_id, region=REGION).arn


def _cells(recorded: RecordedEvent) -> list[str]:
    """An event as a row of a table, the parts of it that a person looks for."""
    event = recorded.event
    when = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = [when, event.event, event.decision, event.principal, event.action, event.resource, event.source]
    return [inert(text, _WIDE) for text in shown]


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _progress(done: str) -> Callable[[int], None]:
    """Show how far it is, where somebody looks on."""
    if not sys.stderr.isatty():
        return lambda _: None
    shown_at = time.monotonic()

    def show(events: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= _EVERY_SECONDS:
            shown_at = time.monotonic()
            print(f"\r{done} {events} events", end="", file=sys.stderr)  # noqa: T201 (a command speaks)

    return show


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text} is no time: write it as 2026-01-31T09:00:00Z, or in seconds since 1970"
        raise argparse.ArgumentTypeError(message) from None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= _MOST:
        message = f"a limit lies between 1 and {_MOST}"
        raise argparse.ArgumentTypeError(message)
    return limit
