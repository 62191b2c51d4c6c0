"""`lading audit`: who did what, found, exported as lines of JSON, and proven to be as it was recorded."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from auth.errors import AuthError
from registry.admin import audit
from registry.audit_parts import key_of_trail
from registry.commands.api import Api, Json
from registry.commands.local import opened_registry
from registry.commands.running import run_with_api
from registry.commands.settings import settings_of
from registry.commands.subcommands import Report, Subcommand, add_subcommands, complain, table, tell
from registry.config import Settings, SettingsInvalid
from registry.core.audit_lines import check_lines
from registry.core.inert_text import inert
from storage.errors import StorageError
from storage.metadata.audit_event import EventKind, Verdict

_LIMIT: Final = 100
_MOST: Final = 100_000
_PAGE: Final = 1000
_EVERY_SECONDS: Final = 1.0
_WIDE: Final = 200
_SHOWN: Final = 10
_TO_THE_SECOND: Final = len("2026-01-31T09:00:00")


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


async def _search(api: Api, arguments: argparse.Namespace) -> Report:
    order = "oldest" if arguments.oldest_first else "newest"
    found = [event async for event in _events(api, arguments, order=order, most=arguments.limit)]
    return Report(table(_cells(event) for event in found), found)


async def _export(api: Api, arguments: argparse.Namespace) -> Report:
    """Write page by page, so that memory does not grow with the trail."""
    show, written = _progress("exported"), 0
    with nullcontext(sys.stdout.buffer) if arguments.output is None else _created(arguments.output) as file:
        async for event in _events(api, arguments, order="oldest"):
            file.write(orjson.dumps(event) + b"\n")
            written += 1
            show(written)
    if arguments.output is None:
        return Report("", None)
    return Report(f"{written} events are in {arguments.output}", {"events": written, "file": str(arguments.output)})


async def _verify(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    events = (await api.call(audit.CHECK))["events"]
    return Report(f"{events} events: all as they were recorded", {"events": events})


SUBCOMMANDS = (
    Subcommand("search", "show what happened, the newest first", _search, (_add_filters, _add_search)),
    Subcommand("export", "write events as lines of JSON, the oldest first", _export, (_add_filters, _add_output)),
    Subcommand("verify", "prove that no event was changed, added or removed", _verify, (_add_file,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says; exit 1 where the trail was tampered with."""
    if arguments.subcommand == "verify" and arguments.file is not None:
        return _verify_file(arguments)
    if arguments.subcommand == "export" and arguments.output is None:
        arguments.json = False  # the lines are the output
    return run_with_api(arguments)


def _verify_file(arguments: argparse.Namespace) -> int:
    """Prove lines of JSON by the key that the registry has; its own trail is not asked."""
    path = arguments.file
    try:
        key = asyncio.run(_key_of_trail(settings_of(arguments).settings))
        with path.open("rb") as file:
            found = check_lines(file, key)
    except (SettingsInvalid, AuthError, StorageError, OSError) as error:
        return complain(error)
    if found.bad:
        shown = ", ".join(map(str, found.bad[:_SHOWN]))
        return complain(f"{path}: {len(found.bad)} lines are not as they were recorded: {shown}")
    text = f"{found.events} events: all as they were recorded, {found.missing} missing between the first and the last"
    if found.unsealed:
        text += f"; {found.unsealed} more that nothing proves, for the database did not take them"
    tell(Report(text, asdict(found)), as_json=arguments.json)
    return 0


async def _key_of_trail(settings: Settings) -> bytes:
    async with opened_registry(settings) as (_, _, prepared):
        return key_of_trail(prepared.secrets_key)


async def _events(
    api: Api, arguments: argparse.Namespace, *, order: str, most: int | None = None
) -> AsyncIterator[Json]:
    """Events that the filters let through, page after page, as far as `most`."""
    names = ("since", "until", "event", "decision", "principal", "action", "resource")
    filters = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    after, left = "", most
    while left is None or left > 0:
        limit = _PAGE if left is None else min(left, _PAGE)
        page = await api.call(audit.SEARCH, query={**filters, "order": order, "limit": limit, "after": after})
        for event in page["items"]:
            yield event
        if page["next"] is None:
            return
        after, left = page["next"], None if left is None else left - len(page["items"])


def _cells(event: Json) -> list[str]:
    """An event as a row of a table, the parts of it that a person looks for."""
    names = ("event", "decision", "principal", "action", "resource", "source")
    return [event["time"][:_TO_THE_SECOND] + "Z", *(inert(event[name], _WIDE) for name in names)]


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


def _time(text: str) -> str:
    """A moment as RFC 3339 writes it; one without a zone is taken for UTC."""
    try:
        return datetime.fromtimestamp(float(text), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text} is no time: write it as 2026-01-31T09:00:00Z, or in seconds since 1970"
        raise argparse.ArgumentTypeError(message) from None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).isoformat()


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= _MOST:
        message = f"a limit lies between 1 and {_MOST}"
        raise argparse.ArgumentTypeError(message)
    return limit
