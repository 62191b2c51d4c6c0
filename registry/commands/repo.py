"""`lading repo`: repositories, and what belongs to one."""

import argparse

from registry.admin import repositories
from registry.commands.api import Api, pages
from registry.commands.documents import add_file, read_document
from registry.commands.running import run_with_api
from registry.commands.subcommands import Report, Subcommand, add_name, add_subcommands, add_tags, table, tags_of
from registry.core.domains import EncryptionType


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="with all its images")


def _add_encryption(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--encryption", choices=[each.value for each in EncryptionType], help="at rest, for good; default: AES256"
    )
    parser.add_argument("--kms-key", metavar="ID", help="with --encryption KMS: the id, alias or ARN of a KMS key")


def _of(arguments: argparse.Namespace) -> dict[str, str]:
    return {"repository": arguments.name}


async def _create(api: Api, arguments: argparse.Namespace) -> Report:
    asked = {"type": arguments.encryption or EncryptionType.AES256.value, "kms_key": arguments.kms_key}
    body = {"name": arguments.name, "tags": tags_of(arguments.tags), "encryption": asked}
    made = await api.call(repositories.CREATE, body=body)
    return Report(f"repository {arguments.name} was made: push to it", made)


async def _list(api: Api, arguments: argparse.Namespace) -> Report:  # noqa: ARG001 (every subcommand takes them)
    names = await pages(api, repositories.LIST)
    return Report("\n".join(names), names)


async def _show(api: Api, arguments: argparse.Namespace) -> Report:
    repository = await api.call(repositories.GET, _of(arguments))
    contents = await api.call(repositories.COUNT, _of(arguments))
    tags = ", ".join(f"{name}={value}" for name, value in repository["tags"].items())
    rows = [
        ["arn", repository["arn"]],
        ["made", repository["created_at"]],
        ["tags", tags or "none"],
        ["encryption", " ".join(filter(None, repository["encryption"].values()))],
        ["manifests", str(contents["manifests"])],
        ["image tags", str(contents["image_tags"])],
        ["blobs", f"{contents['blobs']} ({contents['blob_bytes']} bytes)"],
    ]
    return Report(table(rows), repository | contents)


async def _image_tags(api: Api, arguments: argparse.Namespace) -> Report:
    found = await pages(api, repositories.LIST_TAGS, _of(arguments))
    return Report(table([[each["tag"], each["digest"], each["updated_at"]] for each in found]), found)


async def _tag(api: Api, arguments: argparse.Namespace) -> Report:
    changed = await api.call(repositories.UPDATE, _of(arguments), body={"tags": tags_of(arguments.tags)})
    return Report(f"repository {arguments.name} has these tags from now on", changed)


async def _delete(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(repositories.DELETE, _of(arguments), query={"force": arguments.force})
    return Report(f"repository {arguments.name} is gone", {"name": arguments.name})


async def _set_policy(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(repositories.PUT_POLICY, _of(arguments), body={"document": read_document(arguments.file)})
    return Report(f"repository {arguments.name} has this policy from now on", {"repository": arguments.name})


async def _show_policy(api: Api, arguments: argparse.Namespace) -> Report:
    document = (await api.call(repositories.GET_POLICY, _of(arguments)))["document"]
    return Report(document.rstrip("\n"), {"repository": arguments.name, "document": document})


async def _delete_policy(api: Api, arguments: argparse.Namespace) -> Report:
    await api.call(repositories.DELETE_POLICY, _of(arguments))
    return Report(f"repository {arguments.name} has no policy", {"repository": arguments.name})


SUBCOMMANDS = (
    Subcommand("create", "make a repository ahead of the first push", _create, (add_name, add_tags, _add_encryption)),
    Subcommand("list", "show every repository", _list),
    Subcommand("show", "show one repository and what it holds", _show, (add_name,)),
    Subcommand("tags", "show the tags of a repository's images", _image_tags, (add_name,)),
    Subcommand("tag", "give a repository tags of its own, in place of others", _tag, (add_name, add_tags)),
    Subcommand("delete", "remove an empty repository with its policy", _delete, (add_name, _add_force)),
)
POLICY = (
    Subcommand("set", "give a repository this policy in place of another", _set_policy, (add_name, add_file)),
    Subcommand("show", "show a repository's policy", _show_policy, (add_name,)),
    Subcommand("delete", "take a repository's policy away", _delete_policy, (add_name,)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    topics = add_subcommands(parser, SUBCOMMANDS)
    add_subcommands(topics.add_parser("policy", help="who may do what to one repository"), POLICY)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    return run_with_api(arguments)
