"""`lading key`: access keys, with which programs log in."""

import argparse

from registry.commands.opened import Opened, run_on_registry
from registry.commands.subcommands import Report, Subcommand, add_subcommands, table


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", required=True, help="whose key it is")


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the access key's id, as in LK…")


async def _create(opened: Opened, arguments: argparse.Namespace) -> Report:
    key = await opened.access_keys.create(arguments.user)
    text = (
        f"access key of {arguments.user}; the secret is shown this once:\n\n"
        f"    id      {key.id}\n    secret  {key.secret}\n\n"
        "Log in with the id as the user name and the secret as the password."
    )
    return Report(text, {"access_key_id": key.id, "secret_access_key": key.secret})


async def _list(opened: Opened, arguments: argparse.Namespace) -> Report:
    keys = await opened.access_keys.list(arguments.user)
    rows = [[key.id, "active" if key.is_active else "disabled"] for key in keys]
    return Report(table(rows), [{"access_key_id": key.id, "active": key.is_active} for key in keys])


async def _disable(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.access_keys.disable(arguments.id)
    return Report(f"access key {arguments.id} is refused from now on", {"access_key_id": arguments.id, "active": False})


async def _enable(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.access_keys.enable(arguments.id)
    return Report(f"access key {arguments.id} opens again", {"access_key_id": arguments.id, "active": True})


async def _delete(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.access_keys.delete(arguments.id)
    return Report(f"access key {arguments.id} is gone", {"access_key_id": arguments.id})


SUBCOMMANDS = (
    Subcommand("create", "make an access key for a user, who has two at most", _create, (_add_user,)),
    Subcommand("list", "show a user's access keys", _list, (_add_user,)),
    Subcommand("disable", "refuse a key from the next request on", _disable, (_add_id,)),
    Subcommand("enable", "let a key in again", _enable, (_add_id,)),
    Subcommand("delete", "remove a key", _delete, (_add_id,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_on_registry(arguments)
