"""`lading token`: service tokens of users, and taking back signed tokens."""

import argparse

from registry.admin import service_tokens, sessions
from registry.commands.api import Api, Json
from registry.commands.documents import read_document
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands, table


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", required=True, help="whose token it is")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expires-at", metavar="TIME", help="as in 2030-01-31T00:00:00Z; default: never")
    parser.add_argument("--file", metavar="FILE", help="a policy that limits it, JSON; - is standard input")


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the jti that the token says")


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    policy = None if arguments.file is None else read_document(arguments.file)
    body = {"name": arguments.name, "expires_at": arguments.expires_at, "policy": policy}
    token = await api.call(service_tokens.CREATE, {"user": arguments.user}, body=body)
    text = (
        f"service token {arguments.name} of {arguments.user}, shown this once:\n\n    {token['token']}\n\n"
        f"Log in with {arguments.user} as the user name and the token as the password."
    )
    return Report(text, token)


async def _list(api: Api, arguments: argparse.Namespace) -> Report:
    tokens = (await api.call(service_tokens.LIST, {"user": arguments.user}))["items"]
    rows = [[token["name"], _end(token), "limited by a policy" if token["policy"] else ""] for token in tokens]
    return Report(table(rows), tokens)


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(service_tokens.DELETE, {"user": arguments.user, "service_token": arguments.name})
    return Report(f"service token {arguments.name} of {arguments.user} is gone", {"name": arguments.name})


async def _revoke(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(service_tokens.REVOKE, body={"id": arguments.id})
    return Report(f"the token {arguments.id} is refused from now on", {"id": arguments.id})


async def _login(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    made = await api.call(sessions.AUTHORIZE)
    return Report(made["password"], made)


def _end(token: Json) -> str:
    return f"until {token['expires_at']}" if token["expires_at"] else "without an end"


SUBCOMMANDS = (
    Subcommand("login", "print a password for the user AWS that lasts for twelve hours", _login),
    Subcommand("create", "make a token in place of a user's password", _create, (add_name, _add_user, _add_limits)),
    Subcommand("list", "show a user's service tokens", _list, (_add_user,)),
    Subcommand("delete", "refuse a service token, and what was fetched with it", _delete, (add_name, _add_user)),
    Subcommand("revoke", "refuse one signed token before it expires", _revoke, (_add_id,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)
