"""Repositories of several encryption domains: bytes are shared within one, and stored again for another."""

import asyncio

from tests.http.client import ADMIN, Registry
from tests.http.documents import sha256
from tests.http.people import PULL, PUSH, administered, allow
from tests.http.sealing import (
    LARGE,
    TEAM,
    destroy_team,
    domain_id,
    domains_of_files,
    keep_team,
    make_team,
    query,
)
from tests.http.uploading import stored, with_query

BLOB = b"a blob of a domain"


async def mount(registry: Registry, target: str, digest: str, source: str | None, authorization: str = ADMIN) -> int:
    named = "" if source is None else f"&from={source}"
    return (
        await registry.post(f"/v2/{target}/blobs/uploads/?mount={digest}{named}", authorization=authorization)
    ).status


async def test_a_mount_within_a_domain_shares_the_stored_copy(registry: Registry) -> None:
    await make_team(registry, "one")
    await make_team(registry, "two")
    digest = await registry.push_blob("one", BLOB)

    assert await mount(registry, "two", digest, "one") == 201

    assert domains_of_files(registry) == [domain_id(registry, TEAM)]
    assert (await registry.get(f"/v2/two/blobs/{digest}")).body == BLOB


async def test_a_mount_from_another_domain_stores_the_bytes_again(registry: Registry) -> None:
    """Sealed with a key of the target's domain; a second mount there shares that copy."""
    await make_team(registry, "vault")
    await make_team(registry, "other")
    digest = await registry.push_blob("a", LARGE)

    mounted = [await mount(registry, "vault", digest, "a"), await mount(registry, "other", digest, "a")]

    assert mounted == [201, 201]
    assert domains_of_files(registry) == sorted([domain_id(registry, "AES256"), domain_id(registry, TEAM)])
    assert (await registry.get(f"/v2/vault/blobs/{digest}")).body == LARGE
    assert (await registry.get(f"/v2/other/blobs/{digest}")).body == LARGE
    assert query(registry.root, "SELECT domain, key_version FROM blob ORDER BY id") == [("AES256", 1), (TEAM, 1)]


async def test_a_mount_from_another_domain_needs_pull_on_the_source(registry: Registry) -> None:
    """What is stored for one domain tells nothing to who may only use another."""
    await make_team(registry, "vault")
    digest = await registry.push_blob("a", BLOB)
    async with administered(registry.root) as people:
        vault = people.repository("vault")
        pusher = await people.add("eve", allow(*PUSH, *PULL, Resource=vault))
        reader = await people.add(
            "ann", allow(*PUSH, *PULL, Resource=vault), allow(*PULL, Resource=people.repository("a"))
        )

    refused = await mount(registry, "vault", digest, "a", authorization=pusher)
    assert domains_of_files(registry) == [domain_id(registry, "AES256")]
    allowed = await mount(registry, "vault", digest, "a", authorization=reader)

    assert (refused, allowed) == (202, 201)


async def test_a_mount_without_a_source_finds_one_in_its_domain_first(registry: Registry) -> None:
    """Then no byte is stored again; where only another domain has it, it is."""
    for name in ("vault", "z"):
        await make_team(registry, name)
    digest = await registry.push_blob("a", BLOB)
    await registry.push_blob("z", BLOB)
    other = await registry.push_blob("a", b"another")

    assert await mount(registry, "vault", digest, None) == 201
    assert len(stored(registry)) == 3
    assert await mount(registry, "vault", other, None) == 201
    assert len(stored(registry)) == 4


async def test_a_mount_of_what_is_damaged_asks_for_an_upload(registry: Registry) -> None:
    """And the upload is sealed in the domain of its repository."""
    await make_team(registry, "vault")
    digest = await registry.push_blob("a", BLOB)
    (file,) = stored(registry)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])

    answer = await registry.post(f"/v2/vault/blobs/uploads/?mount={digest}&from=a")
    closed = await registry.put(with_query(answer.location, f"digest={digest}"), BLOB)

    assert (answer.status, closed.status) == (202, 201)
    assert (await registry.get(f"/v2/vault/blobs/{digest}")).body == BLOB
    assert (await registry.get(f"/v2/a/blobs/{digest}")).status == 404


async def test_a_push_to_another_domain_stores_the_bytes_again(registry: Registry) -> None:
    """Nobody who pushes is spared the bytes by another domain; both are served, and deleted, by themselves."""
    await make_team(registry, "vault")
    digest = await registry.push_blob("a", BLOB)
    await registry.push_blob("vault", BLOB)
    await registry.push_blob("b", BLOB)

    assert domains_of_files(registry) == sorted([domain_id(registry, "AES256"), domain_id(registry, TEAM)])
    await registry.delete(f"/v2/a/blobs/{digest}")
    answers = [await registry.get(f"/v2/{name}/blobs/{digest}") for name in ("a", "vault", "b")]
    assert [answer.status for answer in answers] == [404, 200, 200]


async def test_one_digest_pushed_in_two_domains_at_once_is_stored_in_both(registry: Registry) -> None:
    for name in ("vault", "other"):
        await make_team(registry, name)

    digests = await asyncio.gather(*(registry.push_blob(name, LARGE) for name in ("a", "vault", "b", "other") * 2))

    assert domains_of_files(registry) == sorted([domain_id(registry, "AES256"), domain_id(registry, TEAM)])
    for name in ("a", "vault", "b", "other"):
        assert (await registry.get(f"/v2/{name}/blobs/{digests[0]}")).body == LARGE


async def test_an_upload_to_a_repository_that_is_made_anew_in_another_domain_starts_over(registry: Registry) -> None:
    """It was begun in a domain that is the repository's no more; nothing of it stays."""
    await registry.push_blob("a", b"another")
    location = (await registry.patch(await registry.start_upload("a"), BLOB)).location
    assert (await registry.delete("/admin/v1/repositories/a?force=true")).status == 204
    await make_team(registry, "a")

    closed = await registry.put(with_query(location, f"digest={sha256(BLOB)}"))
    again = await registry.push_blob("a", BLOB)

    assert closed.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.get(f"/v2/a/blobs/{again}")).body == BLOB
    assert domain_id(registry, TEAM) in domains_of_files(registry)
    assert len(stored(registry)) == 2  # and the one of before, which nobody reads


async def test_a_domain_that_is_to_be_destroyed_is_denied_until_that_is_called_off(registry: Registry) -> None:
    """For pull and push, of blobs and manifests; nothing else is."""
    await make_team(registry, "vault")
    digest = await registry.push_blob("vault", BLOB)
    manifest = await registry.push_image("vault", "latest", b"layer")
    await registry.push_image("a", "latest", b"layer")
    begun = (await registry.patch(await registry.start_upload("vault"), LARGE)).location
    await destroy_team(registry)

    denied = [
        await registry.get(f"/v2/vault/blobs/{digest}"),
        await registry.get("/v2/vault/manifests/latest"),
        await registry.post(f"/v2/vault/blobs/uploads/?digest={sha256(b'new')}", b"new"),
        await registry.put_manifest("vault", "new", manifest),
        await registry.patch(begun, b"more"),
        await registry.post(f"/v2/a/blobs/uploads/?mount={digest}&from=vault"),
    ]
    elsewhere = await registry.get("/v2/a/manifests/latest")
    await keep_team(registry)

    assert [answer.refusal for answer in denied] == [(403, "DENIED")] * len(denied)
    assert "wait for their destruction" in denied[0].message
    assert elsewhere.status == 200
    assert (await registry.get(f"/v2/vault/blobs/{digest}")).body == BLOB
    assert (await registry.get("/v2/vault/manifests/latest")).body == manifest
    more = await registry.patch(begun, b"more")
    closed = await registry.put(with_query(more.location, f"digest={sha256(LARGE + b'more')}"))
    assert closed.status == 201


async def test_what_a_rotated_key_sealed_is_served(registry: Registry) -> None:
    """What is pushed from then on is sealed with the next version."""
    await make_team(registry, "vault")
    before = await registry.push_blob("vault", BLOB)
    begun = (await registry.patch(await registry.start_upload("vault"), LARGE)).location
    await registry.ask(
        "POST",
        "/admin/v1/encryption/domains/alias%2Fteam/keys",
        body=b"{}",
        headers=[("Content-Type", "application/json")],
    )
    after = await registry.push_blob("vault", b"after")
    closed = await registry.put(with_query(begun, f"digest={sha256(LARGE)}"))

    for digest, content in ((before, BLOB), (after, b"after"), (sha256(LARGE), LARGE)):
        assert (await registry.get(f"/v2/vault/blobs/{digest}")).body == content
    assert closed.status == 201
    assert query(registry.root, "SELECT key_version FROM blob ORDER BY id") == [(1,), (2,), (1,)]
