"""Pushing, pulling and deleting manifests (end-3, end-7, end-9)."""

import asyncio
import json

import pytest

from tests.http.client import Registry
from tests.http.documents import (
    ABSENT,
    CONFIG,
    CONFIG_BYTES,
    DOCKER_IMAGE,
    DOCKER_LIST,
    IMAGE,
    INDEX,
    LAYER,
    descriptor,
    image,
    index,
    sha256,
    sha512,
)

HEADERS = ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag")


async def test_manifest_is_pushed_under_a_tag(registry: Registry) -> None:
    """The location is where it is pulled from, by digest."""
    await registry.push_blob("a/b", CONFIG_BYTES)
    payload = image(())

    answer = await registry.put_manifest("a/b", "latest", payload)

    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == sha256(payload)
    assert answer.location == f"/v2/a/b/manifests/{sha256(payload)}"
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert "OCI-Subject" not in answer.headers
    assert "OCI-Tag" not in answer.headers
    assert (await registry.get(answer.location)).body == payload


async def test_manifest_is_served_as_it_was_pushed(registry: Registry) -> None:
    """The exact bytes, odd spacing included, and the type."""
    await registry.push_blob("a", CONFIG_BYTES)
    payload = json.dumps(json.loads(image(())), indent=3).encode() + b" \n"
    await registry.push_manifest("a", "latest", payload)

    for reference in ("latest", sha256(payload)):
        answer = await registry.get(f"/v2/a/manifests/{reference}")

        assert (answer.status, answer.body) == (200, payload)
        assert answer.headers["Content-Type"] == IMAGE
        assert answer.headers["Docker-Content-Digest"] == sha256(payload)
        assert answer.headers["ETag"] == f'"{sha256(payload)}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_head_tells_what_get_sends(registry: Registry) -> None:
    """docker resolves a tag with HEAD."""
    await registry.push_image("a", "latest", b"layer")

    head, get = await registry.head("/v2/a/manifests/latest"), await registry.get("/v2/a/manifests/latest")

    assert (head.status, head.body) == (200, b"")
    assert [head.headers[name] for name in HEADERS] == [get.headers[name] for name in HEADERS]


@pytest.mark.parametrize(
    "accepted",
    [
        (),
        ("*/*",),
        (INDEX,),
        ("text/html, application/json;q=0.1",),
        (DOCKER_IMAGE, DOCKER_LIST, INDEX, IMAGE, "application/vnd.docker.distribution.manifest.v1+json", "*/*"),
        (f"{DOCKER_IMAGE}, {IMAGE}",),
    ],
)
async def test_manifest_is_what_it_is_whatever_is_accepted(registry: Registry, accepted: tuple[str, ...]) -> None:
    """Clients send six Accept lines or one; no other type can stand in for a digest."""
    payload = await registry.push_image("a", "latest")

    answer = await registry.get("/v2/a/manifests/latest", headers=[("Accept", line) for line in accepted])

    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, payload, IMAGE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_known_manifest_is_not_sent_again(registry: Registry, method: str) -> None:
    """304 for a client that has what the tag names."""
    payload = await registry.push_image("a", "latest")

    known = await registry.ask(
        method, "/v2/a/manifests/latest", headers=[("If-None-Match", f'W/"x", "{sha256(payload)}"')]
    )
    other = await registry.ask(method, "/v2/a/manifests/latest", headers=[("If-None-Match", '"x"')])

    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", f'"{sha256(payload)}"')
    assert other.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("reference", ["missing", ABSENT])
async def test_unknown_manifest_is_not_found(registry: Registry, method: str, reference: str) -> None:
    """The repository is there, the manifest is not."""
    await registry.push_image("a", "latest")

    answer = await registry.ask(method, f"/v2/a/manifests/{reference}")

    assert answer.status == 404
    if method != "HEAD":
        assert answer.refusal == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("reference", ["latest", ABSENT])
async def test_manifest_of_an_unknown_repository_is_not_found(registry: Registry, method: str, reference: str) -> None:
    """The code tells that the name is the problem."""
    answer = await registry.ask(method, f"/v2/nobody/manifests/{reference}")

    assert answer.refusal == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_manifest_is_pushed_by_digest(registry: Registry, algorithm: str) -> None:
    """It has no tag then, and is known by the digest it was pushed under."""
    await registry.push_blob("a", CONFIG_BYTES)
    payload = image(())
    digest = sha512(payload) if algorithm == "sha512" else sha256(payload)

    answer = await registry.put_manifest("a", digest, payload)

    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert (await registry.get(f"/v2/a/manifests/{digest}")).body == payload
    assert (await registry.get("/v2/a/tags/list")).document == {"name": "a", "tags": []}


async def test_manifest_names_blobs_by_sha512(registry: Registry) -> None:
    """Every descriptor may use either algorithm."""
    for content in (CONFIG_BYTES, b"layer"):
        await registry.push_blob("a", content, algorithm="sha512")
    config = {**descriptor(CONFIG_BYTES, CONFIG), "digest": sha512(CONFIG_BYTES)}
    layer = {**descriptor(b"layer", LAYER), "digest": sha512(b"layer")}

    answer = await registry.put_manifest("a", "latest", image((), config=config, layers=[layer]))

    assert answer.status == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_manifest_of_another_digest_is_refused(registry: Registry, algorithm: str) -> None:
    """The refusal tells both; nothing is stored."""
    await registry.push_blob("a", CONFIG_BYTES)
    payload = image(())
    wrong = sha512(b"x") if algorithm == "sha512" else sha256(b"x")

    answer = await registry.put_manifest("a", wrong, payload)

    assert answer.refusal == (400, "DIGEST_INVALID")
    assert answer.detail["expected"] == wrong
    assert (await registry.get(f"/v2/a/manifests/{wrong}")).status == 404


async def test_type_may_stand_in_the_document_alone(registry: Registry) -> None:
    """A push without a Content-Type is read by its mediaType."""
    await registry.push_blob("a", CONFIG_BYTES)

    await registry.push_manifest("a", "latest", image(()), media_type=None)

    assert (await registry.head("/v2/a/manifests/latest")).headers["Content-Type"] == IMAGE


@pytest.mark.parametrize("written", [IMAGE + "; charset=utf-8", IMAGE.upper(), " " + IMAGE + " "])
async def test_parameters_of_the_type_are_ignored(registry: Registry, written: str) -> None:
    """And none are served."""
    await registry.push_blob("a", CONFIG_BYTES)

    await registry.push_manifest("a", "latest", image(()), media_type=written)

    assert (await registry.head("/v2/a/manifests/latest")).headers["Content-Type"] == IMAGE


async def test_tag_moves(registry: Registry) -> None:
    """The newest push wins, and what the tag named before stays known by its digest."""
    first = await registry.push_image("a", "latest", b"1")
    second = await registry.push_image("a", "latest", b"2")

    assert (await registry.get("/v2/a/manifests/latest")).body == second
    assert (await registry.get(f"/v2/a/manifests/{sha256(first)}")).body == first


async def test_many_writers_of_one_tag_leave_one_of_theirs(registry: Registry) -> None:
    """All are told yes, and the tag names one whole manifest."""
    await registry.push_blob("a", CONFIG_BYTES)
    payloads = [image((), annotations={"n": str(n)}) for n in range(20)]

    answers = await asyncio.gather(*(registry.put_manifest("a", "latest", payload) for payload in payloads))

    assert {answer.status for answer in answers} == {201}
    assert (await registry.get("/v2/a/manifests/latest")).body in payloads


@pytest.mark.parametrize(
    "tag",
    ["a" * 129, ".a", "-a", "a%0a", "a%00", "a%20b", "%C3%A4", "a+b", "a,b", "a%2Fb", "%2e%2e", "@", "a%0d%0aX"],
)
async def test_what_is_no_tag_is_invalid(registry: Registry, tag: str) -> None:
    """Nothing appears under it."""
    await registry.push_blob("a", CONFIG_BYTES)
    for method, body in (("GET", None), ("PUT", image(())), ("DELETE", None)):
        answer = await registry.ask(method, f"/v2/a/manifests/{tag}", body=body, headers=[("Content-Type", IMAGE)])

        assert answer.refusal == (400, "MANIFEST_INVALID")
    assert (await registry.get("/v2/a/tags/list")).document["tags"] == []


@pytest.mark.parametrize(
    "tag", ["a" * 128, "_", "0", "A.b-c_D", "sha256-" + "0" * 64, "v1.0.0-rc.1", "uploads", "tags", "list"]
)
async def test_every_legal_tag_works(registry: Registry, tag: str) -> None:
    """Pushed, pulled, listed, deleted."""
    payload = await registry.push_image("a", tag)

    assert (await registry.get(f"/v2/a/manifests/{tag}")).body == payload
    assert (await registry.get("/v2/a/tags/list")).document["tags"] == [tag]
    assert (await registry.delete(f"/v2/a/manifests/{tag}")).status == 202


@pytest.mark.parametrize("reference", ["sha256:x", "sha256:" + "A" * 64, "md5:" + "0" * 32, "latest:1", ":"])
async def test_what_looks_like_a_digest_and_is_none_is_invalid(registry: Registry, reference: str) -> None:
    """A colon is in no tag."""
    for method, body in (("GET", None), ("PUT", image(())), ("DELETE", None)):
        answer = await registry.ask(
            method, f"/v2/a/manifests/{reference}", body=body, headers=[("Content-Type", IMAGE)]
        )

        assert answer.refusal == (400, "DIGEST_INVALID")


async def test_deleting_a_tag_leaves_the_manifest(registry: Registry) -> None:
    """It goes on by digest and under its other tags."""
    payload = await registry.push_image("a", "one")
    await registry.push_manifest("a", "two", payload)

    deleted = await registry.delete("/v2/a/manifests/one")

    assert (deleted.status, deleted.body) == (202, b"")
    assert (await registry.get("/v2/a/manifests/one")).refusal == (404, "MANIFEST_UNKNOWN")
    assert (await registry.get("/v2/a/manifests/two")).status == 200
    assert (await registry.get(f"/v2/a/manifests/{sha256(payload)}")).status == 200
    assert (await registry.delete("/v2/a/manifests/one")).refusal == (404, "MANIFEST_UNKNOWN")


async def test_deleting_a_manifest_deletes_its_tags(registry: Registry) -> None:
    """And no other."""
    payload = await registry.push_image("a", "one")
    await registry.push_manifest("a", "two", payload)
    await registry.push_image("a", "other", b"layer")

    deleted = await registry.delete(f"/v2/a/manifests/{sha256(payload)}")

    assert deleted.status == 202
    for reference in ("one", "two", sha256(payload)):
        assert (await registry.get(f"/v2/a/manifests/{reference}")).refusal == (404, "MANIFEST_UNKNOWN")
    assert (await registry.get("/v2/a/tags/list")).document["tags"] == ["other"]


async def test_deleted_manifest_can_be_pushed_again(registry: Registry) -> None:
    """Its blobs are still there."""
    payload = await registry.push_image("a", "latest", b"layer")
    await registry.delete(f"/v2/a/manifests/{sha256(payload)}")

    await registry.push_manifest("a", "latest", payload)

    assert (await registry.get("/v2/a/manifests/latest")).body == payload


async def test_child_may_be_deleted_by_name(registry: Registry) -> None:
    """The OCI API obeys; the index stays, and readers get 404 for the child."""
    child = await registry.push_image("a", "child")
    await registry.push_manifest("a", "list", index(child), media_type=INDEX)

    assert (await registry.delete(f"/v2/a/manifests/{sha256(child)}")).status == 202

    assert (await registry.get("/v2/a/manifests/list")).status == 200


@pytest.mark.settings(repositories={"create_on_push": False})
async def test_push_makes_no_repository_where_it_may_not(registry: Registry) -> None:
    """The name stays unknown."""
    answer = await registry.put_manifest("a", "latest", index(), media_type=INDEX)

    assert answer.refusal == (404, "NAME_UNKNOWN")


async def test_manifest_of_another_repository_is_not_found(registry: Registry) -> None:
    """A repository is a boundary for manifests too."""
    payload = await registry.push_image("a", "latest")
    await registry.push_image("b", "other", b"layer")

    assert (await registry.get(f"/v2/b/manifests/{sha256(payload)}")).refusal == (404, "MANIFEST_UNKNOWN")
