"""Bodies that worker threads take from the socket themselves: whole, in order, and no byte beyond."""

import asyncio

import pytest

from registry.http.lending import LEAST_BYTES
from tests.registry.http.body_server import CONTENT, GET, Served, answer_of, head, until


@pytest.mark.parametrize("length", [LEAST_BYTES - 1, LEAST_BYTES, LEAST_BYTES + 1, 1_000_000, len(CONTENT)])
async def test_a_body_is_taken_whole_and_in_order(served: Served, length: int) -> None:
    reader, writer = await served.connect()
    writer.write(head(length) + CONTENT[:length])

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:length]
    assert served.sink.bytes_counted == length


@pytest.mark.parametrize("is_threaded", [True, False])
async def test_of_a_large_body_no_more_is_read_than_is_asked_for(served: Served, *, is_threaded: bool) -> None:
    served.sink.is_threaded = is_threaded
    served.may_pour.clear()
    reader, writer = await served.connect()
    writer.write(head(1_000_000) + CONTENT[:1000])
    await until(lambda: bool(served.waiting))
    content = served.waiting[0].content
    await until(lambda: content.total_bytes > 0)
    begun = content.total_bytes

    writer.write(CONTENT[1000:1_000_000])
    await asyncio.sleep(0.05)

    assert content.total_bytes == begun
    served.may_pour.set()
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:1_000_000]


async def test_a_large_body_that_nobody_reads_is_in_nobodys_way(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head(1_000_000, path="/unread") + CONTENT[:1_000_000] + GET)

    assert await answer_of(reader) == (200, b"ok")
    assert await answer_of(reader) == (200, b"ok")


@pytest.mark.parametrize("count", [1, 3])
async def test_requests_that_follow_a_body_at_once_are_answered(served: Served, count: int) -> None:
    """No byte beyond the body is taken, though they came together."""
    reader, writer = await served.connect()
    writer.write((head(len(CONTENT)) + CONTENT + GET) * count)

    for _ in range(count):
        assert await answer_of(reader) == (200, b"taken")
        assert await answer_of(reader) == (200, b"ok")
    assert served.sink.received == CONTENT * count


async def test_a_connection_takes_many_bodies(served: Served) -> None:
    reader, writer = await served.connect()
    for length in (400_000, 10, 300_000, 0, 2_000_000):
        served.sink.received.clear()
        writer.write(head(length) + CONTENT[:length])
        assert await answer_of(reader) == (200, b"taken")
        assert served.sink.received == CONTENT[:length]


async def test_bodies_of_many_clients_share_few_threads(served: Served) -> None:
    """Each in a store of its own; here they come one after the other into one."""
    streams = [await served.connect() for _ in range(12)]
    served.sink.is_threaded = True
    for _, writer in streams:
        writer.write(head(1_000_000) + bytes(1_000_000))

    assert [await answer_of(reader) for reader, _ in streams] == [(200, b"taken")] * 12
    assert len(served.sink.received) == 12_000_000


async def test_a_client_that_waits_to_be_asked_is_asked(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(head(1_000_000, "Expect: 100-continue"))
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(CONTENT[:1_000_000])

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:1_000_000]


async def test_a_slow_client_holds_no_thread(served: Served) -> None:
    """While it sends nothing, and hardly while it sends little."""
    reader, writer = await served.connect()
    length = 600_000
    writer.write(head(length) + CONTENT[:200_000])
    await until(lambda: len(served.sink.received) == 200_000)
    await asyncio.sleep(0.05)
    assert served.sink.busy == 0

    for start in range(200_000, length, 50_000):
        writer.write(CONTENT[start : start + 50_000])
        await asyncio.sleep(0.02)
    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:length]


async def test_a_client_that_falls_silent_is_told_and_let_go(served: Served) -> None:
    """What it sent is in the store."""
    reader, writer = await served.connect()
    writer.write(head(1_000_000) + CONTENT[:300_000])

    status, _ = await answer_of(reader)
    async with asyncio.timeout(5):
        assert await reader.read() == b""

    assert status == 408
    assert served.sink.received == CONTENT[:300_000]
    assert served.sink.bytes_counted == 300_000


async def test_what_a_client_sent_before_it_left_is_in_the_store(served: Served) -> None:
    _, writer = await served.connect()
    writer.write(head(1_000_000) + CONTENT[:400_000])
    await until(lambda: len(served.sink.received) == 400_000)
    writer.close()

    await until(lambda: bool(served.sink.met))
    assert isinstance(served.sink.met[0], ConnectionResetError)
    assert served.sink.received == CONTENT[:400_000]
    assert served.sink.busy == 0


@pytest.mark.parametrize("full_at", [0, 1_000_000])
async def test_the_rest_of_a_body_that_was_refused_is_passed_over(served: Served, full_at: int) -> None:
    """The client may send all of it before it reads the answer, and go on with its next request."""
    served.sink.full_at = full_at
    reader, writer = await served.connect()
    writer.write(head(len(CONTENT)) + CONTENT + GET)

    assert await answer_of(reader) == (507, b"full")
    assert await answer_of(reader) == (200, b"ok")


async def test_a_client_that_was_refused_and_sends_no_more_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its next request begins cannot be told."""
    monkeypatch.setattr("registry.http.connection._LINGER_SECONDS", 0.2)
    served.sink.full_at = 0
    reader, writer = await served.connect()
    writer.write(head(len(CONTENT)) + CONTENT[:1_000_000])

    assert await answer_of(reader) == (507, b"full")
    async with asyncio.timeout(5):
        assert await reader.read() == b""


async def test_a_store_that_has_no_threads_gets_chunks(served: Served) -> None:
    served.sink.is_threaded = False
    reader, writer = await served.connect()
    writer.write(head(len(CONTENT)) + CONTENT)

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT
    assert served.sink.jobs == 0


async def test_chunks_that_no_upload_brings_come_through_the_loop(served: Served) -> None:
    reader, writer = await served.connect()
    chunks = [CONTENT[start : start + 100_000] for start in range(0, 1_000_000, 100_000)]
    writer.write(b"PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for chunk in (*chunks, b""):
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    assert await answer_of(reader) == (200, b"taken")
    assert served.sink.received == CONTENT[:1_000_000]
    assert served.sink.jobs == 0
