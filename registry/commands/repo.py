"""`lading repo`: what belongs to one repository."""

import argparse

from registry.commands.documents import add_file, read_document
from registry.commands.opened import Opened, run_on_registry
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands


async def _set(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.policies.put_of_repository(arguments.name, read_document(arguments.file))
    return Report(f"repository {arguments.name} has this policy from now on", {"repository": arguments.name})


async def _show(opened: Opened, arguments: argparse.Namespace) -> Report:
    document = await opened.policies.find_of_repository(arguments.name)
    return Report(document.rstrip("\n"), {"repository": arguments.name, "document": document})


async def _delete(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.policies.delete_of_repository(arguments.name)
    return Report(f"repository {arguments.name} has no policy", {"repository": arguments.name})


POLICY = (
    Subcommand("set", "give a repository this policy in place of another", _set, (add_name, add_file)),
    Subcommand("show", "show a repository's policy", _show, (add_name,)),
    Subcommand("delete", "take a repository's policy away", _delete, (add_name,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    topics = parser.add_subparsers(dest="topic", required=True, metavar="policy")
    add_subcommands(topics.add_parser("policy", help="who may do what to one repository"), POLICY)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_on_registry(arguments)
