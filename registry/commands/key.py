"""`lading key`: access keys, with which programs log in."""

import argparse

from registry.admin import access_keys
from registry.commands.api import Api, Json
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_subcommands, table


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", required=True, help="whose key it is")


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the access key's id, as in LK…")


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    key = await api.call(access_keys.CREATE, {"user": arguments.user})
    text = (
        f"access key of {arguments.user}; the secret is shown this once:\n\n"
        f"    id      {key['access_key_id']}\n    secret  {key['secret_access_key']}\n\n"
        "Log in with the id as the user name and the secret as the password."
    )
    return Report(text, key)


async def _list(api: Api, arguments: argparse.Namespace) -> Report:
    keys = (await api.call(access_keys.LIST, {"user": arguments.user}))["items"]
    rows = [[key["access_key_id"], "active" if key["active"] else "disabled", _last_use(key)] for key in keys]
    return Report(table(rows), keys)


async def _disable(api: Api, arguments: argparse.Namespace) -> Report:
    await _set_state(api, arguments.id, active=False)
    return Report(f"access key {arguments.id} is refused from now on", {"access_key_id": arguments.id, "active": False})


async def _enable(api: Api, arguments: argparse.Namespace) -> Report:
    await _set_state(api, arguments.id, active=True)
    return Report(f"access key {arguments.id} opens again", {"access_key_id": arguments.id, "active": True})


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(access_keys.DELETE, await _path(api, arguments.id))
    return Report(f"access key {arguments.id} is gone", {"access_key_id": arguments.id})


async def _set_state(api: Api, key_id: str, *, active: bool) -> None:
    await api.call(access_keys.UPDATE, await _path(api, key_id), body={"active": active})


async def _path(api: Api, key_id: str) -> dict[str, str]:
    """A key is reached through its owner."""
    key = await api.call(access_keys.GET, {"access_key": key_id})
    return {"user": key["user"], "access_key": key_id}


def _last_use(key: Json) -> str:
    return f"last used {key['last_used_at']} from {key['last_used_from']}" if key["last_used_at"] else "never used"


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
    return run_with_api(arguments)
