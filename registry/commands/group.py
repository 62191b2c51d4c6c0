"""`lading group`: users that share policies."""

import argparse

from registry.admin import groups
from registry.commands.api import Api, pages
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands


def _add_member(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER")


def _add_optional_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="show the members of this group")


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(groups.CREATE, body={"name": arguments.name})
    return Report(
        f"group {arguments.name} was made: put users into it with `lading group add {arguments.name} USER`",
        {"name": arguments.name},
    )


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(groups.DELETE, {"group": arguments.name})
    return Report(f"group {arguments.name} is gone; its members are still there", {"name": arguments.name})


async def _list(api: Api, arguments: argparse.Namespace) -> Report:
    if arguments.name is None:
        names = await pages(api, groups.LIST)
    else:
        names = (await api.call(groups.GET, {"group": arguments.name}))["members"]
    return Report("\n".join(names), names)


async def _add(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(groups.ADD, {"group": arguments.name, "user": arguments.user})
    return Report(f"{arguments.user} is in group {arguments.name}", {"group": arguments.name, "user": arguments.user})


async def _remove(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(groups.REMOVE, {"group": arguments.name, "user": arguments.user})
    return Report(
        f"{arguments.user} is not in group {arguments.name}", {"group": arguments.name, "user": arguments.user}
    )


SUBCOMMANDS = (
    Subcommand("create", "make a group", _create, (add_name,)),
    Subcommand("delete", "remove a group with its policies; its members stay", _delete, (add_name,)),
    Subcommand("list", "show every group, or the members of one", _list, (_add_optional_name,)),
    Subcommand("add", "put a user into a group", _add, (add_name, _add_member)),
    Subcommand("remove", "take a user out of a group", _remove, (add_name, _add_member)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)
