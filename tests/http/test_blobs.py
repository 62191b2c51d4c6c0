"""Pulling and deleting blobs (end-2, end-10)."""

import asyncio
import os

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, sha256, sha512
from tests.http.reading import deaf, received_by
from tests.http.trail import recorded
from tests.http.uploading import stored

BLOB = b"the bytes of a blob"
HEADERS = ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag", "Accept-Ranges")


async def test_blob_is_served_as_it_was_pushed(registry: Registry) -> None:
    """The bytes, their length, and the digest that names them."""
    digest = await registry.push_blob("a/b", BLOB)

    answer = await registry.get(f"/v2/a/b/blobs/{digest}")

    assert (answer.status, answer.body) == (200, BLOB)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "19"
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_blob_can_harm_no_browser(registry: Registry) -> None:
    """Anybody may have pushed it: it is neither guessed at nor shown."""
    digest = await registry.push_blob("a", b"<img src=x onerror=alert(1)>")

    answer = await registry.get(f"/v2/a/blobs/{digest}")

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment"


async def test_head_tells_what_get_sends(registry: Registry) -> None:
    """Clients rely on the size and digest of a HEAD."""
    digest = await registry.push_blob("a", BLOB)
    path = f"/v2/a/blobs/{digest}"

    head, get = await registry.head(path), await registry.get(path)

    assert (head.status, head.body) == (200, b"")
    assert [head.headers[name] for name in HEADERS] == [get.headers[name] for name in HEADERS]


async def test_blob_of_sha512_is_served(registry: Registry) -> None:
    """Both registered algorithms name blobs."""
    digest = await registry.push_blob("a", BLOB, algorithm="sha512")

    answer = await registry.get(f"/v2/a/blobs/{digest}")

    assert (answer.status, answer.body) == (200, BLOB)
    assert answer.headers["Docker-Content-Digest"] == sha512(BLOB)


async def test_empty_blob_is_served(registry: Registry) -> None:
    """Nothing is content too."""
    digest = await registry.push_blob("a", b"")

    head, get = await registry.head(f"/v2/a/blobs/{digest}"), await registry.get(f"/v2/a/blobs/{digest}")

    assert digest == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (head.status, head.headers["Content-Length"]) == (200, "0")
    assert (get.status, get.body, get.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 3_000_000])
async def test_blob_of_any_size_comes_back(registry: Registry, size: int) -> None:
    """Small ones go with the head, large ones by the kernel."""
    content = bytes(range(256)) * (size // 256 + 1)
    digest = await registry.push_blob("a", content[:size])

    answer = await registry.get(f"/v2/a/blobs/{digest}")

    assert answer.body == content[:size]


async def test_blobs_follow_each_other_on_one_connection(registry: Registry) -> None:
    """A body that the kernel sends ends exactly where the next answer begins."""
    large, small = b"x" * 500_000, b"small"
    paths = [f"/v2/a/blobs/{await registry.push_blob('a', content)}" for content in (large, small, large)]
    reader, writer = await registry.connect()

    writer.write(b"".join(registry.request_head("GET", path) for path in paths))

    for content in (large, small, large):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(len(content)) == content
    writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_unknown_blob_is_not_found(registry: Registry, method: str) -> None:
    """The repository is there, the blob is not."""
    await registry.push_blob("a", BLOB)

    answer = await registry.ask(method, f"/v2/a/blobs/{ABSENT}")

    assert answer.status == 404
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    if method != "HEAD":
        assert answer.refusal == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_blob_of_an_unknown_repository_is_not_found(registry: Registry, method: str) -> None:
    """The code tells that the name is the problem."""
    answer = await registry.ask(method, f"/v2/nobody/here/blobs/{ABSENT}")

    assert answer.refusal == (404, "NAME_UNKNOWN")


async def test_blob_of_another_repository_is_not_found(registry: Registry) -> None:
    """A repository is a boundary, whatever is stored behind it."""
    digest = await registry.push_blob("a", BLOB)
    await registry.push_blob("b", b"other")

    answers = [await registry.ask(method, f"/v2/b/blobs/{digest}") for method in ("GET", "HEAD", "DELETE")]

    assert [answer.status for answer in answers] == [404, 404, 404]


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "sha256:" + "g" * 64,
        "SHA256:" + "0" * 64,
        "sha512:" + "0" * 64,
        "md5:" + "0" * 32,
        "sha256",
        "sha256:",
        ":" + "0" * 64,
        "sha256:" + "0" * 63 + "%0a",
        "sha256%3a" + "0" * 63,
        "sha256:" + "0" * 62 + "..",
        "..%2f..%2froot.key",
        "%00",
        "latest",
    ],
)
async def test_what_is_no_digest_is_invalid(registry: Registry, digest: str) -> None:
    """Only canonical digests of the two algorithms name blobs."""
    got, asked, deleted = [await registry.ask(method, f"/v2/a/blobs/{digest}") for method in ("GET", "HEAD", "DELETE")]

    assert got.refusal == deleted.refusal == (400, "DIGEST_INVALID")
    assert asked.status == 400


async def test_percent_encoded_digest_is_read(registry: Registry) -> None:
    """Clients differ in whether they encode the colon."""
    digest = await registry.push_blob("a", BLOB)

    answer = await registry.get(f"/v2/a/blobs/{digest.replace(':', '%3A')}")

    assert answer.body == BLOB


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
async def test_known_blob_is_not_sent_again(registry: Registry, method: str, condition: str) -> None:
    """A client that has it gets 304 and no body."""
    digest = await registry.push_blob("a", BLOB)

    answer = await registry.ask(method, f"/v2/a/blobs/{digest}", headers=[("If-None-Match", condition.format(digest))])

    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Docker-Content-Digest"] == digest


async def test_blob_is_sent_to_who_has_another(registry: Registry) -> None:
    """A condition on something else changes nothing."""
    digest = await registry.push_blob("a", BLOB)

    answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("If-None-Match", f'"{ABSENT}"')])

    assert (answer.status, answer.body) == (200, BLOB)


async def test_compression_is_never_added(registry: Registry) -> None:
    """containerd offers it on blobs, and the digest is over the plain bytes."""
    digest = await registry.push_blob("a", b"a" * 100_000)

    answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Accept-Encoding", "zstd, gzip, deflate")])

    assert "Content-Encoding" not in answer.headers
    assert answer.body == b"a" * 100_000


async def test_deleted_blob_is_gone_at_once(registry: Registry) -> None:
    """Its repository answers 404 from then on, also to a second delete."""
    digest = await registry.push_blob("a", BLOB)
    path = f"/v2/a/blobs/{digest}"

    deleted = await registry.delete(path)

    assert (deleted.status, deleted.body) == (202, b"")
    assert (await registry.get(path)).refusal == (404, "BLOB_UNKNOWN")
    assert (await registry.head(path)).status == 404
    assert (await registry.delete(path)).refusal == (404, "BLOB_UNKNOWN")


async def test_deleted_blob_stays_where_others_hold_it(registry: Registry) -> None:
    """Deleting speaks for one repository."""
    digest = await registry.push_blob("a", BLOB)
    await registry.push_blob("b", BLOB)

    await registry.delete(f"/v2/a/blobs/{digest}")

    assert (await registry.get(f"/v2/b/blobs/{digest}")).body == BLOB


async def test_reader_finishes_while_the_blob_is_deleted(registry: Registry) -> None:
    """What was begun is sent to its end."""
    content = b"z" * 8_000_000
    digest = await registry.push_blob("a", content)
    reader, writer = await registry.connect()
    writer.write(registry.request_head("GET", f"/v2/a/blobs/{digest}"))
    await reader.readuntil(b"\r\n\r\n")

    deleted = await registry.delete(f"/v2/a/blobs/{digest}")

    assert deleted.status == 202
    assert await reader.readexactly(len(content)) == content
    writer.close()


async def test_deleted_blob_can_be_pushed_again(registry: Registry) -> None:
    """Nothing of it is remembered against it."""
    digest = await registry.push_blob("a", BLOB)
    await registry.delete(f"/v2/a/blobs/{digest}")

    assert await registry.push_blob("a", BLOB) == digest

    assert (await registry.get(f"/v2/a/blobs/{digest}")).body == BLOB


async def test_copy_that_lost_bytes_is_unknown_until_it_is_pushed_again(registry: Registry) -> None:
    """A copy of another length is never served, and a push repairs it."""
    digest = await registry.push_blob("a", BLOB)
    (copy,) = stored(registry)
    copy.write_bytes(BLOB[:-1])

    damaged = await registry.head(f"/v2/a/blobs/{digest}"), await registry.get(f"/v2/a/blobs/{digest}")
    await registry.push_blob("a", BLOB)

    assert [answer.status for answer in damaged] == [404, 404]
    assert (await registry.get(f"/v2/a/blobs/{digest}")).body == BLOB


async def test_copy_that_loses_bytes_while_it_is_sent_breaks_the_answer_off(registry: Registry) -> None:
    """The kernel finds no more of them: the connection is reset, and the blob unknown."""
    content = b"y" * 16_000_000
    digest = await registry.push_blob("a", content)
    client = await deaf(registry, f"/v2/a/blobs/{digest}")
    await asyncio.sleep(0.05)
    (copy,) = stored(registry)
    os.truncate(copy, 1000)

    with pytest.raises(ConnectionResetError):
        await received_by(client)

    client.close()
    assert (await registry.head(f"/v2/a/blobs/{digest}")).status == 404
    (event,) = await recorded(registry.root, "damage")
    assert event["details"]["digest"] == digest


async def test_digest_of_the_blob_is_the_one_asked_for(registry: Registry) -> None:
    """A blob pushed under one algorithm is not found under the other."""
    await registry.push_blob("a", BLOB)

    assert (await registry.get(f"/v2/a/blobs/{sha512(BLOB)}")).refusal == (404, "BLOB_UNKNOWN")
    assert (await registry.get(f"/v2/a/blobs/{sha256(BLOB)}")).status == 200
