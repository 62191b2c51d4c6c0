"""`lading role`: what a program may become for a while."""

import argparse

from registry.commands.documents import add_file, read_document
from registry.commands.opened import Opened, run_on_registry
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands


async def _create(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.accounts.create_role(arguments.name, read_document(arguments.file))
    return Report(
        f"role {arguments.name} was made, and may do nothing yet: "
        f"give it a policy with `lading policy put --role {arguments.name}`",
        {"name": arguments.name},
    )


async def _list(opened: Opened, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    names = [role.name for role in await opened.accounts.roles()]
    return Report("\n".join(names), names)


async def _delete(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.accounts.delete_role(arguments.name)
    return Report(f"role {arguments.name} is gone, with its policies", {"name": arguments.name})


SUBCOMMANDS = (
    Subcommand("create", "make a role; FILE is its trust policy", _create, (add_name, add_file)),
    Subcommand("list", "show every role", _list),
    Subcommand("delete", "remove a role with its policies", _delete, (add_name,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_on_registry(arguments)
