"""`lading role`: what a program may become for a while."""

import argparse
from functools import partial

import orjson

from registry.admin import identity_providers, roles, sessions
from registry.commands.api import Api, pages
from registry.commands.documents import add_file, read_document
from registry.commands.running import run_with_api
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


async def _revoke(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(roles.REVOKE, {"role": arguments.name})
    return Report(f"every session of role {arguments.name} has ended", {"name": arguments.name})


async def _set_trust(api: Api, arguments: argparse.Namespace) -> Report:
    body = {"document": read_document(arguments.file)}
    await api.call(roles.PUT_TRUST, {"role": arguments.name}, body=body)
    return Report(
        f"role {arguments.name} can be assumed by whom the policy names; sessions that are open go on: "
        f"end them with `lading role revoke {arguments.name}`",
        {"name": arguments.name},
    )


async def _show_trust(api: Api, arguments: argparse.Namespace) -> Report:
    document = (await api.call(roles.GET, {"role": arguments.name}))["trust_policy"]
    return Report(document.rstrip("\n"), orjson.loads(document))


async def _create_provider(api: Api, arguments: argparse.Namespace) -> Report:
    body = {
        "issuer": arguments.issuer,
        "audiences": arguments.audience,
        "jwks_url": arguments.jwks_url,
        "allow_private": arguments.allow_private,
    }
    provider = await api.call(identity_providers.CREATE, body=body)
    return Report(f"trust policies may name the identity provider {provider['name']}", provider)


async def _list_providers(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (as above)
    providers = (await api.call(identity_providers.LIST))["items"]
    return Report("\n".join(provider["name"] for provider in providers), providers)


async def _delete_provider(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(identity_providers.DELETE, {"provider": arguments.name})
    return Report(f"identity provider {arguments.name} is trusted no longer", {"name": arguments.name})


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("issuer", metavar="URL", help="what the iss claim of its tokens says")
    parser.add_argument(
        "--audience", action="append", required=True, help="what the aud claim must say; one of several if repeated"
    )
    parser.add_argument("--jwks-url", metavar="URL", help="where its keys are; asked of the issuer if left out")
    parser.add_argument(
        "--allow-private", action="store_true", help="it may be on a private network and speak plain HTTP"
    )


async def _assume(api: Api, arguments: argparse.Namespace) -> Report:
    body = {
        "session_name": arguments.session_name,
        "duration_seconds": arguments.seconds,
        "policy": None if arguments.file is None else read_document(arguments.file),
    }
    made = await api.call(sessions.ASSUME, {"role": arguments.name}, body=body)
    return Report(made["password"], made)


def _add_session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session-name", metavar="SESSION", required=True, help="shows in audit events and ARNs")
    parser.add_argument("--seconds", metavar="N", type=int, help="900 to the most of the role; default: an hour")
    parser.add_argument("--file", metavar="FILE", help="a policy that limits the session, JSON; - is standard input")


_TRUST = (
    Subcommand("set", "replace a role's trust policy by FILE", _set_trust, (add_name, add_file)),
    Subcommand("show", "print a role's trust policy", _show_trust, (add_name,)),
)
_PROVIDER = (
    Subcommand("create", "let trust policies name an OpenID Connect issuer", _create_provider, (_add_provider,)),
    Subcommand("list", "show every identity provider", _list_providers),
    Subcommand("delete", "trust an identity provider no longer", _delete_provider, (add_name,)),
)
SUBCOMMANDS = (
    Subcommand("create", "make a role; FILE is its trust policy", _create, (add_name, add_file)),
    Subcommand("list", "show every role", _list),
    Subcommand("delete", "remove a role with its policies", _delete, (add_name,)),
    Subcommand(
        "assume",
        "print a password for the user AWS that acts in the role",
        _assume,
        (add_name, _add_session),
    ),
    Subcommand("revoke", "end every session of a role", _revoke, (add_name,)),
    Subcommand("trust", "who may assume a role", None, (partial(add_subcommands, subcommands=_TRUST),)),
    Subcommand("provider", "issuers of identity tokens", None, (partial(add_subcommands, subcommands=_PROVIDER),)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)
