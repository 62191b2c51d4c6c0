"""Which manifests are accepted, and which are refused (end-7)."""

import asyncio
import json
from typing import Any

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
    encoded,
    image,
    index,
    of_size,
    sha256,
)

HEADERS = ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag")


@pytest.mark.parametrize(
    ("media_type", "document"),
    [
        (DOCKER_IMAGE, image((), mediaType=DOCKER_IMAGE)),
        (DOCKER_LIST, index(mediaType=DOCKER_LIST)),
        (IMAGE, image(())),
        (IMAGE, encoded({key: value for key, value in json.loads(image(())).items() if key != "mediaType"})),
        (INDEX, index()),
        (INDEX, index(manifests=None)),
        (IMAGE, image((), artifactType="application/vnd.example", annotations={"a": "b\r\nX: y"}, custom=[1.5, None])),
        (IMAGE, image((), layers=None)),
        (IMAGE, image((), config={**descriptor(b"{}", "application/vnd.oci.empty.v1+json"), "data": "e30="})),
    ],
)
async def test_every_kind_of_manifest_is_stored(registry: Registry, media_type: str, document: bytes) -> None:
    """Images and lists of Docker and OCI, artifacts, custom members, embedded content, empty lists."""
    for content in (CONFIG_BYTES, b"{}"):
        await registry.push_blob("a", content)

    answer = await registry.put_manifest("a", "latest", document, media_type=media_type)
    pulled = await registry.get("/v2/a/manifests/latest")

    assert answer.status == 201, answer.body
    assert (pulled.body, pulled.headers["Content-Type"]) == (document, media_type)


def _image(**members: Any) -> bytes:
    return image((), **members)


@pytest.mark.parametrize(
    ("media_type", "payload"),
    [
        (IMAGE, b""),
        (IMAGE, b"null"),
        (IMAGE, b"[]"),
        (IMAGE, b'"text"'),
        (IMAGE, b"{"),
        (IMAGE, image(()) + b"x"),
        (IMAGE, image(()) + image(())),
        (IMAGE, b"\xef\xbb\xbf" + image(())),
        (IMAGE, image(()).replace(b"linux", b"\xff") + b"\xff"),
        (IMAGE, _image(number=float("nan"))),
        (IMAGE, _image(schemaVersion=1)),
        (IMAGE, _image(schemaVersion="2")),
        (IMAGE, _image(schemaVersion=True)),
        (IMAGE, _image(config=None)),
        (IMAGE, _image(layers={})),
        (IMAGE, _image(layers="")),
        (IMAGE, _image(layers=0)),
        (IMAGE, _image(layers=False)),
        (IMAGE, _image(layers=[1])),
        (IMAGE, _image(manifests=[])),
        (IMAGE, _image(fsLayers=[])),
        (IMAGE, _image(mediaType=1)),
        (IMAGE, _image(annotations={"a": 1})),
        (IMAGE, _image(artifactType="a\r\nX: y")),
        (IMAGE, _image(Config={})),
        (IMAGE, image(()).replace(b'"schemaVersion"', b'"layers": [], "schemaVersion"')),
        (IMAGE, image(()).replace(b'"size"', b'"size": 1, "size"')),
        (INDEX, image(())),
        (IMAGE, index()),
        (DOCKER_IMAGE, image(())),
        (INDEX, index(layers=[])),
        (INDEX, index(config=descriptor(CONFIG_BYTES, CONFIG))),
        ("application/vnd.docker.distribution.manifest.v1+json", encoded({"schemaVersion": 1})),
        ("application/json", encoded({"schemaVersion": 2})),
        ("text/plain", image(())),
        (None, encoded({"schemaVersion": 2})),
    ],
)
async def test_ambiguous_or_broken_manifest_is_invalid(
    registry: Registry, media_type: str | None, payload: bytes
) -> None:
    """One document, one meaning; what has none is refused and no tag appears."""
    await registry.push_blob("a", CONFIG_BYTES)

    answer = await registry.put_manifest("a", "latest", payload, media_type=media_type)

    assert answer.refusal == (400, "MANIFEST_INVALID")
    assert (await registry.get("/v2/a/manifests/latest")).status == 404


@pytest.mark.parametrize(
    "members",
    [
        {"size": -1},
        {"size": 2**63},
        {"size": 10**30},
        {"size": 5.0},
        {"size": "5"},
        {"size": True},
        {"size": None},
        {"size": 4},
        {"mediaType": ""},
        {"mediaType": "a\r\nX: y"},
        {"digest": None},
        {"digest": "sha256:x"},
        {"digest": "sha256:" + "A" * 64},
        {"digest": "md5:" + "0" * 32},
        {"data": "bGF5ZXI"},
        {"data": "b3RoZXI="},
        {"Digest": ABSENT},
        {"annotations": []},
    ],
)
async def test_broken_descriptor_is_invalid(registry: Registry, members: dict[str, Any]) -> None:
    """Sizes are whole and true, digests canonical, embedded content is what it says; the place is named."""
    for content in (CONFIG_BYTES, b"layer"):
        await registry.push_blob("a", content)
    layer = {**descriptor(b"layer", LAYER), **members}

    answer = await registry.put_manifest("a", "latest", image((), layers=[layer]))

    assert answer.refusal == (400, "MANIFEST_INVALID")
    assert "layers[0]" in answer.message or "has 5 bytes" in answer.message
    assert (await registry.get("/v2/a/manifests/latest")).status == 404


@pytest.mark.parametrize(("depth", "status"), [(64, 201), (65, 400), (5_000, 400), (200_000, 400)])
async def test_nesting_is_bounded(registry: Registry, depth: int, status: int) -> None:
    """The whole document counts as one level; the deepest of them is refused as fast as the shallowest."""
    await registry.push_blob("a", CONFIG_BYTES)
    nested = b"[" * (depth - 1) + b"]" * (depth - 1)
    payload = image(()).replace(b"{", b'{"nested": ' + nested + b", ", 1)

    async with asyncio.timeout(10):
        answer = await registry.put_manifest("a", "latest", payload)

    assert answer.status == status
    if status == 400:
        assert answer.refusal == (400, "MANIFEST_INVALID")


async def test_largest_manifest_is_accepted(registry: Registry) -> None:
    """4 MiB: 4,194,304 bytes, and they come back."""
    await registry.push_blob("a", CONFIG_BYTES)
    payload = of_size(4_194_304)

    answer = await registry.put_manifest("a", "latest", payload)

    assert (len(payload), answer.status) == (4_194_304, 201)
    assert (await registry.get("/v2/a/manifests/latest")).body == payload


async def test_manifest_of_one_byte_more_is_too_large(registry: Registry) -> None:
    """413, and no tag appears."""
    await registry.push_blob("a", CONFIG_BYTES)

    answer = await registry.put_manifest("a", "latest", of_size(4_194_305))

    assert answer.refusal == (413, "MANIFEST_INVALID")
    assert "4194304" in answer.message
    assert (await registry.get("/v2/a/manifests/latest")).status == 404


async def test_large_manifest_is_refused_before_it_is_sent(registry: Registry) -> None:
    """Its announced length is enough."""
    reader, writer = await registry.connect()
    lines = ("Content-Length: 5000000", "Expect: 100-continue")

    writer.write(registry.request_head("PUT", "/v2/a/manifests/latest", *lines))

    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


@pytest.mark.parametrize(("size", "status"), [(4_194_304, b"201"), (4_194_305, b"413"), (20_000_000, b"413")])
async def test_manifest_of_unknown_length_is_measured(registry: Registry, size: int, status: bytes) -> None:
    """A chunked body has no announcement to believe."""
    await registry.push_blob("a", CONFIG_BYTES)
    reader, writer = await registry.connect()
    lines = (f"Content-Type: {IMAGE}", "Transfer-Encoding: chunked", "Connection: close")
    writer.write(registry.request_head("PUT", "/v2/a/manifests/latest", *lines))
    payload = of_size(size)
    sending = asyncio.create_task(_send_chunks(writer, payload))

    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\r\n\r\n")
    sending.cancel()
    writer.transport.abort()
    await asyncio.gather(sending, return_exceptions=True)

    assert answer.startswith(b"HTTP/1.1 " + status)


async def _send_chunks(writer: asyncio.StreamWriter, payload: bytes) -> None:
    for start in range(0, len(payload), 100_000):
        chunk = payload[start : start + 100_000]
        writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


@pytest.mark.settings(limits={"manifest_bytes": 1000, "json_depth": 5})
async def test_bounds_are_settings(registry: Registry) -> None:
    """Size and depth."""
    await registry.push_blob("a", CONFIG_BYTES)

    assert (await registry.put_manifest("a", "1", of_size(1000))).status == 201
    assert (await registry.put_manifest("a", "2", of_size(1001))).refusal == (413, "MANIFEST_INVALID")
    assert (await registry.put_manifest("a", "3", image((), deep=[[[[[]]]]]))).refusal == (400, "MANIFEST_INVALID")


async def test_every_missing_blob_is_named(registry: Registry) -> None:
    """docker pushes again what is named, so nothing is left out and nothing is named twice."""
    await registry.push_blob("a", b"present")
    await registry.push_blob("elsewhere", b"one")

    answer = await registry.put_manifest("a", "latest", image((b"one", b"present", b"two", b"one")))

    assert answer.status == 400
    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"] * 3
    assert [error["detail"] for error in answer.document["errors"]] == [
        sha256(CONFIG_BYTES),
        sha256(b"one"),
        sha256(b"two"),
    ]


async def test_tag_does_not_move_to_what_is_refused(registry: Registry) -> None:
    """It stays where it was."""
    payload = await registry.push_image("a", "latest", b"layer")

    await registry.put_manifest("a", "latest", image((b"missing",)))

    assert (await registry.get("/v2/a/manifests/latest")).body == payload


async def test_refused_manifest_makes_no_repository(registry: Registry) -> None:
    """A name appears with its first content."""
    answer = await registry.put_manifest("a", "latest", image((b"missing",)))

    assert answer.status == 400
    assert (await registry.get("/v2/_catalog")).document == {"repositories": []}


async def test_layer_that_is_not_distributed_may_be_missing(registry: Registry) -> None:
    """Clients fetch it from its own urls."""
    await registry.push_blob("a", CONFIG_BYTES)
    foreign = descriptor(b"x", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls=["https://e.x/l"])

    assert (await registry.put_manifest("a", "latest", image((), layers=[foreign]))).status == 201


async def test_index_may_name_what_is_not_here(registry: Registry) -> None:
    """An image for some platforms only; the default."""
    child = await registry.push_image("a", "child")

    answer = await registry.put_manifest("a", "latest", index(child, image((b"other",))), media_type=INDEX)

    assert answer.status == 201


@pytest.mark.settings(manifests={"allow_sparse": "none"})
async def test_index_must_be_whole_where_it_must(registry: Registry) -> None:
    """allow_sparse = none."""
    child = await registry.push_image("a", "child")
    missing = image((b"other",))

    sparse = await registry.put_manifest("a", "latest", index(child, missing), media_type=INDEX)
    whole = await registry.put_manifest("a", "latest", index(child), media_type=INDEX)

    assert sparse.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
    assert sparse.detail == sha256(missing)
    assert whole.status == 201


@pytest.mark.settings(manifests={"allow_sparse": "all"})
async def test_image_may_be_sparse_where_it_may(registry: Registry) -> None:
    """allow_sparse = all; a size that is known to be wrong is refused all the same."""
    await registry.push_blob("a", b"layer")
    wrong = {**descriptor(b"layer", LAYER), "size": 6}

    assert (await registry.put_manifest("a", "latest", image((b"missing",)))).status == 201
    assert (await registry.put_manifest("a", "wrong", image((), layers=[wrong]))).refusal == (400, "MANIFEST_INVALID")


async def test_nested_indexes_are_stored(registry: Registry) -> None:
    """An index of an index of an image."""
    child = await registry.push_image("a", "child")
    inner = index(child)
    await registry.push_manifest("a", sha256(inner), inner, media_type=INDEX)

    outer = index(manifests=[descriptor(inner, INDEX)])
    await registry.push_manifest("a", "outer", outer, media_type=INDEX)

    assert (await registry.get("/v2/a/manifests/outer")).body == outer
