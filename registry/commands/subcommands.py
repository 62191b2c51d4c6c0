"""Subcommands that work on a registry's accounts: how they are declared, and how their result is told."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from registry.commands.settings import add_settings
from storage.errors import StorageError

if TYPE_CHECKING:
    from registry.commands.api import Api


@dataclass(frozen=True, slots=True)
class Report:
    """What was done or found: a text for people, and a JSON document for programs."""

    text: str
    document: object


class UsageInvalid(Exception):
    """The arguments do not go together; the text says which are missing or too many."""


Work = Callable[["Api", argparse.Namespace], Awaitable[Report]]
Declare = Callable[[argparse.ArgumentParser], object]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One subcommand: its arguments, and what it does with them; no work for one that needs no registry."""

    name: str
    summary: str
    work: Work | None
    arguments: tuple[Declare, ...] = ()


def add_subcommands(
    parser: argparse.ArgumentParser, subcommands: Iterable[Subcommand]
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Declare subcommands, each with the flags of the settings, `--server` and `--json`."""
    added = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for subcommand in subcommands:
        subparser = added.add_parser(subcommand.name, help=subcommand.summary, description=subcommand.summary)
        for declare in subcommand.arguments:
            declare(subparser)
        subparser.add_argument("--json", action="store_true", help="print JSON")
        add_settings(subparser)
        if subcommand.work is not None:
            _add_server(subparser)
        subparser.set_defaults(work=subcommand.work)
    return added


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        metavar="URL",
        help="ask a server's admin API as LADING_USER (default: admin) with LADING_PASSWORD, or with LADING_TOKEN",
    )


def add_name(parser: argparse.ArgumentParser) -> None:
    """Declare the name of what a subcommand is about."""
    parser.add_argument("name", metavar="NAME")


def add_tags(parser: argparse.ArgumentParser) -> None:
    """Declare tags; none takes away those that are there."""
    parser.add_argument("tags", metavar="KEY=VALUE", nargs="*", help="for conditions of policies")


def tags_of(pairs: Iterable[str]) -> dict[str, str]:
    """Read tags as they are written on a command line; raises UsageInvalid."""
    tags = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageInvalid(f"{pair}: write a tag as KEY=VALUE")
        tags[name] = value
    return tags


def tell(report: Report, *, as_json: bool) -> None:
    """Print what was done or found; nothing for an empty text."""
    if as_json:
        sys.stdout.write(orjson.dumps(report.document, option=orjson.OPT_INDENT_2).decode() + "\n")
    elif report.text:
        sys.stdout.write(report.text + "\n")


def tell_in_a_line(document: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print what was found as one line of JSON, or as lines for a person."""
    sys.stdout.write((orjson.dumps(document).decode() if as_json else "\n".join(lines)) + "\n")


def complain(error: object) -> int:
    """Say on standard error why nothing came of it; returns the exit code of a failure.

    That the reader of our output has seen enough is none: raises the BrokenPipeError, which `main` knows.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    said = error.in_full if isinstance(error, StorageError) else error
    print(f"lading: {said}", file=sys.stderr)  # noqa: T201 (a command speaks)
    return 1


def refuse(error: UsageInvalid) -> int:
    """Say on standard error what is wrong with the arguments; returns the exit code of wrong usage."""
    complain(error)
    return 2


def table(rows: Iterable[Iterable[str]]) -> str:
    """Columns of text, side by side."""
    listed = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed
    )
