"""`lading user`: who may log in."""

import argparse
import sys

from registry.admin import users
from registry.commands.api import Api, Json, pages
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands, add_tags, table, tags_of


def _add_password_stdin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    name = arguments.name
    password = _read_password() if arguments.password_stdin else None
    made = await api.call(users.CREATE, body={"name": name, "password": password})
    text = f"user {name} was made, and may do nothing yet: give it a policy with `lading policy put --user {name}`"
    if password is None:
        text += f",\nand a way in with `lading user password {name}` or `lading key create --user {name}`"
    return Report(text, {"name": name, "arn": made["arn"]})


async def _list(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    found = await pages(api, users.LIST)
    rows = [[user["name"], user["kind"], _state(user), user["created_at"]] for user in found]
    return Report(table(rows), found)


async def _show(api: Api, arguments: argparse.Namespace) -> Report:
    user = await api.call(users.GET, {"user": arguments.name})
    keys = [key["access_key_id"] + ("" if key["active"] else " (disabled)") for key in user["access_keys"]]
    rows = [
        ["arn", user["arn"]],
        ["state", _state(user)],
        ["made", user["created_at"]],
        ["password", "yes" if user["has_password"] else "none"],
        ["groups", _listed(user["groups"])],
        ["access keys", _listed(keys)],
        ["inline policies", _listed(user["inline_policies"])],
        ["attached policies", _listed(user["attached_policies"])],
        ["boundary", user["permissions_boundary"] or "none"],
        ["tags", _listed([f"{name}={value}" for name, value in user["tags"].items()])],
    ]
    return Report(table(rows), user)


async def _disable(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(users.UPDATE, {"user": arguments.name}, body={"disabled": True})
    return Report(f"user {arguments.name} is refused from now on", {"name": arguments.name, "disabled": True})


async def _enable(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(users.UPDATE, {"user": arguments.name}, body={"disabled": False})
    return Report(f"user {arguments.name} may log in again", {"name": arguments.name, "disabled": False})


async def _tag(api: Api, arguments: argparse.Namespace) -> Report:
    tags = tags_of(arguments.tags)
    await api.call(users.UPDATE, {"user": arguments.name}, body={"tags": tags})
    return Report(f"user {arguments.name} has these tags from now on", {"name": arguments.name, "tags": tags})


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(users.DELETE, {"user": arguments.name})
    return Report(f"user {arguments.name} is gone, with its keys and policies", {"name": arguments.name})


async def _set_password(api: Api, arguments: argparse.Namespace) -> Report:
    name = arguments.name
    given = _read_password() if arguments.password_stdin else None
    answer = await api.call(users.SET_PASSWORD, {"user": name}, body={"password": given})
    if given is not None:
        return Report(f"user {name} has another password", {"name": name})
    text = f"user {name} has another password, shown this once:\n\n    {answer['password']}\n"
    return Report(text, {"name": name, "password": answer["password"]})


SUBCOMMANDS = (
    Subcommand("create", "make a user that may do nothing yet", _create, (add_name, _add_password_stdin)),
    Subcommand("list", "show every user", _list),
    Subcommand("show", "show one user with its groups, keys and policies", _show, (add_name,)),
    Subcommand("disable", "refuse a user, its tokens and its keys from the next request on", _disable, (add_name,)),
    Subcommand("enable", "let a user in again", _enable, (add_name,)),
    Subcommand("tag", "give a user tags in place of others", _tag, (add_name, add_tags)),
    Subcommand("delete", "remove a user with its keys and policies", _delete, (add_name,)),
    Subcommand(
        "password",
        "give a user another password, a generated one by default",
        _set_password,
        (add_name, _add_password_stdin),
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)


def _read_password() -> str:
    """The first line of standard input, an empty one included: it is refused as a password later."""
    return sys.stdin.readline().rstrip("\r\n")


def _state(user: Json) -> str:
    return "disabled" if user["disabled"] else "enabled"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
