"""What is refused before any endpoint, and what failures look like."""

import json
import os
import shutil

import pytest

from tests.http.client import ADMIN, Registry
from tests.http.documents import ABSENT, sha256
from tests.http.reading import until_reset
from tests.http.uploading import stored


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("PUT", "/v2/a/blobs/uploads/", "POST"),
        ("POST", f"/v2/a/blobs/{ABSENT}", "DELETE, GET, HEAD"),
        ("PUT", f"/v2/a/blobs/{ABSENT}", "DELETE, GET, HEAD"),
        ("PATCH", "/v2/a/manifests/latest", "DELETE, GET, HEAD, PUT"),
        ("POST", "/v2/a/manifests/latest", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/v2/a/manifests/latest", "DELETE, GET, HEAD, PUT"),
        ("POST", "/v2/a/tags/list", "GET, HEAD"),
        ("DELETE", f"/v2/a/referrers/{ABSENT}", "GET, HEAD"),
        ("POST", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000", "DELETE, GET, HEAD, PATCH, PUT"),
        ("DELETE", "/auth/token", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("TRACE", "/v2/", "GET, HEAD"),
    ],
)
async def test_method_that_no_route_has_is_405(registry: Registry, method: str, path: str, allowed: str) -> None:
    """Allow says which it has."""
    answer = await registry.ask(method, path)

    assert answer.refusal == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == allowed
    if path.startswith("/v2"):
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/a",
        "/v2/a/",
        "/v2/a/b/c",
        "/v2/a/tags",
        "/v2/a/tags/list/",
        "/v2/a/tags/other",
        "/v2/a/manifests/",
        "/v2/a/manifests",
        "/v2/a/blobs/",
        "/v2/a/blobs",
        "/v2/a/referrers/",
        "/v2/_catalog/",
        "/v2/%20",
        "/v2//",
        "/v1/",
        "/",
        "/nothing",
        "/auth",
        "/auth/",
    ],
)
async def test_path_that_no_route_has_is_404(registry: Registry, path: str) -> None:
    """With the error document, for clients show nothing else."""
    for method in ("GET", "PUT"):
        answer = await registry.ask(method, path)

        assert answer.refusal == (404, "UNSUPPORTED")
        if path.startswith("/v2/"):
            assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_head_of_an_error_has_its_headers(registry: Registry, method: str) -> None:
    """A HEAD is refused as its GET is."""
    answer = await registry.ask(method, "/v2/a/manifests/latest", authorization=None)

    assert answer.status == 401
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert int(answer.headers["Content-Length"]) > 0


async def test_control_bytes_in_a_header_are_no_request(registry: Registry) -> None:
    """Neither a header nor a line of the log can be made from them."""
    for line in (b"X-A: a\x00b", b"X-A: a\rb", b"X-A : a", b"X\x01: a"):
        head = registry.request_head("GET", "/v2/")[:-2] + line + b"\r\n\r\n"

        answer = await registry.exchange(head)

        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), line
        assert b'{"errors":[{"code":"UNSUPPORTED"' in answer


async def test_control_bytes_in_a_path_reach_no_header(registry: Registry) -> None:
    """What comes back from a query is encoded."""
    await registry.push_blob("a", b"x")

    answer = await registry.get("/v2/a/tags/list?n=1&x=%0d%0aSet-Cookie:%20y&last=%00")

    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers


async def test_no_answer_tells_what_the_registry_runs_on(registry: Registry) -> None:
    """Neither a good answer, nor a refusal, nor one to what is no request."""
    good, refused = await registry.get("/v2/"), await registry.get("/nothing")
    broken = await registry.exchange(b"NONSENSE\r\n\r\n")

    assert (good.headers["Server"], refused.headers["Server"]) == ("Lading", "Lading")
    assert b"\r\nServer: Lading\r\n" in broken
    assert b"aiohttp" not in broken


async def test_long_request_line_is_414(registry: Registry) -> None:
    """With the error document."""
    answer = await registry.get("/v2/a/tags/list?last=" + "x" * 40_000)

    assert answer.refusal == (414, "UNSUPPORTED")


async def test_long_header_is_431(registry: Registry) -> None:
    """With the error document."""
    answer = await registry.get("/v2/", headers=[("X-Long", "x" * 40_000)])

    assert answer.refusal == (431, "UNSUPPORTED")


async def test_missing_database_is_503(registry: Registry) -> None:
    """The client is told to come back, and which line of the log to look for; nothing of the inside is shown."""
    await registry.push_blob("a", b"x")
    for file in registry.root.glob("registry.db*"):
        file.write_bytes(b"\0" * file.stat().st_size)

    answer = await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(b'y')}", b"y")

    assert answer.refusal == (503, "UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
    assert len(answer.detail["request_id"]) == 16
    assert b"sqlite" not in answer.body.lower()
    assert b"Traceback" not in answer.body


async def test_content_that_cannot_be_stored_is_503(registry: Registry) -> None:
    """A broken disk is no reason to end, and no error of the client."""
    shutil.rmtree(registry.root / "uploads", ignore_errors=True)
    (registry.root / "uploads").write_bytes(b"")

    answer = await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(b'y')}", b"y")

    assert answer.refusal == (503, "UNAVAILABLE")
    assert str(registry.root).encode() not in answer.body


async def test_answer_that_has_begun_is_broken_off(registry: Registry) -> None:
    """The file gets shorter while it is sent: the connection is reset, and no error document is mixed into the blob."""
    size = 40_000_000
    digest = await registry.push_blob("a", bytes(size))
    (copy,) = stored(registry)
    reader, writer = await registry.connect()

    writer.write(registry.request_head("GET", f"/v2/a/blobs/{digest}"))
    head = await reader.readuntil(b"\r\n\r\n")
    os.truncate(copy, 1_000_000)
    body = await until_reset(reader)
    writer.close()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(body) < size
    assert body.count(0) == len(body)


async def test_error_documents_are_json_for_every_code(registry: Registry) -> None:
    """A message for people, a detail for programs, and nothing else."""
    answer = await registry.get("/v2/UPPER/tags/list", authorization=ADMIN)

    (error,) = json.loads(answer.body)["errors"]
    assert error["code"] == "NAME_INVALID"
    assert error["detail"] == {"name": "UPPER"}
    assert error["message"].startswith("invalid repository name")
