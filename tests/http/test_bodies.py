"""Bodies of requests on the wire: invited, refused, stalled, and left unread."""

import asyncio
from pathlib import Path

import pytest

from registry.oci.services import SERVICES
from tests.http.client import ADMIN, USER, Registry, eventually
from tests.http.documents import CONFIG_BYTES, IMAGE, image, sha256

EXPECT = "Expect: 100-continue"
BLOB = b"the bytes of a blob"


async def head_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", b"201"),
        ("PUT", "{location}?digest=" + sha256(BLOB), b"201"),
        ("PATCH", "{location}", b"202"),
    ],
)
async def test_body_is_invited_when_it_will_be_read(registry: Registry, method: str, path: str, status: bytes) -> None:
    """Expect: 100-continue, on every way to push a blob."""
    location = await registry.start_upload("a")
    reader, writer = await registry.connect()

    writer.write(registry.request_head(method, path.format(location=location), "Content-Length: 19", EXPECT))
    invitation = await head_of(reader)
    writer.write(BLOB)
    answer = await head_of(reader)
    writer.close()

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_manifest_is_invited_too(registry: Registry) -> None:
    """The same for a manifest."""
    await registry.push_blob("a", CONFIG_BYTES)
    payload = image(())
    lines = (f"Content-Length: {len(payload)}", f"Content-Type: {IMAGE}", EXPECT)
    reader, writer = await registry.connect()

    writer.write(registry.request_head("PUT", "/v2/a/manifests/latest", *lines))
    invitation = await head_of(reader)
    writer.write(payload)
    answer = await head_of(reader)
    writer.close()

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    ("method", "path", "authorization", "status"),
    [
        ("POST", f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", None, b"401"),
        ("POST", f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", USER, b"403"),
        ("PUT", "/v2/a/manifests/latest", None, b"401"),
        ("PUT", "/v2/A/manifests/latest", ADMIN, b"400"),
        ("PUT", "/v2/a/manifests/-", ADMIN, b"400"),
        ("PATCH", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000", ADMIN, b"404"),
        ("PUT", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000?digest=x", ADMIN, b"400"),
    ],
)
async def test_body_is_refused_before_it_is_sent(
    registry: Registry, method: str, path: str, authorization: str | None, status: bytes
) -> None:
    """Who will be refused anyway sends nothing."""
    reader, writer = await registry.connect()

    writer.write(registry.request_head(method, path, "Content-Length: 1000000000", EXPECT, authorization=authorization))
    answer = await head_of(reader)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_body_that_was_not_read_is_no_request(registry: Registry) -> None:
    """What a refused request brought along is never taken for the next one."""
    smuggled = registry.request_head("DELETE", "/v2/a/manifests/latest")
    head = registry.request_head("PUT", "/v2/a/manifests/x", f"Content-Length: {len(smuggled)}", authorization=None)
    await registry.push_image("a", "latest")
    reader, writer = await registry.connect()

    writer.write(head + smuggled)
    refused = await head_of(reader)
    await reader.readexactly(int(refused.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]))
    writer.write(registry.request_head("GET", "/v2/", "Connection: close"))
    async with asyncio.timeout(10):
        rest = await reader.read()
    writer.close()

    assert refused.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 202" not in rest
    assert (await registry.get("/v2/a/manifests/latest")).status == 200


@pytest.mark.settings(limits={"body_idle": 0.5})
@pytest.mark.parametrize("framing", ["Content-Length: 500", "Transfer-Encoding: chunked"])
async def test_stalled_manifest_is_408(registry: Registry, framing: str) -> None:
    """Nothing is stored, and the connection ends."""
    head = registry.request_head("PUT", "/v2/a/manifests/latest", framing, f"Content-Type: {IMAGE}")

    answer = await registry.exchange(head + b"5\r\n")

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"SIZE_INVALID"' in answer
    assert (await registry.get("/v2/_catalog")).document == {"repositories": []}


@pytest.mark.settings(limits={"body_idle": 0.5})
async def test_reader_that_takes_nothing_is_given_up(registry: Registry) -> None:
    """A download that stands still holds no connection for ever."""
    digest = await registry.push_blob("a", bytes(30_000_000))
    reader, writer = await registry.connect()
    writer.write(registry.request_head("GET", f"/v2/a/blobs/{digest}"))
    await reader.readexactly(10)

    await eventually(lambda: asyncio.sleep(0, len(registry.server.connections)), lambda count: count == 0)
    async with asyncio.timeout(10):
        received = await reader.read()
    writer.close()

    assert len(received) < 30_000_000


@pytest.mark.parametrize("body", [b"5\r\nhello\r\nZZZ\r\n", b"FFFFFFFFFFFFFFFFFFF\r\n", b"-1\r\n\r\n"])
async def test_body_that_is_not_framed_is_400(registry: Registry, body: bytes) -> None:
    """And the session tells what of it arrived."""
    location = await registry.start_upload("a")

    answer = await registry.exchange(registry.request_head("PATCH", location, "Transfer-Encoding: chunked") + body)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b'{"errors":[{"code":' in answer


@pytest.mark.parametrize("path", ["/v2/a/tags/list", "/v2/_catalog", "/healthz"])
async def test_body_of_a_get_means_nothing(registry: Registry, path: str) -> None:
    """RFC 9110 section 9.3.1."""
    await registry.push_blob("a", b"x")

    assert (await registry.ask("GET", path, body=b"body")).status == 200


@pytest.mark.parametrize("kind", ["manifest", "blob"])
async def test_http_1_0_is_not_invited(registry: Registry, kind: str) -> None:
    """It knows no interim answers (RFC 9110 section 15.2)."""
    path = "/v2/a/manifests/latest" if kind == "manifest" else f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}"
    head = registry.request_head("PUT" if kind == "manifest" else "POST", path, f"Content-Length: {len(BLOB)}", EXPECT)

    answer = await registry.exchange(head.replace(b"HTTP/1.1", b"HTTP/1.0") + BLOB)

    assert answer.startswith(b"HTTP/1.0 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    ("version", "coding", "status"),
    [
        (b"HTTP/1.1", "gzip, chunked", b"501"),
        (b"HTTP/1.1", "chunked\r\nTransfer-Encoding: chunked", b"400"),
        (b"HTTP/1.1", "identity", b"400"),
        (b"HTTP/1.1", "chunked, gzip", b"400"),
        (b"HTTP/1.1", "CHUNKED", b"202"),
        (b"HTTP/1.0", "chunked", b"400"),
    ],
)
async def test_transfer_encoding_is_chunked_or_refused(
    registry: Registry, version: bytes, coding: str, status: bytes
) -> None:
    """Where a body ends must be as clear to a proxy as to the registry; after a refusal the connection ends."""
    location = await registry.start_upload("a")
    head = registry.request_head("PATCH", location, f"Transfer-Encoding: {coding}").replace(b"HTTP/1.1", version)
    last = registry.request_head("GET", "/v2/", "Connection: close")

    answer = await registry.exchange(head + b"5\r\nhello\r\n0\r\n\r\n" + last)

    assert answer.startswith((b"HTTP/1.1 " + status, b"HTTP/1.0 " + status))
    assert answer.count(b"HTTP/1.") == (2 if status == b"202" else 1)
    assert status == b"202" or b'{"errors":[{"code":"UNSUPPORTED"' in answer


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("moment", ["head", "blob body", "manifest body", "blob answer", "manifest answer"])
async def test_client_that_leaves_holds_nothing(registry: Registry, moment: str) -> None:
    """Whenever it goes: no file, no memory that others could use, no thread beyond those of the pools."""
    digest = await registry.push_blob("a", bytes(30_000_000))
    await registry.push_image("a", "large", annotations={str(n): "x" * 10_000 for n in range(400)})
    location, services = await registry.start_upload("a"), registry.app[SERVICES]
    before = open_files()
    sent = {
        "head": b"GET /v2/ HTTP/1.1\r\nX: ",
        "blob body": registry.request_head("PATCH", location, "Content-Length: 5000000") + bytes(700_000),
        "manifest body": registry.request_head("PUT", "/v2/a/manifests/x", "Content-Length: 4000000") + bytes(700_000),
        "blob answer": registry.request_head("GET", f"/v2/a/blobs/{digest}"),
        "manifest answer": registry.request_head("GET", "/v2/a/manifests/large"),
    }[moment]

    for _ in range(10):
        _, writer = await registry.connect()
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()

    await eventually(lambda: asyncio.sleep(0, len(registry.server.connections)), lambda count: count == 0)
    await eventually(lambda: asyncio.sleep(0, open_files()), lambda count: count <= before)
    assert (services.budget.held_bytes, services.documents.held_bytes) == (0, 0)
