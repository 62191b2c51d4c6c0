"""Sealed content in a bucket: nothing there that its owner could read, and no request more than for plain."""

from collections.abc import AsyncIterator, Iterator

import pytest

from storage.encryption.header import HEADER_BYTES, MAGIC, Layout
from tests.contracts.s3_places import BUCKET, s3_server
from tests.http.bucket_content import LARGE, copies, push_in_chunks, serving_from_bucket, staged_in, storage
from tests.http.client import Registry, Start
from tests.http.documents import sha256
from tests.http.uploading import BLOB, with_query
from tests.s3.server import S3Server

PLAIN = bytes(range(40, 90))  # LARGE has it every 256 bytes


@pytest.fixture(scope="module")
def shared_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(shared_server: S3Server) -> S3Server:
    """A server with an empty bucket."""
    shared_server.create_bucket(BUCKET)
    return shared_server


@pytest.fixture
async def registry(start: Start, server: S3Server) -> AsyncIterator[Registry]:
    async with serving_from_bucket(start, server, "local", redirect=True) as registry:
        yield registry


def everything(server: S3Server) -> list[bytes]:
    """All objects, and all parts of unfinished ones."""
    bucket = server.bucket(BUCKET)
    parts = [part.content for upload in bucket.uploads.values() for part in upload.parts.values()]
    return [stored.content for stored in bucket.objects.values()] + parts


async def test_a_small_sealed_blob_is_one_request_to_s3(registry: Registry, server: S3Server) -> None:
    """In one request, or as POST, PATCH and PUT: what is not finished yet is no object."""
    digest = await registry.push_blob("a", BLOB)
    assert server.requests.counts() == {"PutObject": 1}
    server.requests.clear()

    assert await push_in_chunks(registry, b"in chunks", 9) == 201

    assert server.requests.counts() == {"PutObject": 1}
    for content, size in zip(copies(server).values(), (len(BLOB), 9), strict=True):
        assert content.startswith(MAGIC)
        assert len(content) == Layout().length(size)
    assert (await registry.get(f"/v2/a/blobs/{digest}")).body == BLOB


async def test_parts_of_a_large_sealed_blob_end_where_segments_do(registry: Registry, server: S3Server) -> None:
    """So a part is sent once, and what follows never depends on bytes that cannot be read again."""
    patched = await registry.patch(await registry.start_upload("a"), LARGE)
    bucket = server.bucket(BUCKET)
    (upload,) = bucket.uploads.values()
    lengths = [len(upload.parts[number].content) for number in sorted(upload.parts)]
    between = everything(server)

    closed = await registry.put(with_query(patched.location, f"digest={sha256(LARGE)}"))

    assert (lengths[0] - HEADER_BYTES) % Layout().sealed_segment == 0
    assert [length % Layout().sealed_segment for length in lengths[1:]] == [0] * (len(lengths) - 1)
    assert closed.status == 201
    assert server.requests.count("CopyObject") == 0
    assert staged_in(server) == []
    assert [content for content in between + everything(server) if PLAIN in content] == []
    assert (await registry.get(closed.location)).body == LARGE


async def test_chunks_of_a_sealed_blob_are_never_plain_in_s3(registry: Registry, server: S3Server) -> None:
    location = await registry.start_upload("a")
    seen = []
    for start in range(0, len(LARGE), 3_000_000):
        location = (await registry.patch(location, LARGE[start : start + 3_000_000])).location
        seen += everything(server)

    closed = await registry.put(with_query(location, f"digest={sha256(LARGE)}"))

    assert closed.status == 201
    assert [content for content in seen + everything(server) if PLAIN in content] == []
    assert [len(content) for content in copies(server).values()] == [Layout().length(len(LARGE))]


async def test_ranges_of_a_sealed_blob_read_the_segments_they_need(registry: Registry, server: S3Server) -> None:
    """Header and trailer are read once."""
    digest = await registry.push_blob("a", LARGE)
    await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=0-0")])
    server.requests.clear()

    answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=9000000-9000003")])

    assert (answer.status, answer.body) == (206, LARGE[9_000_000:9_000_004])
    start = Layout().place(9_000_000 // Layout().segment)
    end = start + Layout().sealed_segment - 1
    assert [entry.headers["range"] for entry in server.requests.of("GetObject")] == [f"bytes={start}-{end}"]


async def test_nobody_is_sent_to_the_bucket_for_sealed_content(start: Start, server: S3Server) -> None:
    """They could not read it; what was stored plain before is still fetched there."""
    async with serving_from_bucket(start, server, "off", redirect=True) as registry:
        plain = await registry.push_blob("a", BLOB)
    async with serving_from_bucket(start, server, "local", redirect=True) as registry:
        sealed = await registry.push_blob("a", b"sealed")

        answers = [await registry.get(f"/v2/a/blobs/{digest}") for digest in (plain, sealed)]

    assert [answer.status for answer in answers] == [307, 200]
    assert answers[1].body == b"sealed"


async def test_a_sealed_upload_in_s3_goes_on_after_a_restart(start: Start, server: S3Server) -> None:
    """What is in the bucket is marked, so that nothing is read again to close it."""
    async with serving_from_bucket(start, server, "local") as registry:
        patched = await registry.patch(await registry.start_upload("a"), LARGE)
    async with start(
        epoch=bytes(32),
        storage=storage(server),
    ) as registry:
        server.requests.clear()
        closed = await registry.put(with_query(patched.location, f"digest={sha256(LARGE)}"))

        assert closed.status == 201
        assert (await registry.get(closed.location)).body == LARGE
        assert server.requests.count("CopyObject") == 0
