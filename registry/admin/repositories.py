"""Repositories with their policies and tags; a slash in a name is written %2F in the path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from auth.actions import Resource
from auth.authorizer import REGION
from auth.errors import NotThere
from auth.tags import read_tags, write_tags
from registry.admin.documents import Model, Names, Page, Tags, Time, policy_text, rfc3339
from registry.admin.encryption import EncryptionConfiguration, configuration_of
from registry.admin.operation import Call, Operation
from registry.admin.policies import NewResourceDocument, PolicyDocument
from registry.admin.services import Services
from registry.core.domains import Encryption
from registry.core.names import RepositoryName
from registry.core.repositories import require_repository
from storage.metadata import policies, repositories, tags
from storage.names import MAX_REPOSITORY_NAME, REPOSITORY_NAME

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Repository(Model):
    """A repository; its tags are its own, for conditions of policies, and not the tags of its images."""

    name: str
    arn: str
    created_at: Time
    tags: Tags
    encryption: EncryptionConfiguration


class Contents(Model):
    """What a repository holds."""

    manifests: int
    image_tags: int
    blobs: int
    blob_bytes: int


class NewRepository(Model):
    """A repository to make ahead of the first push."""

    name: str = Field(
        max_length=MAX_REPOSITORY_NAME,
        description="As the OCI specification has it.",
        examples=["team/app"],
        json_schema_extra={"pattern": f"^{REPOSITORY_NAME}$"},
    )
    tags: Tags = Field(default_factory=dict)
    encryption: EncryptionConfiguration = Field(default_factory=EncryptionConfiguration)


class RepositoryChange(Model):
    """The tags that a repository is to have in place of others."""

    tags: Tags


class Deletion(Model):
    """Whether a repository goes with its images."""

    force: bool = False


class ImageTag(Model):
    """A tag of an image, and what it points to."""

    tag: str
    digest: str
    updated_at: Time


class ImageTags(Model):
    """A page of the tags of images."""

    items: list[ImageTag]
    next: str | None


def load_repository(connection: "Connection", names: Mapping[str, str]) -> Repository:
    """A repository as it is in this transaction; raises RepositoryUnknown or NameInvalid."""
    stored = require_repository(connection, RepositoryName.parse(names["repository"]))
    arn = Resource.of_repository(stored.name, account_id=stored.account_id, region=REGION).arn
    return Repository(
        name=stored.name,
        arn=arn,
        created_at=rfc3339(stored.created_at),
        tags=read_tags(stored.tags),
        encryption=configuration_of(stored.domain),
    )


def load_policy(connection: "Connection", names: Mapping[str, str]) -> PolicyDocument:
    """The policy of a repository as it is in this transaction; raises NotThere."""
    name = names["repository"]
    document = policies.find_repository_policy(connection, name)
    if document is None:
        raise NotThere("repository policy of", name)
    return PolicyDocument(name=name, document=document)


async def _read(services: Services, name: str) -> Repository:
    return await services.database.scan(lambda c: load_repository(c, {"repository": name}))


def _name(call: Call[Any, Any]) -> RepositoryName:
    return RepositoryName.parse(call.names["repository"])


async def _create(services: Services, call: Call[NewRepository, None]) -> Repository:
    name = RepositoryName.parse(call.body.name)
    asked = call.body.encryption
    domain = await services.domains.make(Encryption(asked.type, asked.kms_key))
    await services.repositories.create(name, write_tags(call.body.tags), services.now(), domain)
    return await _read(services, name.text)


async def _list(services: Services, call: Call[None, Page]) -> Names:
    page = call.query
    names = await services.database.scan(
        lambda c: repositories.list_repositories(c, after=page.after, limit=page.limit + 1)
    )
    return Names.of(names, page)


async def _get(services: Services, call: Call[None, None]) -> Repository:
    return await _read(services, call.names["repository"])


async def _count(services: Services, call: Call[None, None]) -> Contents:
    def count(connection: "Connection") -> repositories.Contents:
        return repositories.count_contents(connection, require_repository(connection, _name(call)).id)

    found = await services.database.scan(count)
    return Contents(manifests=found.manifests, image_tags=found.tags, blobs=found.blobs, blob_bytes=found.blob_bytes)


async def _update(services: Services, call: Call[RepositoryChange, None]) -> Repository:
    await services.repositories.put_tags(_name(call), write_tags(call.body.tags))
    return await _read(services, call.names["repository"])


async def _delete(services: Services, call: Call[None, Deletion]) -> None:
    await services.repositories.delete(_name(call), force=call.query.force, now=services.now())


async def _list_tags(services: Services, call: Call[None, Page]) -> ImageTags:
    page = call.query

    def look_up(connection: "Connection") -> list[tags.StoredTag]:
        repository_id = require_repository(connection, _name(call)).id
        return tags.describe_tags(connection, repository_id, after=page.after, limit=page.limit + 1)

    found = await services.database.scan(look_up)
    items = [
        ImageTag(tag=each.name, digest=each.digest, updated_at=rfc3339(each.updated_at)) for each in found[: page.limit]
    ]
    return ImageTags(items=items, next=items[-1].tag if len(found) > page.limit else None)


async def _get_policy(services: Services, call: Call[None, None]) -> PolicyDocument:
    return await services.database.read(lambda c: load_policy(c, call.names))


async def _put_policy(services: Services, call: Call[NewResourceDocument, None]) -> PolicyDocument:
    name, document = call.names["repository"], policy_text(call.body.document)
    await services.policies.put_of_repository(name, document)
    return PolicyDocument(name=name, document=document)


async def _delete_policy(services: Services, call: Call[None, None]) -> None:
    await services.policies.delete_of_repository(call.names["repository"])


_OF = "/repositories/{repository}"

CREATE = Operation(
    name="CreateRepository", method="POST", path="/repositories", summary="Make a repository ahead of the first push.",
    perform=_create, body=NewRepository, answer=Repository, status=201, named_by=("repository", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListRepositories", method="GET", path="/repositories", summary="List the names of all repositories.",
    perform=_list, query=Page, answer=Names,
)  # fmt: skip
GET = Operation(
    name="GetRepository", method="GET", path=_OF, summary="Show a repository.",
    perform=_get, answer=Repository, load=load_repository,
)  # fmt: skip
COUNT = Operation(
    name="GetRepositoryContents", method="GET", path=f"{_OF}/contents",
    summary="Count what a repository holds; it takes longer the more that is.",
    perform=_count, answer=Contents, action_name="lading:GetRepository",
)  # fmt: skip
UPDATE = Operation(
    name="UpdateRepository", method="PATCH", path=_OF, summary="Give a repository other tags of its own.",
    perform=_update, body=RepositoryChange, answer=Repository, load=load_repository,
)  # fmt: skip
DELETE = Operation(
    name="DeleteRepository", method="DELETE", path=_OF,
    summary="Remove a repository with its policy; one with images only if forced.",
    perform=_delete, query=Deletion, load=load_repository,
)  # fmt: skip
LIST_TAGS = Operation(
    name="ListTags", method="GET", path=f"{_OF}/image-tags", summary="List the tags of images, and what they point to.",
    perform=_list_tags, query=Page, answer=ImageTags,
)  # fmt: skip
GET_POLICY = Operation(
    name="GetRepositoryPolicy", method="GET", path=f"{_OF}/policy", summary="Show the policy of a repository.",
    perform=_get_policy, answer=PolicyDocument, load=load_policy,
)  # fmt: skip
PUT_POLICY = Operation(
    name="PutRepositoryPolicy", method="PUT", path=f"{_OF}/policy",
    summary="Give a repository this policy in place of another.",
    perform=_put_policy, body=NewResourceDocument, answer=PolicyDocument, load=load_policy,
)  # fmt: skip
DELETE_POLICY = Operation(
    name="DeleteRepositoryPolicy", method="DELETE", path=f"{_OF}/policy",
    summary="Take a repository's policy away.", perform=_delete_policy, load=load_policy,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, COUNT, UPDATE, DELETE, LIST_TAGS, GET_POLICY, PUT_POLICY, DELETE_POLICY)
