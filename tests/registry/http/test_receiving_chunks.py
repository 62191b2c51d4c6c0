"""Uploads in chunks, which worker threads take from the socket: what is in the chunks, and no byte beyond."""

import asyncio
import os
import random
import resource

import pytest
from aiohttp import web

from registry.http.lending import Lender
from tests.registry.http.body_server import CONTENT, GET, LIMITS, Served, answer_of, until

CHUNK = 32 * 1024
END = b"0\r\n\r\n"


def head(*more: str, path: str = "/v2/body", method: str = "PATCH") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Transfer-Encoding: Chunked", *more, "", ""]
    return "\r\n".join(lines).encode()


def chunks(content: bytes, size: int = CHUNK) -> bytes:
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("size", [1, 1000, CHUNK, 300_000, 2_000_000])
@pytest.mark.parametrize("length", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
async def test_a_body_is_taken_whole_and_in_order(served: Served, length: int, size: int) -> None:
    length = min(length, 70_000 * size)
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:length], size) + END)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:length]
    assert served.sink.bytes_counted == length


async def test_a_large_body_is_taken_by_threads(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT) + END)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT
    assert served.sink.jobs > 0


async def test_a_short_body_needs_no_thread(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head())
    await until(lambda: bool(served.waiting))
    writer.write(chunks(CONTENT[:1000]))
    await asyncio.sleep(0.02)
    writer.write(chunks(CONTENT[1000:2000]) + END)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:2000]
    assert served.sink.jobs == 0


@pytest.mark.parametrize("length", [0, 1000, 200_000])
@pytest.mark.parametrize("count", [1, 3])
async def test_requests_that_follow_a_body_at_once_are_answered(served: Served, count: int, length: int) -> None:
    reader, writer = await served.connect()
    writer.write((head() + chunks(CONTENT[:length]) + END + GET) * count)

    for _ in range(count):
        assert await answer_of(reader) == (200, b"taken")
        assert await answer_of(reader) == (200, b"ok")
    assert served.sink.received == CONTENT[:length] * count


async def test_a_connection_takes_many_bodies(served: Served) -> None:
    reader, writer = await served.connect()
    for length in (400_000, 10, 300_000, 0, 2_000_000):
        served.sink.received.clear()
        writer.write(head() + chunks(CONTENT[:length]) + END)
        assert await answer_of(reader) == (200, b"taken")
        assert served.sink.received == CONTENT[:length]


async def test_a_body_may_come_byte_by_byte(served: Served) -> None:
    reader, writer = await served.connect()
    for byte in head() + chunks(CONTENT[:50], 7) + END:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.001)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:50]


@pytest.mark.parametrize("length", [10, 300_000])
async def test_what_follows_the_last_chunk_is_passed_over(served: Served, length: int) -> None:
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:length]) + b"0;last\r\nDigest: sha256\r\n\r\n" + GET)

    assert await answer_of(reader) == (200, b"taken")
    assert await answer_of(reader) == (200, b"ok")
    assert served.sink.received == CONTENT[:length]


@pytest.mark.parametrize("length", [0, 10, 300_000])
@pytest.mark.parametrize("broken", [b"5 \r\nhello\r\n", b"\n", b"-1\r\n", b"0\r\nno trailer\r\n"])
async def test_a_body_that_is_not_framed_as_http_says_is_the_last(served: Served, length: int, broken: bytes) -> None:
    """What came before is in the store; where a next request would begin is anybody's guess."""
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:length]) + broken + END + GET)

    assert await answer_of(reader) == (400, b"the body is not framed as HTTP says")
    async with asyncio.timeout(8):
        assert await reader.read() == b""
    assert served.sink.received == CONTENT[:length]
    assert isinstance(served.sink.met[0], web.RequestPayloadError)


async def test_a_client_that_waits_to_be_asked_is_asked(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head("Expect: 100-continue"))
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(chunks(CONTENT[:1_000_000]) + END)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:1_000_000]


@pytest.mark.parametrize("length", [0, 1000, 300_000])
async def test_a_client_that_falls_silent_is_told_and_let_go(served: Served, length: int) -> None:
    """What it sent is in the store."""
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:length]))

    status, _ = await answer_of(reader)
    async with asyncio.timeout(8):
        assert await reader.read() == b""

    assert status == 408
    assert served.sink.received == CONTENT[:length]
    assert served.sink.bytes_counted == length


@pytest.mark.parametrize("length", [0, 1000, 400_000])
async def test_what_a_client_sent_before_it_left_is_in_the_store(served: Served, length: int) -> None:
    _, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:length]) + b"5\r\nhe")
    await writer.drain()
    writer.close()

    await until(lambda: bool(served.sink.met))
    assert isinstance(served.sink.met[0], ConnectionResetError)
    assert served.sink.received == CONTENT[:length] + b"he"
    assert served.sink.busy == 0


@pytest.mark.parametrize("is_threaded", [True, False])
async def test_a_connection_that_is_cut_off_before_a_body_is_asked_for_has_none(
    served: Served, caplog: pytest.LogCaptureFixture, *, is_threaded: bool
) -> None:
    served.sink.is_threaded = is_threaded
    served.may_pour.clear()
    _, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:200_000]) + END)
    await until(lambda: bool(served.waiting))
    transport = served.waiting[0].transport
    assert transport is not None
    transport.abort()
    await until(lambda: served.waiting[0].transport is None)

    served.may_pour.set()

    await until(lambda: bool(served.sink.met))
    assert isinstance(served.sink.met[0], ConnectionError)
    await asyncio.sleep(0.01)
    assert caplog.records == []


async def test_what_came_before_the_server_broke_off_is_in_the_store(served: Served) -> None:
    _, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:1000]))
    await until(lambda: bool(served.waiting))
    await asyncio.sleep(0.05)

    served.waiting[0].task.cancel()

    await until(lambda: served.sink.received == CONTENT[:1000])


async def test_a_slow_client_holds_no_thread(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:200_000]))
    await until(lambda: len(served.sink.received) == 200_000)
    await asyncio.sleep(0.05)
    assert served.sink.busy == 0

    writer.write(chunks(CONTENT[200_000:300_000]) + END)
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:300_000]


@pytest.mark.parametrize("full_at", [0, 1_000_000])
async def test_the_rest_of_a_body_that_was_refused_is_passed_over(served: Served, full_at: int) -> None:
    served.sink.full_at = full_at
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT) + END + GET)

    assert await answer_of(reader) == (507, b"full")
    assert await answer_of(reader) == (200, b"ok")


@pytest.mark.parametrize("length", [0, 1000, 1_000_000])
async def test_a_body_that_nobody_reads_is_in_nobodys_way(served: Served, length: int) -> None:
    reader, writer = await served.connect()
    writer.write(head(path="/v2/unread") + chunks(CONTENT[:length]) + END + GET)

    assert await answer_of(reader) == (200, b"ok")
    assert await answer_of(reader) == (200, b"ok")


async def test_no_more_is_read_than_is_asked_for(served: Served) -> None:
    served.may_pour.clear()
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT) + END)
    await until(lambda: bool(served.waiting))
    connection = served.waiting[0].protocol
    assert isinstance(connection, Lender)
    await until(lambda: bool(connection._held))
    begun = connection._held
    await asyncio.sleep(0.05)

    assert connection._held == begun
    assert served.waiting[0].content.total_bytes == 0
    served.may_pour.set()
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT


async def test_no_more_is_read_while_a_request_before_is_handled(served: Served) -> None:
    """Though the body of that one, once it is read, asks aiohttp for more."""
    served.may_pour.clear()
    reader, writer = await served.connect()
    writer.write(b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    await until(lambda: bool(served.waiting))
    connection = served.waiting[0].protocol
    assert isinstance(connection, Lender)
    writer.write(head() + chunks(CONTENT[:1000]))
    await until(lambda: bool(connection._held))
    begun = connection._held

    assert await served.waiting[0].content.readany() == b"hello"
    writer.write(chunks(CONTENT[1000:]) + END)
    await asyncio.sleep(0.05)

    assert connection._held == begun
    served.may_pour.set()
    assert await answer_of(reader) == (200, b"taken")
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT


async def test_an_upload_that_comes_behind_more_requests_than_are_taken_at_once_is_taken(served: Served) -> None:
    """What the parser keeps of them comes first, a body in chunks among it."""
    reader, writer = await served.connect()
    before, body = GET * 32, chunks(CONTENT[:10]) + END
    padding = LIMITS.header_bytes - len(before + head("X: ") + body)
    writer.write(before + head("X: " + "x" * padding) + body + head() + chunks(CONTENT[10:50]) + END)

    for _ in range(32):
        assert await answer_of(reader) == (200, b"ok")
    assert await answer_of(reader) == (200, b"taken")
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:50]


async def test_any_number_of_heads_that_only_speak_of_chunks_may_come_at_once(served: Served) -> None:
    reader, writer = await served.connect()
    before = b"GET /ok HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n"
    padding = LIMITS.header_bytes - len(before % b"" + GET * 32)
    upload = b"PATCH /v2/unread HTTP/1.1\r\nHost: x\r\nX: chunked\r\n\r\n"
    writer.write(GET * 32 + before % (b"x" * padding) + upload * 1500)

    for _ in range(1533):
        assert await answer_of(reader) == (200, b"ok")


MOSTLY_FRAMING = b"".join(b"1;%b\r\n%c\r\n" % (b"x" * 4000, byte) for byte in CONTENT[:200]) + END


async def test_a_body_that_is_mostly_framing_is_no_work_for_the_loop(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head() + MOSTLY_FRAMING)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:200]
    assert served.sink.jobs > 1


async def test_framing_that_came_with_the_head_waits_for_nothing_that_is_to_come(served: Served) -> None:
    """A thread's turn ends with so much of it, though more is there."""
    served.may_pour.clear()
    reader, writer = await served.connect()
    writer.write(head())
    await until(lambda: bool(served.waiting))
    connection = served.waiting[0].protocol
    assert isinstance(connection, Lender)
    connection._held = MOSTLY_FRAMING
    served.may_pour.set()

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:200]


async def test_a_body_is_passed_over_where_no_descriptor_is_left_to_lend(served: Served) -> None:
    served.may_pour.clear()
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT[:500_000]) + END + GET)
    await until(lambda: bool(served.waiting))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        served.may_pour.set()
        status, _ = await answer_of(reader)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert status == 507
    assert await answer_of(reader) == (200, b"ok")


async def test_a_store_that_has_no_threads_gets_chunks(served: Served) -> None:
    served.sink.is_threaded = False
    reader, writer = await served.connect()
    writer.write(head() + chunks(CONTENT) + END + GET)

    assert await answer_of(reader) == (200, b"taken")
    assert await answer_of(reader) == (200, b"ok")
    assert served.sink.received == CONTENT
    assert served.sink.jobs == 0


async def test_a_body_with_two_lengths_is_refused(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head("Content-Length: 5") + b"hello" + GET)

    assert (await answer_of(reader))[0] == 400
    async with asyncio.timeout(8):
        assert await reader.read() == b""
    assert not served.waiting


async def test_a_head_that_only_speaks_of_chunks_has_no_body_in_chunks(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"PATCH /v2/body HTTP/1.1\r\nHost: x\r\nX-Note: chunked\r\nContent-Length: 5\r\n\r\nhello" + GET)

    assert await answer_of(reader) == (200, b"taken")
    assert await answer_of(reader) == (200, b"ok")
    assert served.sink.received == b"hello"


@pytest.mark.parametrize("seed", range(12))
async def test_requests_are_told_apart_however_their_bytes_are_cut(served: Served, seed: int) -> None:
    chance = random.Random(seed)
    reader, writer = await served.connect()
    sent, expected, answers = b"", b"", []
    for _ in range(chance.randint(2, 8)):
        length = chance.choice([0, 1, 500, 65_000, 66_000, 400_000])
        body = chunks(CONTENT[:length], chance.choice([100, 5_000, CHUNK, 300_000]))
        trailer = chance.choice([b"", b"", b"Name: value\r\n"])
        sent += head() + body + b"0\r\n" + trailer + b"\r\n"
        expected += CONTENT[:length]
        answers.append((200, b"taken"))
        if chance.random() < 0.5:
            sent += GET
            answers.append((200, b"ok"))

    async def send() -> None:
        at = 0
        while at < len(sent):
            end = at + chance.choice([1, 7, 100, 5_000, 100_000, 1_000_000])
            writer.write(sent[at:end])
            await writer.drain()
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            at = end

    sending = asyncio.ensure_future(send())
    assert [await answer_of(reader) for _ in answers] == answers
    await sending
    assert served.sink.received == expected
