"""`lading encryption`: the keys of encryption at rest, how they take turns, and how those of a domain are destroyed."""

import argparse

from registry.admin import encryption
from registry.commands import converting
from registry.commands.api import Api, Json
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, UsageInvalid, add_name, add_subcommands, table


def _add_rotation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--domain", metavar="NAME", help="the key of this encryption domain; default: the root key")
    parser.add_argument(
        "--reencrypt", action="store_true", help="rewrite what earlier keys of the domain encrypt, and what is plain"
    )
    converting.add_grace(parser)


def _add_destruction(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="the encryption domain")
    parser.add_argument("--domain", metavar="NAME", help="the same")
    parser.add_argument(
        "--after", metavar="SECONDS", type=float, help="when the keys can be destroyed; default: after 7 days"
    )
    parser.add_argument("--cancel", action="store_true", help="call it off, while the keys are there")


async def _rotate(api: Api, arguments: argparse.Namespace) -> Report:
    if arguments.domain is None:
        if arguments.reencrypt:
            raise UsageInvalid("--reencrypt goes with --domain: the root key encrypts no content")
        return _rotated(await api.call(encryption.ROTATE_ROOT))
    if _is_done_here(arguments):
        converting.require_encryption(arguments)
    body = {"reencrypt": arguments.reencrypt and arguments.server is not None}
    key = await api.call(encryption.ROTATE, {"domain": arguments.domain}, body=body)
    text = (
        f"version {key['version']} of the key of {key['domain']} encrypts whatever is pushed from now on; "
        "what is stored stays readable"
    )
    if body["reencrypt"]:
        text += ", and is rewritten with it in the background"
    return Report(text, key)


def _is_done_here(arguments: argparse.Namespace) -> bool:
    """Whether this command re-encrypts at once; a server is asked to do it in the background."""
    return arguments.subcommand == "rotate" and arguments.reencrypt and arguments.server is None


def _rotated(done: Json) -> Report:
    text = f"{done['root']} wraps the keys of all encryption domains ({done['keys']})"
    if done["kept"]:
        text += f"; {done['kept']} keys stay wrapped by KMS keys of their own, which the service does not give now"
    if done["root"] == done["before"] and done["root"].startswith("environment:"):
        text += (
            "; it is the root key of before: to let another follow, set LADING_ROOT_KEY to NEXT,BEFORE, restart, "
            "and run this again"
        )
    return Report(text, done)


async def _list(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    keys = (await api.call(encryption.LIST))["items"]
    rows = [["DOMAIN", "VERSION", "STATE", "MADE", "WRAPPED BY"]]
    rows += [[key["domain"], str(key["version"]), key["state"], key["created_at"], key["wrapped_by"]] for key in keys]
    return Report(table(rows), keys)


async def _show(api: Api, arguments: argparse.Namespace) -> Report:
    domain = await api.call(encryption.GET, {"domain": arguments.name})
    rows = [
        ["domain", domain["name"]],
        ["made", domain["created_at"]],
        ["KMS key", domain["kms_key"] or "none: the root key"],
        ["destruction", _destruction(domain)],
        ["not encrypted", _content(domain["plain"])],
        ["re-encryption", _left(domain)],
    ]
    rows += [
        [f"version {each['version']}", f"{each['state']}: {_content(each['encrypts'])}"] for each in domain["versions"]
    ]
    return Report(table(rows), domain)


async def _destroy(api: Api, arguments: argparse.Namespace) -> Report:
    named = {name for name in (arguments.name, arguments.domain) if name is not None}
    if len(named) != 1:
        raise UsageInvalid("name one encryption domain")
    name = named.pop()
    if arguments.cancel:
        if arguments.after is not None:
            raise UsageInvalid("--cancel takes no --after")
        await api.call(encryption.KEEP, {"domain": name})
        return Report(f"the encryption domain {name} is in use again", {"name": name})
    body = {} if arguments.after is None else {"after_seconds": arguments.after}
    domain = await api.call(encryption.DESTROY, {"domain": name}, body=body)
    if domain["destroyed_at"] is not None:
        text = (
            f"the keys of {name} are destroyed: what was encrypted with them is lost for ever, unless backups of the "
            "database from before, which hold them wrapped, are left: delete those too"
        )
        return Report(text, domain)
    text = (
        f"nothing in {name} can be read or written from now on; run the same command again from {domain['destroy_at']} "
        f"on to destroy its keys for ever, or `lading encryption destroy {name} --cancel` to have it back"
    )
    return Report(text, domain)


def _destruction(domain: Json) -> str:
    if domain["destroyed_at"] is not None:
        return f"done {domain['destroyed_at']}"
    return "not planned" if domain["destroy_at"] is None else f"possible from {domain['destroy_at']} on"


def _left(domain: Json) -> str:
    if not domain["reencrypting"]:
        return "none asked for"
    parts = [domain["plain"], *(each["encrypts"] for each in domain["versions"][:-1])]
    left = {kind: sum(part[kind] for part in parts) for kind in ("blobs", "manifests")}
    return f"under way: {_content(left)} are left"


def _content(content: Json) -> str:
    return f"{content['blobs']} blobs, {content['manifests']} manifests"


SUBCOMMANDS = (
    Subcommand("rotate", "let the next root key, or another key of a domain, follow", _rotate, (_add_rotation,)),
    Subcommand("list", "show every key and what it is for", _list),
    Subcommand("show", "show one domain and how much its keys encrypt", _show, (add_name,)),
    Subcommand(
        "destroy",
        "make a domain unusable and, when this is run again after a waiting time, destroy its keys",
        _destroy,
        (_add_destruction,),
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    topics = add_subcommands(parser, SUBCOMMANDS)
    summary = "rewrite all that is not stored as the settings say: sealed with the newest keys, or plain with mode off"
    convert = topics.add_parser("convert", help=summary, description=summary)
    converting.add_arguments(convert)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    if arguments.subcommand == "convert":
        return converting.run(arguments)
    code = run_with_api(arguments)
    if code == 0 and _is_done_here(arguments):
        return converting.run(arguments, is_quiet=arguments.json)
    return code
