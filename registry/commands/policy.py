"""`lading policy`: what users, groups, roles and anybody may do; validating and simulating need no registry."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from auth.policy.document import PolicyKind
from auth.policy.findings import Severity
from auth.policy.parsing import validate_policy
from auth.policy_documents import Owner, OwnerKind
from registry.admin import policies
from registry.admin.attachments import OF
from registry.commands import simulation
from registry.commands.api import Api, Json, pages
from registry.commands.documents import add_file, read_document
from registry.commands.running import run_with_api
from registry.commands.subcommands import (
    Report,
    Subcommand,
    UsageInvalid,
    add_subcommands,
    complain,
    refuse,
    table,
    tell,
)

if TYPE_CHECKING:
    from registry.admin.operation import AnyOperation


def _add_owner(parser: argparse.ArgumentParser) -> None:
    _owners(parser, required=True)


def _add_optional_owner(parser: argparse.ArgumentParser) -> None:
    _owners(parser, required=False)


def _add_place(parser: argparse.ArgumentParser) -> None:
    owners = _owners(parser, required=False)
    owners.add_argument("--registry", action="store_true", help="the registry with all its repositories")


def _owners(parser: argparse.ArgumentParser, *, required: bool) -> "argparse._MutuallyExclusiveGroup":
    owners = parser.add_mutually_exclusive_group(required=required)
    for kind in OwnerKind:
        owners.add_argument(f"--{kind.value}", metavar="NAME", help=f"the {kind.value} whose policy it is")
    return owners


def _add_policy_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="POLICY", help="the name of the policy")


def _add_boundary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--boundary", action="store_true", help="as the limit of what other policies may allow")


def _add_kind(parser: argparse.ArgumentParser) -> None:
    kinds = [kind.value for kind in PolicyKind]
    parser.add_argument("--kind", choices=kinds, default=kinds[0], help="what the policy is for")


def _owner_of(arguments: argparse.Namespace) -> Owner | None:
    given = ((kind, getattr(arguments, kind.value)) for kind in OwnerKind)
    return next((Owner(kind, name) for kind, name in given if name is not None), None)


def _required_name(arguments: argparse.Namespace) -> str:
    if arguments.name is None:
        raise UsageInvalid("which policy? Name it with --name")
    name: str = arguments.name
    return name


async def _put(api: "Api", arguments: argparse.Namespace) -> Report:
    body, owner = {"document": read_document(arguments.file)}, _owner_of(arguments)
    if arguments.registry:
        await api.call(policies.PUT_REGISTRY, body=body)
        return Report("the registry has this policy from now on", {"registry": True})
    name = _required_name(arguments)
    if owner is not None:
        await api.call(OF[owner.kind].put, _path(owner, name), body=body)
        return Report(f"policy {name} of {owner} counts from now on", {"name": name, **_named(owner)})
    written = await api.call(policies.PUT, {"policy": name}, body=body)
    version = max(each["version"] for each in written["versions"])
    text = f"policy {name} is at version {version}, which counts wherever it is attached"
    return Report(text, {"name": name, "version": version})


async def _attach(api: "Api", arguments: argparse.Namespace) -> Report:
    owner, name = _required_owner(arguments), _required_name(arguments)
    rows = OF[owner.kind]
    if arguments.boundary:
        await api.call(_limit_of(owner), _path(owner), body={"policy": name})
        return Report(f"{owner} may do nothing that policy {name} does not allow", {"boundary": name, **_named(owner)})
    await api.call(rows.attach, _path(owner, name))
    return Report(f"policy {name} is attached to {owner}", {"name": name, **_named(owner)})


async def _detach(api: "Api", arguments: argparse.Namespace) -> Report:
    owner = _required_owner(arguments)
    rows = OF[owner.kind]
    if arguments.boundary:
        _limit_of(owner)
        await api.call(rows.free, _path(owner))
        return Report(f"{owner} has no boundary", {"boundary": None, **_named(owner)})
    name = _required_name(arguments)
    await api.call(rows.detach, _path(owner, name))
    return Report(f"policy {name} is not attached to {owner}", {"name": name, **_named(owner)})


async def _list(api: "Api", arguments: argparse.Namespace) -> Report:
    owner = _owner_of(arguments)
    if owner is None:
        names = await pages(api, policies.LIST)
        return Report("\n".join(names), names)
    owned = await api.call(OF[owner.kind].list, _path(owner))
    rows = [["inline", name] for name in owned["inline"]] + [["attached", name] for name in owned["attached"]]
    rows += [["boundary", owned["permissions_boundary"]]] if owned["permissions_boundary"] else []
    return Report(table(rows), owned)


async def _show(api: "Api", arguments: argparse.Namespace) -> Report:
    document = (await _document(api, arguments))["document"]
    return Report(document.rstrip("\n"), {"name": arguments.name, "document": document})


async def _document(api: "Api", arguments: argparse.Namespace) -> "Json":
    if arguments.registry:
        return await api.call(policies.GET_REGISTRY)
    owner, name = _owner_of(arguments), _required_name(arguments)
    if owner is None:
        return await api.call(policies.GET, {"policy": name})
    return await api.call(OF[owner.kind].get, _path(owner, name))


async def _versions(api: "Api", arguments: argparse.Namespace) -> Report:
    policy = await api.call(policies.GET, {"policy": _required_name(arguments)})
    rows = [[str(each["version"]), each["created_at"], _mark(each)] for each in policy["versions"]]
    return Report(table(rows), policy["versions"])


async def _choose(api: "Api", arguments: argparse.Namespace) -> Report:
    name, version = _required_name(arguments), arguments.version
    await api.call(policies.CHOOSE, {"policy": name}, body={"version": version})
    return Report(f"version {version} of policy {name} counts from now on", {"name": name, "version": version})


async def _delete(api: "Api", arguments: argparse.Namespace) -> Report:
    if arguments.registry:
        await api.call(policies.DELETE_REGISTRY)
        return Report("the registry has no policy", {"registry": True})
    owner, name = _owner_of(arguments), _required_name(arguments)
    if owner is not None:
        await api.call(OF[owner.kind].delete, _path(owner, name))
        return Report(f"policy {name} of {owner} is gone", {"name": name, **_named(owner)})
    await api.call(policies.DELETE, {"policy": name})
    return Report(f"policy {name} is gone, wherever it was attached", {"name": name})


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", metavar="N", type=int, required=True, help="the version that is to count")


def _mark(version: "Json") -> str:
    return "counts" if version["is_default"] else ""


def _path(owner: Owner, policy: str | None = None) -> dict[str, str]:
    return {owner.kind.value: owner.name} | ({} if policy is None else {"policy": policy})


def _limit_of(owner: Owner) -> "AnyOperation":
    """The operation that limits an owner; raises UsageInvalid for a group, which has no boundary."""
    if owner.kind is OwnerKind.GROUP:
        raise UsageInvalid("a group has no boundary: limit its users, with --user")
    return OF[owner.kind].limit


SUBCOMMANDS = (
    Subcommand(
        "put", "write an inline, managed or the registry's policy", _put, (_add_place, _add_policy_name, add_file)
    ),
    Subcommand("attach", "attach a managed policy", _attach, (_add_owner, _add_policy_name, _add_boundary)),
    Subcommand("detach", "take a managed policy away", _detach, (_add_owner, _add_policy_name, _add_boundary)),
    Subcommand("list", "show the managed policies, or those of an owner", _list, (_add_optional_owner,)),
    Subcommand("show", "show a policy's document", _show, (_add_place, _add_policy_name)),
    Subcommand("versions", "show the versions of a managed policy", _versions, (_add_policy_name,)),
    Subcommand("default", "let another version count", _choose, (_add_policy_name, _add_version)),
    Subcommand("delete", "remove a policy", _delete, (_add_place, _add_policy_name)),
    Subcommand("validate", "say what is wrong with a document", None, (add_file, _add_kind)),
    Subcommand("simulate", "say what would be decided, and why", simulation.ask, (simulation.add_request,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    add_subcommands(parser, SUBCOMMANDS)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    match arguments.subcommand:
        case "validate":
            return _validate(arguments)
        case "simulate" if arguments.input is not None:
            return simulation.run_offline(arguments)
        case "simulate" if not simulation.is_question(arguments):
            return refuse(
                UsageInvalid("simulate what? Give --input FILE, or --user (or --role), --action and --resource")
            )
    return run_with_api(arguments)


def _validate(arguments: argparse.Namespace) -> int:
    try:
        findings = validate_policy(read_document(arguments.file), PolicyKind(arguments.kind))
    except OSError as error:
        return complain(error)
    is_valid = not any(finding.severity is Severity.ERROR for finding in findings)
    lines = [f"{finding.severity.value}: {finding} [{finding.rule.value}]" for finding in findings]
    lines += ["the policy is valid"] if is_valid else ["the policy is not valid, and would not be stored"]
    document = {"valid": is_valid, "findings": [asdict(finding) for finding in findings]}
    tell(Report("\n".join(lines), document), as_json=arguments.json)
    return 0 if is_valid else 1


def _required_owner(arguments: argparse.Namespace) -> Owner:
    owner = _owner_of(arguments)
    if owner is None:
        raise UsageInvalid("whose policy? Name a user, group or role with --user, --group or --role")
    return owner


def _named(owner: Owner) -> dict[str, object]:
    return {owner.kind.value: owner.name}
