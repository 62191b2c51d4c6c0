"""Conditions on what is pushed and on the tags of the repository, over HTTP."""

import json
from collections.abc import AsyncIterator

import pytest

from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.core.names import RepositoryName
from registry.core.repositories import Repositories
from registry.databases import open_databases
from tests.http.client import Registry
from tests.http.documents import IMAGE, image
from tests.http.people import PULL, PUSH, People, administered, allow, deny

SBOM = "application/spdx+json"


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def push(registry: Registry, path: str, authorization: str, artifact_type: str | None = None) -> tuple[int, str]:
    """Push a manifest of a type; status, and the action that a refusal names."""
    members = {} if artifact_type is None else {"artifactType": artifact_type}
    answer = await registry.put(
        f"/v2/{path}", image((), **members), headers=[("Content-Type", IMAGE)], authorization=authorization
    )
    return answer.status, "" if answer.status == 201 else answer.detail["action"]


async def give_tags(registry: Registry, repository: str, **tags: str) -> None:
    """Tag a repository as another process would."""
    databases = open_databases(Settings(storage=StorageSettings(root=registry.root)))
    await Repositories(databases.registry, most=10).put_tags(RepositoryName.parse(repository), json.dumps(tags))
    await databases.close()


async def test_user_pushes_only_the_artifact_type_that_the_policy_names(registry: Registry, people: People) -> None:
    """The type is in the body: the push is let in where some type might do, and decided when it was read."""
    await registry.push_image("team/app", "latest")
    statement = allow("ecr:PutImage", Condition={"StringEquals": {"ecr:ArtifactType": SBOM}})
    alice = await people.add("alice", allow(*PULL), statement)

    assert await push(registry, "team/app/manifests/sbom", alice, SBOM) == (201, "")
    assert await push(registry, "team/app/manifests/image", alice) == (403, "ecr:PutImage")
    assert await push(registry, "team/app/manifests/other", alice, "application/other") == (403, "ecr:PutImage")
    assert (await registry.get("/v2/team/app/manifests/image")).status == 404


async def test_artifact_type_is_that_of_the_config_where_the_manifest_names_none(
    registry: Registry, people: People
) -> None:
    """As a referrers list shows it."""
    await registry.push_image("team/app", "latest")
    only_images = {"StringEquals": {"ecr:ArtifactType": "application/vnd.oci.image.config.v1+json"}}
    alice = await people.add("alice", allow("ecr:PutImage", Condition=only_images))

    assert await push(registry, "team/app/manifests/image", alice) == (201, "")
    assert await push(registry, "team/app/manifests/sbom", alice, SBOM) == (403, "ecr:PutImage")


async def test_denied_artifact_type_is_refused_and_others_are_not(registry: Registry, people: People) -> None:
    await registry.push_image("team/app", "latest")
    alice = await people.add(
        "alice", allow(*PUSH), deny("ecr:PutImage", Condition={"StringEquals": {"ecr:ArtifactType": SBOM}})
    )

    assert await push(registry, "team/app/manifests/sbom", alice, SBOM) == (403, "ecr:PutImage")
    assert await push(registry, "team/app/manifests/image", alice) == (201, "")


async def test_token_is_granted_where_only_the_artifact_type_is_unknown(registry: Registry, people: People) -> None:
    await registry.push_image("team/app", "latest")
    alice = await people.add("alice", allow("ecr:PutImage", Condition={"StringEquals": {"ecr:ArtifactType": SBOM}}))

    token = await registry.token("repository:team/app:push", authorization=alice)

    assert await push(registry, "team/app/manifests/sbom", token, SBOM) == (201, "")
    assert await push(registry, "team/app/manifests/image", token) == (403, "ecr:PutImage")


@pytest.mark.parametrize("key", ["aws:ResourceTag/team", "ecr:ResourceTag/team"])
async def test_tags_of_the_repository_decide(registry: Registry, people: People, key: str) -> None:
    """A changed tag counts at the next request; a repository without the tag is closed."""
    for repository in ("ours", "theirs", "nobodys"):
        await registry.push_image(repository, "latest")
    await give_tags(registry, "ours", team="blue")
    await give_tags(registry, "theirs", team="red")
    alice = await people.add(
        "alice", allow(*PULL, "ecr:DescribeRepositories", Condition={"StringEquals": {key: "blue"}})
    )

    async def readable() -> list[str]:
        found = []
        for name in ("ours", "theirs", "nobodys"):
            answer = await registry.get(f"/v2/{name}/manifests/latest", authorization=alice)
            found += [name] if answer.status == 200 else []
        return found

    assert await readable() == ["ours"]
    assert (await registry.get("/v2/_catalog", authorization=alice)).document == {"repositories": ["ours"]}
    await give_tags(registry, "ours", team="red")
    await give_tags(registry, "theirs", team="blue")
    assert await readable() == ["theirs"]


async def test_tags_of_the_user_and_of_the_repository_can_be_compared(registry: Registry, people: People) -> None:
    """One policy for every team (attribute-based access)."""
    await registry.push_image("ours", "latest")
    await give_tags(registry, "ours", team="blue")
    same_team = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    alice = await people.add("alice", allow(*PULL, Condition=same_team))

    assert (await registry.get("/v2/ours/manifests/latest", authorization=alice)).status == 403
    await people.accounts.update_user("alice", tags={"team": "blue"})
    assert (await registry.get("/v2/ours/manifests/latest", authorization=alice)).status == 200
