"""Mounting blobs from one repository into another (end-11)."""

import asyncio

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, sha256

BLOB = b"a blob to share"


async def test_blob_is_mounted_from_a_named_repository(registry: Registry) -> None:
    """Nothing is sent, and it is readable in the other repository."""
    digest = await registry.push_blob("team/source", BLOB)

    answer = await registry.post(f"/v2/team/target/blobs/uploads/?mount={digest}&from=team/source")

    assert (answer.status, answer.body) == (201, b"")
    assert answer.location == f"/v2/team/target/blobs/{digest}"
    assert answer.headers["Docker-Content-Digest"] == digest
    assert (await registry.get(answer.location)).body == BLOB


async def test_mount_is_read_percent_encoded(registry: Registry) -> None:
    """docker and podman encode colon and slash, and crane adds an origin."""
    digest = await registry.push_blob("team/source", BLOB)
    mount = digest.replace(":", "%3A")

    answer = await registry.post(f"/v2/b/blobs/uploads/?from=team%2Fsource&mount={mount}&origin=other.example")

    assert answer.status == 201


async def test_blob_is_mounted_without_a_source(registry: Registry) -> None:
    """It is found where the caller may pull."""
    digest = await registry.push_blob("source", BLOB)

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}")

    assert answer.status == 201
    assert (await registry.get(f"/v2/target/blobs/{digest}")).body == BLOB


@pytest.mark.parametrize("source", ["source", "nobody/here", "Not-A-Name", "..", ""])
async def test_blob_that_is_not_in_the_source_is_uploaded(registry: Registry, source: str) -> None:
    """202 begins an upload, as if no mount had been asked for."""
    await registry.push_blob("source", b"another")

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={ABSENT}&from={source}")

    assert answer.status == 202
    assert answer.headers["Range"] == "0-0"
    assert (await registry.put(f"{answer.location}?digest={sha256(BLOB)}", BLOB)).status == 201


async def test_blob_of_a_third_repository_is_not_mounted(registry: Registry) -> None:
    """A named source is the only one that is looked at."""
    digest = await registry.push_blob("elsewhere", BLOB)
    await registry.push_blob("source", b"another")

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source")

    assert answer.status == 202
    assert (await registry.get(f"/v2/target/blobs/{digest}")).status == 404


@pytest.mark.parametrize("query", ["mount=sha256:x", "mount=", "mount=latest&from=source"])
async def test_mount_of_no_digest_is_invalid(registry: Registry, query: str) -> None:
    """Nothing is begun."""
    answer = await registry.post(f"/v2/target/blobs/uploads/?{query}")

    assert answer.refusal == (400, "DIGEST_INVALID")


async def test_mount_into_itself_succeeds(registry: Registry) -> None:
    """What is there is there."""
    digest = await registry.push_blob("a", BLOB)

    assert (await registry.post(f"/v2/a/blobs/uploads/?mount={digest}&from=a")).status == 201


async def test_mounted_blob_outlives_its_source(registry: Registry) -> None:
    """Each repository holds its own."""
    digest = await registry.push_blob("source", BLOB)
    await registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source")

    await registry.delete(f"/v2/source/blobs/{digest}")

    assert (await registry.get(f"/v2/target/blobs/{digest}")).body == BLOB


async def test_deleted_blob_is_not_mounted(registry: Registry) -> None:
    """It is in no repository any more, whatever the disk still holds."""
    digest = await registry.push_blob("source", BLOB)
    await registry.delete(f"/v2/source/blobs/{digest}")

    named = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source")
    anywhere = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}")

    assert (named.status, anywhere.status) == (202, 202)


@pytest.mark.parametrize("source", ["&from=source", ""])
async def test_token_must_cover_the_source(registry: Registry, source: str) -> None:
    """The challenge names both repositories, so that the next token does."""
    digest = await registry.push_blob("source", BLOB)
    token = await registry.token("repository:target:push,pull")

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}{source}", authorization=token)

    assert answer.refusal == (401, "DENIED")
    challenge = answer.headers["WWW-Authenticate"]
    assert 'scope="repository:target:pull,push repository:source:pull"' in challenge
    assert 'error="insufficient_scope"' in challenge
    assert (await registry.get(f"/v2/target/blobs/{digest}")).status == 404


async def test_token_that_covers_both_mounts(registry: Registry) -> None:
    """Docker asks for two scopes in one token."""
    digest = await registry.push_blob("source", BLOB)
    token = await registry.token("repository:target:push,pull", "repository:source:pull")

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source", authorization=token)

    assert answer.status == 201


async def test_token_that_only_reads_the_target_mounts_nothing(registry: Registry) -> None:
    """Mounting is pushing."""
    digest = await registry.push_blob("source", BLOB)
    token = await registry.token("repository:target:pull", "repository:source:pull")

    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source", authorization=token)

    assert answer.refusal == (401, "DENIED")


async def test_first_challenge_of_a_mount_names_both_repositories(registry: Registry) -> None:
    """Without credentials the client learns at once what its token must cover."""
    answer = await registry.post(f"/v2/target/blobs/uploads/?mount={ABSENT}&from=source", authorization=None)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert 'scope="repository:target:pull,push repository:source:pull"' in answer.headers["WWW-Authenticate"]


async def test_mount_and_delete_at_once_have_one_outcome(registry: Registry) -> None:
    """201 means that the blob can be read."""
    for number in range(10):
        digest = await registry.push_blob("source", b"%d" % number)

        mounted, _ = await asyncio.gather(
            registry.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source"),
            registry.delete(f"/v2/source/blobs/{digest}"),
        )

        pulled = await registry.get(f"/v2/target/blobs/{digest}")
        assert (mounted.status, pulled.status) in {(201, 200), (202, 404)}
