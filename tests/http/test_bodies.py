"""Bodies of requests on the wire: invited, refused, stalled, and left unread."""

import asyncio

import pytest

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
