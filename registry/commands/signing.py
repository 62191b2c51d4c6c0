"""`lading signing`: the keys that sign tokens, and how they take turns."""

import argparse

from auth.keys import ALGORITHMS, ES256
from registry.admin import signing_keys
from registry.commands.api import Api, Json
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_subcommands, table


def _add_rotation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--algorithm", choices=ALGORITHMS, default=ES256, help=f"default: {ES256}")
    parser.add_argument(
        "--signs-in",
        metavar="SECONDS",
        type=float,
        default=0,
        help="publish the key so long before it signs, for those who keep the published keys; default: 0",
    )


def _add_kid(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kid", metavar="KID", help="the key's id, as `lading signing list` shows it")


async def _rotate(api: Api, arguments: argparse.Namespace) -> Report:
    body = {"algorithm": arguments.algorithm, "signs_in_seconds": arguments.signs_in}
    key = await api.call(signing_keys.ROTATE, body=body)
    text = (
        f"signing key {key['kid']} ({key['algorithm']}) signs from {key['signs_from']} on; "
        "what the keys before it signed stays valid until it expires"
    )
    return Report(text, key)


async def _list(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    keys = (await api.call(signing_keys.LIST))["items"]
    rows = [[key["kid"], key["algorithm"], key["state"], _until(key)] for key in keys]
    return Report(table(rows), keys)


async def _retire(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(signing_keys.RETIRE, {"signing_key": arguments.kid})
    return Report(f"what signing key {arguments.kid} signed is refused from now on", {"kid": arguments.kid})


def _until(key: Json) -> str:
    return f"until {key['retires_at']}" if key["retires_at"] else ""


SUBCOMMANDS = (
    Subcommand("rotate", "make another key, which signs from now on or later", _rotate, (_add_rotation,)),
    Subcommand("list", "show every key and what it does", _list),
    Subcommand("retire", "refuse at once what a key signed, after its secret got out", _retire, (_add_kid,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)
