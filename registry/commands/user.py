"""`lading user`: who may log in."""

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from auth.passwords import generate_password
from auth.policy_documents import Owner, OwnerKind
from auth.principals import Principal, PrincipalKind
from registry.commands.opened import Opened, run_on_registry
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands, table

if TYPE_CHECKING:
    from storage.metadata.principals import StoredPrincipal


def _add_password_stdin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


async def _create(opened: Opened, arguments: argparse.Namespace) -> Report:
    name = arguments.name
    password = _read_password() if arguments.password_stdin else None
    await opened.accounts.create_user(name, password)
    text = f"user {name} was made, and may do nothing yet: give it a policy with `lading policy put --user {name}`"
    if password is None:
        text += f",\nand a way in with `lading user password {name}` or `lading key create --user {name}`"
    return Report(text, {"name": name, "arn": _arn(opened.account_id, name, PrincipalKind.USER)})


async def _list(opened: Opened, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    users = await opened.accounts.users()
    rows = [[user.name, user.kind, _state(user), _time(user.created_at)] for user in users]
    return Report(table(rows), [_document(user) for user in users])


async def _show(opened: Opened, arguments: argparse.Namespace) -> Report:
    user = await opened.accounts.user(arguments.name)
    groups = await opened.accounts.groups_of(user)
    keys = await opened.access_keys.list(user.name)
    owned = await opened.policies.owned(Owner(OwnerKind.USER, user.name))
    inline = [policy.name for policy in owned.inline]
    document = _document(user) | {
        "has_password": user.password_hash is not None,
        "groups": groups,
        "access_keys": [{"access_key_id": key.id, "active": key.is_active} for key in keys],
        "inline_policies": inline,
        "attached_policies": owned.attached,
        "permissions_boundary": owned.boundary,
    }
    rows = [
        ["arn", _arn(user.account_id, user.name, PrincipalKind(user.kind))],
        ["state", _state(user)],
        ["made", _time(user.created_at)],
        ["password", "yes" if user.password_hash is not None else "none"],
        ["groups", _listed(groups)],
        ["access keys", _listed([key.id if key.is_active else f"{key.id} (disabled)" for key in keys])],
        ["inline policies", _listed(inline)],
        ["attached policies", _listed(owned.attached)],
        ["boundary", owned.boundary or "none"],
    ]
    return Report(table(rows), document)


async def _disable(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.accounts.disable_user(arguments.name)
    return Report(f"user {arguments.name} is refused from now on", {"name": arguments.name, "disabled": True})


async def _enable(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.accounts.enable_user(arguments.name)
    return Report(f"user {arguments.name} may log in again", {"name": arguments.name, "disabled": False})


async def _delete(opened: Opened, arguments: argparse.Namespace) -> Report:
    await opened.accounts.delete_user(arguments.name)
    return Report(f"user {arguments.name} is gone, with its keys and policies", {"name": arguments.name})


async def _set_password(opened: Opened, arguments: argparse.Namespace) -> Report:
    name = arguments.name
    given = _read_password() if arguments.password_stdin else None
    password = generate_password() if given is None else given
    await opened.accounts.set_password(name, password)
    if given is not None:
        return Report(f"user {name} has another password", {"name": name})
    return Report(
        f"user {name} has another password, shown this once:\n\n    {password}\n", {"name": name, "password": password}
    )


SUBCOMMANDS = (
    Subcommand("create", "make a user that may do nothing yet", _create, (add_name, _add_password_stdin)),
    Subcommand("list", "show every user", _list),
    Subcommand("show", "show one user with its groups, keys and policies", _show, (add_name,)),
    Subcommand("disable", "refuse a user, its tokens and its keys from the next request on", _disable, (add_name,)),
    Subcommand("enable", "let a user in again", _enable, (add_name,)),
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
    return run_on_registry(arguments)


def _read_password() -> str:
    """The first line of standard input, an empty one included: it is refused as a password later."""
    return sys.stdin.readline().rstrip("\r\n")


def _document(user: "StoredPrincipal") -> dict[str, object]:
    kind = PrincipalKind(user.kind)
    return {
        "name": user.name,
        "arn": _arn(user.account_id, user.name, kind),
        "kind": kind.value,
        "disabled": user.is_disabled,
        "created_at": _time(user.created_at),
    }


def _arn(account_id: str, name: str, kind: PrincipalKind) -> str:
    return Principal(account_id, name, kind).arn


def _state(user: "StoredPrincipal") -> str:
    return "disabled" if user.is_disabled else "enabled"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
