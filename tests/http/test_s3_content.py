"""The whole application with its content in a bucket, plain, so that what lies there can be seen."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contracts.s3_places import BUCKET, s3_server
from tests.http.bucket_content import (
    LARGE,
    MARK,
    copies,
    push_in_chunks,
    serving_from_bucket,
    staged_in,
    storage,
)
from tests.http.client import Registry, Start
from tests.http.documents import sha256
from tests.http.trail import noted
from tests.http.uploading import BLOB, pieces, with_query
from tests.s3.clients import exchange
from tests.s3.faults import Fault, FaultKind
from tests.s3.server import S3Server


@pytest.fixture(scope="module")
def shared_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(shared_server: S3Server) -> Iterator[S3Server]:
    """A server with an empty bucket."""
    shared_server.create_bucket(BUCKET)
    yield shared_server
    shared_server.faults.clear()


@pytest.fixture
async def registry(start: Start, server: S3Server) -> AsyncIterator[Registry]:
    async with serving_from_bucket(start, server, "off") as registry:
        yield registry


async def test_a_small_blob_is_one_request_to_s3(registry: Registry, server: S3Server) -> None:
    """A push in one request asks S3 for nothing else."""
    await registry.push_blob("a", BLOB)

    assert server.requests.counts() == {"PutObject": 1}
    assert list(copies(server).values()) == [BLOB]


async def test_a_small_blob_in_chunks_is_copied_by_s3(registry: Registry, server: S3Server) -> None:
    """POST, PATCH and PUT."""
    assert await push_in_chunks(registry, BLOB, len(BLOB)) == 201

    assert server.requests.counts() == {"PutObject": 1, "CopyObject": 1, "DeleteObject": 1}
    assert list(copies(server).values()) == [BLOB]
    assert staged_in(server) == []


@pytest.mark.parametrize("shape", ["monolithic", "put", "stream", "chunks"])
async def test_a_large_blob_is_completed_in_place(registry: Registry, server: S3Server, shape: str) -> None:
    """However it is pushed, its bytes are sent once and copied never."""
    query = f"digest={sha256(LARGE)}"
    if shape == "monolithic":
        await registry.push_blob("a", LARGE)
    elif shape == "put":
        assert (await registry.put(with_query(await registry.start_upload("a"), query), LARGE)).status == 201
    elif shape == "stream":
        answer = await registry.patch(await registry.start_upload("a"), pieces(LARGE[:100], LARGE[100:]))
        assert (await registry.put(with_query(answer.location, query))).status == 201
    else:
        assert await push_in_chunks(registry, LARGE, 4 * 1024 * 1024) == 201

    assert server.requests.count("CopyObject") == 0
    assert list(copies(server).values()) == [LARGE]
    assert staged_in(server) == []
    answer = await registry.get(f"/v2/a/blobs/{sha256(LARGE)}")
    assert (answer.status, answer.body == LARGE) == (200, True)


async def test_ranges_are_read_from_s3(registry: Registry, server: S3Server) -> None:
    """One, or several in one answer; no more is read than is sent."""
    digest = await registry.push_blob("a", LARGE)
    server.requests.clear()

    one = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=9000000-9000003")])
    several = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=0-1,9000000-9000003")])

    assert (one.status, one.body) == (206, LARGE[9_000_000:9_000_004])
    assert one.headers["Content-Range"] == f"bytes 9000000-9000003/{len(LARGE)}"
    assert several.status == 206
    assert LARGE[9_000_000:9_000_004] in several.body
    assert [entry.headers["range"] for entry in server.requests.of("GetObject")] == [
        "bytes=9000000-9000003",
        "bytes=0-1",
        "bytes=9000000-9000003",
    ]


async def test_an_empty_blob_is_kept_in_s3(registry: Registry, server: S3Server) -> None:
    """Nothing is content too."""
    digest = await registry.push_blob("a", b"")

    answer = await registry.get(f"/v2/a/blobs/{digest}")

    assert (answer.status, answer.body, list(copies(server).values())) == (200, b"", [b""])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_blob_whose_object_is_gone_is_unknown_until_it_is_pushed(
    registry: Registry, server: S3Server, method: str
) -> None:
    """No 200 is told of bytes that are not there, and a push repairs it."""
    digest = await registry.push_blob("a", BLOB)
    for key in copies(server):
        del server.bucket(BUCKET).objects[key]

    missing = await registry.ask(method, f"/v2/a/blobs/{digest}")
    await registry.push_blob("a", BLOB)
    repaired = await registry.ask(method, f"/v2/a/blobs/{digest}")

    assert (missing.status, repaired.status) == (404, 200)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("trouble", ["no bucket", "another registry's", "NoSuchBucket", "AccessDenied", "no mark"])
async def test_a_bucket_that_is_away_costs_no_blob(
    registry: Registry, server: S3Server, method: str, trouble: str
) -> None:
    """Nothing is quarantined: once the bucket is there again, so is the blob."""
    digest = await registry.push_blob("a", BLOB)
    bucket = server.bucket(BUCKET)
    if trouble == "no bucket":
        del server.buckets[BUCKET]
    elif trouble in {"another registry's", "no mark"}:
        mark = bucket.objects[MARK]
        server.create_bucket(BUCKET)
        if trouble == "another registry's":
            server.bucket(BUCKET).objects[MARK] = replace(mark, content=b"another")
    else:
        server.faults.add(Fault("*", FaultKind.ERROR, times=None, code=trouble, status=403))

    away = await registry.ask(method, f"/v2/a/blobs/{digest}")
    server.faults.clear()
    server.buckets[BUCKET] = bucket
    back = await registry.ask(method, f"/v2/a/blobs/{digest}")

    assert (away.status, away.headers.get("Retry-After") is not None) == (503, True)
    assert trouble == "AccessDenied" or method == "HEAD" or BUCKET not in away.body.decode()
    assert back.status == 200


async def test_a_push_to_a_missing_bucket_is_to_be_tried_again(registry: Registry, server: S3Server) -> None:
    """503, and how long to wait; the same push succeeds later."""
    bucket = server.buckets.pop(BUCKET)
    path = f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}"

    away = await registry.post(path, BLOB)
    server.buckets[BUCKET] = bucket
    back = await registry.post(path, BLOB)

    assert away.refusal == (503, "UNAVAILABLE")
    assert int(away.headers["Retry-After"]) > 0
    assert back.status == 201
    assert staged_in(server) == []


async def test_an_upload_goes_on_after_s3_was_away(registry: Registry, server: S3Server) -> None:
    """What was promised before stays, and the status tells where to go on."""
    location = (await registry.patch(await registry.start_upload("a"), BLOB[:5])).location
    server.faults.add(Fault("*", FaultKind.ERROR, times=None, code="AccessDenied"))

    away = await registry.patch(location, BLOB[5:])
    server.faults.clear()
    status = await registry.get(location)
    back = await registry.patch(location, BLOB[5:])
    put = await registry.put(with_query(back.location, f"digest={sha256(BLOB)}"))

    assert (away.status, status.headers["Range"], back.status, put.status) == (503, "0-4", 202, 201)
    assert list(copies(server).values()) == [BLOB]
    assert staged_in(server) == []


async def test_wrong_bytes_leave_nothing(registry: Registry, server: S3Server) -> None:
    """A digest that does not match costs all that was staged."""
    answer = await registry.put(with_query(await registry.start_upload("a"), f"digest={sha256(BLOB)}"), LARGE)

    assert answer.refusal == (400, "DIGEST_INVALID")
    assert (copies(server), staged_in(server)) == ({}, [])


async def test_a_cancelled_upload_leaves_nothing(registry: Registry, server: S3Server) -> None:
    """DELETE drops its parts and pieces."""
    location = (await registry.patch(await registry.start_upload("a"), LARGE)).location

    assert (await registry.delete(location)).status == 204
    assert staged_in(server) == []


async def test_a_client_is_sent_to_the_bucket(start: Start, server: S3Server) -> None:
    """The URL holds for a minute, needs no header, gives ranges too, and is kept from caches and other sites."""
    async with serving_from_bucket(start, server, "off", redirect=True) as registry:
        digest = await registry.push_blob("a", BLOB)

        answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=1-2")])
        head = await registry.head(f"/v2/a/blobs/{digest}")

    target = answer.location.removeprefix(server.url)
    whole, part = exchange(server, "GET", target), exchange(server, "GET", target, headers={"Range": "bytes=1-2"})
    query = parse_qs(urlsplit(answer.location).query)
    assert (answer.status, answer.body, head.status) == (307, b"", 200)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert (whole.status, whole.body) == (200, BLOB)
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["content-disposition"] == "attachment"
    assert (part.status, part.body) == (206, BLOB[1:3])
    assert query["X-Amz-Expires"] == ["60"]


async def test_an_expired_url_gives_nothing(start: Start, server: S3Server) -> None:
    """A minute later it is no secret any more."""
    async with serving_from_bucket(start, server, "off", redirect=True) as registry:
        digest = await registry.push_blob("a", BLOB)
        answer = await registry.get(f"/v2/a/blobs/{digest}")

    server.skew_seconds = 61
    late = exchange(server, "GET", answer.location.removeprefix(server.url))
    server.skew_seconds = 0

    assert late.status == 403


async def test_nobody_is_sent_to_the_bucket_for_nothing(start: Start, server: S3Server) -> None:
    """An empty blob is told at once, as is one that the client has, or may not have."""
    async with serving_from_bucket(start, server, "off", redirect=True) as registry:
        empty, digest = await registry.push_blob("a", b""), await registry.push_blob("a", BLOB)

        answers = [
            await registry.get(f"/v2/a/blobs/{empty}"),
            await registry.get(f"/v2/a/blobs/{digest}", headers=[("If-None-Match", f'"{digest}"')]),
            await registry.get(f"/v2/a/blobs/{digest}", authorization=None),
            await registry.get(f"/v2/b/blobs/{digest}"),
        ]

    assert [answer.status for answer in answers] == [200, 304, 401, 404]
    assert ["Location" in answer.headers for answer in answers] == [False] * 4


async def test_a_redirected_pull_is_a_pull(start: Start, server: S3Server) -> None:
    """The trail tells who was given the URL of a blob, and not the URL."""
    async with serving_from_bucket(start, server, "off", redirect=True) as registry:
        digest = await registry.push_blob("a", BLOB)
        answer = await registry.get(f"/v2/a/blobs/{digest}")

        (event,) = await noted(registry, 1, "pull")

    assert (answer.status, event["details"]["status"], event["details"]["digest"]) == (307, 307, digest)
    assert "X-Amz" not in str(event)


async def test_the_url_of_a_blob_is_in_no_log(
    start: Start, server: S3Server, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads the log could use it."""
    log = {"access": True, "format": "json"}
    async with start(storage=storage(server, redirect=True), log=log, encryption={"mode": "off"}) as registry:
        digest = await registry.push_blob("a", BLOB)
        assert (await registry.get(f"/v2/a/blobs/{digest}")).status == 307

    logged = capfd.readouterr()
    assert digest in logged.out + logged.err
    assert "X-Amz-Signature" not in logged.out + logged.err


async def test_readiness_writes_to_the_bucket(registry: Registry, server: S3Server) -> None:
    """A registry whose bucket takes nothing is not ready."""
    server.denied = {"PutObject"}

    answer = await registry.get("/readyz")

    server.denied = set()
    assert answer.status == 503
