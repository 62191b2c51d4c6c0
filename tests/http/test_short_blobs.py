"""Short blobs that come whole, over real connections: on any worker, invited or not, and by many at once."""

import asyncio
from collections.abc import Callable

import pytest

from tests.http.client import Registry, Start
from tests.http.documents import sha256, sha512
from tests.http.uploading import BLOB, staged, stored

PLAIN = pytest.mark.settings(encryption={"mode": "off"})
EXPECT = "Expect: 100-continue"
SHORT = 64 * 1024


DigestOf = Callable[[bytes], str]


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("size", [0, 40, SHORT, SHORT + 1])
@pytest.mark.parametrize("digest_of", [sha256, sha512])
async def test_blob_of_any_short_size_is_pushed(registry: Registry, size: int, digest_of: DigestOf) -> None:
    """Sealed, and with nothing left of its upload."""
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    location = await registry.start_upload("a")

    closed = await registry.put(f"{location}?digest={digest_of(content)}", content)

    assert (closed.status, closed.headers["Docker-Content-Digest"]) == (201, digest_of(content))
    assert (await registry.get(closed.location)).body == content
    assert (await registry.get(location)).status == 404
    assert staged(registry) == []
    assert [path.stat().st_mode & 0o777 for path in stored(registry)] == [0o600]
    assert [content[:100] in path.read_bytes() for path in stored(registry)] == [size == 0]


@PLAIN
async def test_short_blob_is_kept_plain_where_nothing_is_sealed(registry: Registry) -> None:
    location = await registry.start_upload("a")

    closed = await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB)

    assert (await registry.get(closed.location)).body == BLOB
    assert [path.read_bytes() for path in stored(registry)] == [BLOB]
    assert staged(registry) == []


async def test_short_blob_is_closed_on_another_worker_than_it_was_begun_on(start: Start) -> None:
    """And read on both at once, with what the first one remembers."""
    async with start() as one, start() as two:
        location = await one.start_upload("a")
        assert (await one.get(f"/v2/a/blobs/{sha256(BLOB)}")).status == 404

        closed = await two.put(f"{location}?digest={sha256(BLOB)}", BLOB)

        assert closed.status == 201
        assert [(await each.get(closed.location)).body for each in (one, two)] == [BLOB, BLOB]
        assert (await one.get(location)).status == 404


async def test_short_blob_is_invited_on_another_worker(start: Start) -> None:
    """The client sends nothing until it is asked to."""
    async with start() as one, start() as two:
        path = f"{await one.start_upload('a')}?digest={sha256(BLOB)}"
        reader, writer = await two.connect()

        writer.write(two.request_head("PUT", path, "Content-Length: 19", EXPECT))
        invitation = await answer_of(reader)
        writer.write(BLOB[:7])
        await writer.drain()
        writer.write(BLOB[7:])
        answer = await answer_of(reader)
        writer.close()

        assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert (await one.get(f"/v2/a/blobs/{sha256(BLOB)}")).body == BLOB


async def test_requests_follow_a_short_blob_on_its_connection(registry: Registry) -> None:
    """Its body is read to its end, and no further."""
    first, second = [f"{await registry.start_upload('a')}?digest={sha256(body)}" for body in (BLOB, b"next")]
    reader, writer = await registry.connect()

    writer.write(registry.request_head("PUT", first, "Content-Length: 19") + BLOB)
    writer.write(registry.request_head("PUT", second, "Content-Length: 4") + b"next")
    answers = [await answer_of(reader), await answer_of(reader)]
    writer.close()

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 201 "] * 2
    assert [(await registry.get(f"/v2/a/blobs/{sha256(body)}")).body for body in (BLOB, b"next")] == [BLOB, b"next"]


async def test_short_blob_that_two_workers_close_at_once_is_stored_once(start: Start) -> None:
    """One of them does; the other is told that it is over, or under way."""
    async with start() as one, start() as two:
        for number in range(10):
            content = b"%d" % number
            path = f"{await one.start_upload('a')}?digest={sha256(content)}"

            closed = await asyncio.gather(*(each.put(path, content) for each in (one, two)))

            statuses = sorted(answer.status for answer in closed)
            assert statuses[0] == 201
            assert statuses[1] in {404, 416}
            assert (await two.get(f"/v2/a/blobs/{sha256(content)}")).body == content
        assert len(stored(one)) == 10
        assert staged(one) == []


async def test_short_blob_that_is_closed_and_cancelled_at_once_has_one_outcome(start: Start) -> None:
    """On two workers: whoever is told that it is cancelled finds no blob."""
    async with start() as one, start() as two:
        for number in range(20):
            content = b"%d" % number
            path = f"{await one.start_upload('a')}?digest={sha256(content)}"

            closed, cancelled = await asyncio.gather(one.put(path, content), two.delete(path))

            assert (closed.status, cancelled.status) in {(201, 404), (201, 416), (404, 204), (416, 204)}
            pulled = await two.get(f"/v2/a/blobs/{sha256(content)}")
            assert (pulled.status == 200) == (closed.status == 201)
        assert staged(one) == []


async def test_other_bytes_than_the_digest_names_leave_nothing(registry: Registry) -> None:
    location = await registry.start_upload("a")

    refused = await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB[:-1] + b"!")

    assert refused.refusal == (400, "DIGEST_INVALID")
    assert (await registry.get(location)).status == 404
    assert (staged(registry), stored(registry)) == ([], [])
