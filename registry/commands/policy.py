"""`lading policy`: what users, groups, roles and anybody may do; validating and simulating need no registry."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from auth.policy.document import PolicyKind
from auth.policy.findings import Severity
from auth.policy.parsing import validate_policy
from auth.policy_documents import Owner, OwnerKind
from registry.commands import simulation
from registry.commands.documents import add_file, read_document
from registry.commands.subcommands import Report, Subcommand, UsageInvalid, add_subcommands, complain, table, tell

if TYPE_CHECKING:
    from registry.commands.opened import Opened


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


async def _put(opened: "Opened", arguments: argparse.Namespace) -> Report:
    document, owner = read_document(arguments.file), _owner_of(arguments)
    if arguments.registry:
        await opened.policies.put_of_registry(document)
        return Report("the registry has this policy from now on", {"registry": True})
    name = _required_name(arguments)
    if owner is not None:
        await opened.policies.put_inline(owner, name, document)
        return Report(f"policy {name} of {owner} counts from now on", {"name": name, **_named(owner)})
    version = await opened.policies.put_managed(name, document)
    text = f"policy {name} is at version {version}, which counts wherever it is attached"
    return Report(text, {"name": name, "version": version})


async def _attach(opened: "Opened", arguments: argparse.Namespace) -> Report:
    owner, name = _required_owner(arguments), _required_name(arguments)
    if arguments.boundary:
        await opened.policies.set_boundary(owner, name)
        return Report(f"{owner} may do nothing that policy {name} does not allow", {"boundary": name, **_named(owner)})
    await opened.policies.attach(name, owner)
    return Report(f"policy {name} is attached to {owner}", {"name": name, **_named(owner)})


async def _detach(opened: "Opened", arguments: argparse.Namespace) -> Report:
    owner = _required_owner(arguments)
    if arguments.boundary:
        await opened.policies.set_boundary(owner, None)
        return Report(f"{owner} has no boundary", {"boundary": None, **_named(owner)})
    name = _required_name(arguments)
    await opened.policies.detach(name, owner)
    return Report(f"policy {name} is not attached to {owner}", {"name": name, **_named(owner)})


async def _list(opened: "Opened", arguments: argparse.Namespace) -> Report:
    owner = _owner_of(arguments)
    if owner is None:
        names = await opened.policies.managed()
        return Report("\n".join(names), names)
    owned = await opened.policies.owned(owner)
    inline = [policy.name for policy in owned.inline]
    document = {"inline": inline, "attached": owned.attached, "permissions_boundary": owned.boundary}
    rows = [["inline", name] for name in inline] + [["attached", name] for name in owned.attached]
    rows += [["boundary", owned.boundary]] if owned.boundary else []
    return Report(table(rows), document)


async def _show(opened: "Opened", arguments: argparse.Namespace) -> Report:
    document = await _document(opened, arguments)
    return Report(document.rstrip("\n"), {"name": arguments.name, "document": document})


async def _document(opened: "Opened", arguments: argparse.Namespace) -> str:
    if arguments.registry:
        return await opened.policies.find_of_registry()
    owner, name = _owner_of(arguments), _required_name(arguments)
    if owner is None:
        return await opened.policies.find_managed(name)
    return await opened.policies.find_inline(owner, name)


async def _delete(opened: "Opened", arguments: argparse.Namespace) -> Report:
    if arguments.registry:
        await opened.policies.delete_of_registry()
        return Report("the registry has no policy", {"registry": True})
    owner, name = _owner_of(arguments), _required_name(arguments)
    if owner is not None:
        await opened.policies.delete_inline(owner, name)
        return Report(f"policy {name} of {owner} is gone", {"name": name, **_named(owner)})
    await opened.policies.delete_managed(name)
    return Report(f"policy {name} is gone, wherever it was attached", {"name": name})


SUBCOMMANDS = (
    Subcommand(
        "put", "write an inline, managed or the registry's policy", _put, (_add_place, _add_policy_name, add_file)
    ),
    Subcommand("attach", "attach a managed policy", _attach, (_add_owner, _add_policy_name, _add_boundary)),
    Subcommand("detach", "take a managed policy away", _detach, (_add_owner, _add_policy_name, _add_boundary)),
    Subcommand("list", "show the managed policies, or those of an owner", _list, (_add_optional_owner,)),
    Subcommand("show", "show a policy's document", _show, (_add_place, _add_policy_name)),
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
    from registry.commands.opened import run_on_registry  # noqa: PLC0415 (the others need no registry loaded)

    return run_on_registry(arguments)


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
