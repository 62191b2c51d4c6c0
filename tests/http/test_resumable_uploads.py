"""Uploads that break off, change workers, or are fought over."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.http.client import ADMIN, Answer, Registry, Start, eventually
from tests.http.documents import sha256
from tests.http.uploading import BLOB, staged, with_query

EXPECT = "Expect: 100-continue"
LARGE = bytes(range(250)) * 12_000


async def break_off(registry: Registry, head: bytes, body: bytes) -> None:
    """Send a head that expects 100-continue and, once it may, a part of the body; then go away."""
    reader, writer = await registry.connect()
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    await writer.drain()
    writer.close()


async def offset_of(registry: Registry, location: str) -> int:
    """Wait until something of a broken request is promised; how much that is."""
    status = await eventually(lambda: registry.get(location), lambda answer: answer.headers["Range"] != "0-0")
    return int(status.headers["Range"].removeprefix("0-")) + 1


async def when_free(send: Callable[[], Awaitable[Answer]]) -> Answer:
    """Send until the request before has let go of the upload."""
    return await eventually(send, lambda answer: answer.status != 416)


async def test_closing_without_the_locations_query_works(registry: Registry) -> None:
    """Clients that drop the query are served: the staged bytes are read again."""
    location = await registry.start_upload("a")
    patched = await registry.patch(location, BLOB)
    assert "?state=" in patched.location

    closed = await registry.put(f"{location}?digest={sha256(BLOB)}")

    assert closed.status == 201


@pytest.mark.parametrize(
    "state", ["", "x", "19.sha256:00.AAAA", "19." + sha256(b"forged") + ".AAAAAAAAAAAAAAAAAAAAAA", "%00", "9" * 5000]
)
async def test_forged_state_proves_nothing(registry: Registry, state: str) -> None:
    """The bytes are hashed; a wrong digest stays wrong and a right one right."""
    for digest, status in ((sha256(b"forged"), 400), (sha256(BLOB), 201)):
        location = await registry.start_upload("a")
        await registry.patch(location, BLOB)

        answer = await registry.put(f"{location}?state={state}&digest={digest}")

        assert answer.status == status


async def test_state_of_another_upload_proves_nothing(registry: Registry) -> None:
    """A seal is for one session."""
    forged = b"x" * len(BLOB)
    other = await registry.patch(await registry.start_upload("a"), forged)
    location = await registry.start_upload("a")
    await registry.patch(location, BLOB)

    answer = await registry.put(f"{location}?{other.location.partition('?')[2]}&digest={sha256(forged)}")

    assert answer.refusal == (400, "DIGEST_INVALID")


async def test_state_of_an_earlier_offset_proves_nothing(registry: Registry) -> None:
    """It names the first bytes, not all of them."""
    first = await registry.patch(await registry.start_upload("a"), BLOB[:10])
    await registry.patch(first.location, BLOB[10:])

    wrong = await registry.put(with_query(first.location, f"digest={sha256(BLOB[:10])}"))

    assert wrong.refusal == (400, "DIGEST_INVALID")


async def test_any_worker_continues_an_upload(start: Start) -> None:
    """Every request goes to another worker of the same start."""
    async with start() as one, start() as two, start() as three:
        location = await one.start_upload("a")
        first = await two.patch(location, BLOB[:10], headers=[("Content-Range", "0-9")])
        second = await three.patch(first.location, BLOB[10:], headers=[("Content-Range", "10-18")])
        status = await one.get(second.location)
        closed = await two.put(with_query(second.location, f"digest={sha256(BLOB)}"))

        assert [answer.status for answer in (first, second, status, closed)] == [202, 202, 204, 201]
        assert (await three.get(closed.location)).body == BLOB


async def test_upload_survives_a_restart(start: Start) -> None:
    """What was answered is there; the seal of the start before counts no more, and the bytes are read again."""
    async with start() as before:
        location = await before.start_upload("a")
        patched = await before.patch(location, BLOB)

    async with start(epoch=bytes(32)) as after:
        status = await after.get(patched.location)
        closed = await after.put(with_query(patched.location, f"digest={sha256(BLOB)}"))

        assert status.headers["Range"] == "0-18"
        assert closed.status == 201


@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
async def test_what_arrived_before_the_server_stopped_is_kept(start: Start, framing: str) -> None:
    """A client that stands still when the time to drain is over goes on after the start."""
    async with start() as before:
        location = await before.start_upload("a")
        _, writer = await before.connect()
        body = b"%x\r\n%b\r\n" % (len(LARGE), LARGE) if "chunked" in framing else LARGE
        writer.write(before.request_head("PATCH", location, framing) + body)
        await writer.drain()
        await asyncio.sleep(0.3)

    async with start(epoch=bytes(32)) as after:
        offset = await offset_of(after, location)
        said = [("Content-Range", f"{offset}-2999999")] if offset < len(LARGE) else []
        resumed = await after.patch(location, LARGE[offset:], headers=said)
        closed = await after.put(with_query(resumed.location, f"digest={sha256(LARGE)}"))

        assert closed.status == 201
    writer.close()


@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
async def test_interrupted_patch_is_resumed_where_it_stopped(registry: Registry, framing: str) -> None:
    """What arrived before the connection broke is kept, and GET tells how much that is."""
    location = await registry.start_upload("a")
    _, writer = await registry.connect()
    body = b"%x\r\n%b\r\n" % (len(LARGE), LARGE) if "chunked" in framing else LARGE
    writer.write(registry.request_head("PATCH", location, framing) + body)
    await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()

    offset = await offset_of(registry, location)
    said = [("Content-Range", f"{offset}-3000007")]
    resumed = await when_free(lambda: registry.patch(location, LARGE[offset:] + b"the rest", headers=said))
    closed = await registry.put(with_query(resumed.location, f"digest={sha256(LARGE + b'the rest')}"))

    assert 0 < offset <= 3_000_000
    assert resumed.headers["Range"] == "0-3000007"
    assert closed.status == 201


async def test_truncated_put_is_resumed(registry: Registry) -> None:
    """The closing request may break off too; nothing is visible before it is whole."""
    location = await registry.start_upload("a")
    path = f"{location}?digest={sha256(BLOB)}"
    await break_off(registry, registry.request_head("PUT", path, "Content-Length: 19", EXPECT), BLOB[:7])

    offset = await offset_of(registry, location)
    unseen = await registry.get(f"/v2/a/blobs/{sha256(BLOB)}")
    rest = [("Content-Range", "7-18")]
    closed = await when_free(lambda: registry.put(path, BLOB[7:], headers=rest))

    assert offset == 7
    assert unseen.status == 404
    assert closed.status == 201


async def test_truncated_chunk_with_a_range_keeps_what_arrived(registry: Registry) -> None:
    """The offset is that of the bytes, not of the promise."""
    location = await registry.start_upload("a")
    head = registry.request_head("PATCH", location, "Content-Length: 19", "Content-Range: 0-18", EXPECT)

    await break_off(registry, head, BLOB[:5])

    assert await offset_of(registry, location) == 5


async def test_truncated_single_post_leaves_nothing(registry: Registry) -> None:
    """Nobody knows of its session, so nobody will come back for it."""
    path = f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}"

    await break_off(registry, registry.request_head("POST", path, "Content-Length: 19", EXPECT), BLOB[:7])

    await eventually(lambda: asyncio.to_thread(staged, registry), lambda files: files == [])
    assert (await registry.get(f"/v2/a/blobs/{sha256(BLOB)}")).status == 404


async def test_one_of_two_writers_wins(registry: Registry) -> None:
    """While one sends, the other is told so with 416, and the winner's bytes are what is stored."""
    location = await registry.start_upload("a")
    reader, writer = await registry.connect()
    head = registry.request_head("PATCH", location, "Content-Length: 19", EXPECT)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    refused = await registry.patch(location, b"x" * 19)
    writer.write(BLOB)
    answer = await reader.readuntil(b"\r\n\r\n")
    closed = await registry.put(f"{location}?digest={sha256(BLOB)}")

    assert refused.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert refused.headers["Range"] == "0-0"
    assert refused.location == location
    assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert closed.status == 201
    writer.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_upload_being_written_is_neither_closed_nor_cancelled(registry: Registry, method: str) -> None:
    """Exactly one outcome: the writer's."""
    location = await registry.start_upload("a")
    reader, writer = await registry.connect()
    writer.write(registry.request_head("PATCH", location, "Content-Length: 19", EXPECT))
    await reader.readuntil(b"\r\n\r\n")

    refused = await registry.ask(method, f"{location}?digest={sha256(b'')}")
    writer.write(BLOB)

    assert refused.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202 ")
    writer.close()


async def test_two_workers_do_not_write_one_upload(start: Start) -> None:
    """The lock holds between processes as well."""
    async with start() as one, start() as two:
        location = await one.start_upload("a")
        reader, writer = await one.connect()
        writer.write(one.request_head("PATCH", location, "Content-Length: 19", EXPECT))
        await reader.readuntil(b"\r\n\r\n")

        refused = await two.patch(location, b"x" * 19)
        writer.write(BLOB)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert refused.status == 416
        assert answer.startswith(b"HTTP/1.1 202 ")


async def test_many_writers_at_once_leave_whole_chunks(registry: Registry) -> None:
    """Whoever got in, the offset is a whole number of chunks, and all bytes are of them."""
    location = await registry.start_upload("a")

    answers = await asyncio.gather(*(registry.patch(location, b"x" * 1000) for _ in range(10)))
    accepted = sum(answer.status == 202 for answer in answers)
    closed = await registry.put(f"{location}?digest={sha256(b'x' * 1000 * accepted)}")

    assert {answer.status for answer in answers} <= {202, 416}
    assert accepted >= 1
    assert closed.status == 201


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_upload_of_another_repository_does_not_exist(registry: Registry, method: str) -> None:
    """A session belongs to one repository, and its owner goes on undisturbed."""
    location = await registry.start_upload("a")
    await registry.patch(location, BLOB)
    body = b"x" if method in {"PATCH", "PUT"} else None

    stranger = await registry.ask(method, location.replace("/v2/a/", "/v2/b/") + f"?digest={sha256(BLOB)}", body=body)

    assert stranger.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.put(f"{location}?digest={sha256(BLOB)}")).status == 201


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.settings(dev=True)
async def test_upload_of_another_principal_does_not_exist(registry: Registry, method: str) -> None:
    """A session belongs to who began it."""
    location = await registry.start_upload("a", authorization=ADMIN)
    await registry.patch(location, BLOB)
    body = b"x" if method in {"PATCH", "PUT"} else None

    stranger = await registry.ask(method, f"{location}?digest={sha256(BLOB)}", body=body, authorization=None)

    assert stranger.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.put(f"{location}?digest={sha256(BLOB)}")).status == 201


async def test_upload_is_continued_with_another_token(registry: Registry) -> None:
    """A session belongs to the principal, not to its credentials of the moment."""
    token = await registry.token("repository:a:push,pull")
    location = await registry.start_upload("a", authorization=token)

    answer = await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB, authorization=ADMIN)

    assert answer.status == 201


@pytest.mark.settings(limits={"body_idle": 0.5})
async def test_stalled_body_is_408_and_can_be_resumed(registry: Registry) -> None:
    """The connection is given up, what arrived is kept."""
    location = await registry.start_upload("a")

    answer = await registry.exchange(registry.request_head("PATCH", location, "Content-Length: 19") + BLOB[:8])
    resumed = await registry.patch(location, BLOB[8:], headers=[("Content-Range", "8-18")])

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Connection: close\r\n" in answer
    assert b'"code":"SIZE_INVALID"' in answer
    assert resumed.headers["Range"] == "0-18"


async def test_bytes_of_several_mebibytes_arrive_in_order(registry: Registry) -> None:
    """Batches are written one after another."""
    location = await registry.start_upload("a")

    patched = await registry.patch(location, LARGE * 3)
    closed = await registry.put(with_query(patched.location, f"digest={sha256(LARGE * 3)}"))

    assert patched.headers["Range"] == "0-8999999"
    assert closed.status == 201


async def test_closing_and_cancelling_at_once_have_one_outcome(registry: Registry) -> None:
    """Either the blob is there, or it is not and nothing is staged."""
    for number in range(10):
        content = b"%d" % number
        path = f"{await registry.start_upload('a')}?digest={sha256(content)}"

        closed, cancelled = await asyncio.gather(registry.put(path, content), registry.delete(path))

        assert (closed.status, cancelled.status) in {(201, 404), (201, 416), (404, 204), (416, 204)}
        pulled = await registry.get(f"/v2/a/blobs/{sha256(content)}")
        assert (pulled.status == 200) == (closed.status == 201)
    assert staged(registry) == []
