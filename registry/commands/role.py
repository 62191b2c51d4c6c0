"""`lading role`: what a program may become for a while."""

import argparse

from registry.admin import roles
from registry.commands.api import Api, pages, run_with_api
from registry.commands.documents import add_file, read_document
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(roles.CREATE, body={"name": arguments.name, "trust_policy": read_document(arguments.file)})
    return Report(
        f"role {arguments.name} was made, and may do nothing yet: "
        f"give it a policy with `lading policy put --role {arguments.name}`",
        {"name": arguments.name},
    )


async def _list(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    names = await pages(api, roles.LIST)
    return Report("\n".join(names), names)


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(roles.DELETE, {"role": arguments.name})
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
    return run_with_api(arguments)
