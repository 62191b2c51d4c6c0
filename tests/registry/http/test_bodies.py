"""Request bodies as streams: in order, in bounded memory, and to the end."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.http.bodies import BodyTooLong, RequestBody, read_body, release_body
from registry.http.refusals import BodyTooSlow
from storage.budget import BufferBudget

MIB = 1024 * 1024


def stream() -> StreamReader:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop, Mock())
    protocol.connection_made(Mock(asyncio.Transport))
    return StreamReader(protocol, 2**16, loop=loop)


def request_with(content: StreamReader, **headers: str) -> web.Request:
    return make_mocked_request("PUT", "/", headers=headers, payload=content)


class Sink:
    """A store that writes when it is let, and knows what it got."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.batches: list[int] = []
        self.free = asyncio.Event()
        self.free.set()
        self.failure: Exception | None = None
        self.at_work = 0

    async def write(self, chunks: Sequence[bytes]) -> None:
        self.at_work += 1
        assert self.at_work == 1, "one batch at a time"
        await self.free.wait()
        if self.failure is not None:
            self.at_work -= 1
            raise self.failure
        self.received += b"".join(chunks)
        self.batches.append(sum(map(len, chunks)))
        self.at_work -= 1


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_true():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0)


async def test_body_is_poured_in_order() -> None:
    """Every chunk, in batches."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    for piece in pieces:
        content.feed_data(piece)
    content.feed_eof()

    await RequestBody(request_with(content), budget, idle_seconds=5).pour(sink.write)

    assert sink.received == b"".join(pieces)
    assert budget.held_bytes == 0


async def test_small_chunks_are_gathered() -> None:
    """A write for each would cost more than hashing."""
    content, sink = stream(), Sink()
    body = RequestBody(request_with(content), BufferBudget(64 * MIB), idle_seconds=5)
    pouring = asyncio.create_task(body.pour(sink.write))
    for _ in range(300):
        content.feed_data(b"x" * 10_000)
        await asyncio.sleep(0)
    content.feed_eof()
    await pouring

    assert sum(sink.batches) == 3_000_000
    assert len(sink.batches) <= 4


async def test_empty_body_writes_nothing() -> None:
    """Nothing came, so nothing is staged."""
    content, sink = stream(), Sink()
    content.feed_eof()

    await RequestBody(request_with(content), BufferBudget(MIB), idle_seconds=5).pour(sink.write)

    assert sink.batches == []


@pytest.mark.parametrize(("headers", "announced"), [({"Content-Length": "7"}, 7), ({}, None)])
async def test_announced_length_is_that_of_the_header(headers: dict[str, str], announced: int | None) -> None:
    """None when the body is chunked."""
    body = RequestBody(request_with(stream(), **headers), BufferBudget(MIB), idle_seconds=5)

    assert body.announced == announced


async def test_what_arrived_before_a_break_is_written() -> None:
    """The error is raised after that."""
    content, sink, budget = stream(), Sink(), BufferBudget(MIB)
    body = RequestBody(request_with(content), budget, idle_seconds=5)
    pouring = asyncio.create_task(body.pour(sink.write))
    content.feed_data(b"hello")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    content.set_exception(ConnectionResetError())

    with pytest.raises(ConnectionResetError):
        await pouring
    assert sink.received == b"hello"
    assert budget.held_bytes == 0


async def test_silence_is_bounded() -> None:
    """What came before it is written."""
    content, sink, budget = stream(), Sink(), BufferBudget(MIB)
    content.feed_data(b"hello")

    with pytest.raises(BodyTooSlow):
        await RequestBody(request_with(content), budget, idle_seconds=0.01).pour(sink.write)

    assert sink.received == b"hello"
    assert budget.held_bytes == 0


async def test_store_that_fails_ends_the_body() -> None:
    """With its own error, and nothing stays held."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    sink.failure = OSError("broken")
    content.feed_data(b"x" * (3 * MIB))
    content.feed_eof()

    with pytest.raises(OSError, match="broken"):
        await RequestBody(request_with(content), budget, idle_seconds=5).pour(sink.write)

    assert budget.held_bytes == 0


async def test_store_that_fails_while_more_arrives_ends_the_body() -> None:
    """At the next batch."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    sink.failure = OSError("broken")
    body = RequestBody(request_with(content), budget, idle_seconds=5)
    pouring = asyncio.create_task(body.pour(sink.write))
    for _ in range(10):
        if not pouring.done():
            content.feed_data(b"x" * MIB)
        await asyncio.sleep(0)
    content.feed_eof()

    with pytest.raises(OSError, match="broken"):
        await pouring
    assert budget.held_bytes == 0


async def test_cancelled_body_waits_for_the_store() -> None:
    """The store still uses its bytes: they count until it has let go of them."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    sink.free.clear()
    body = RequestBody(request_with(content), budget, idle_seconds=5)
    pouring = asyncio.create_task(body.pour(sink.write))
    content.feed_data(b"x" * MIB)
    await until(lambda: sink.at_work == 1)

    content.feed_eof()
    pouring.cancel()
    await asyncio.sleep(0)
    assert not pouring.done()
    assert budget.held_bytes == MIB
    sink.free.set()
    await asyncio.gather(pouring, return_exceptions=True)

    assert pouring.cancelled()
    assert budget.held_bytes == 0


async def test_streams_that_fill_the_budget_all_end() -> None:
    """Each holds nothing while it waits, so none waits for another for ever; the bound holds at every step."""
    budget = BufferBudget(2 * MIB)
    sinks = [Sink() for _ in range(30)]
    contents = [stream() for _ in sinks]
    highest = 0

    async def feed(content: StreamReader) -> None:
        nonlocal highest
        for _ in range(12):
            content.feed_data(b"x" * 250_000)
            highest = max(highest, budget.held_bytes)
            await asyncio.sleep(0)
        content.feed_eof()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for content, sink in zip(contents, sinks, strict=True):
            group.create_task(feed(content))
            body = RequestBody(request_with(content), budget, idle_seconds=20)
            group.create_task(body.pour(sink.write))

    assert {len(sink.received) for sink in sinks} == {3_000_000}
    assert 0 < highest <= 2 * MIB
    assert budget.held_bytes == 0


@settings(deadline=None, max_examples=60)
@given(
    bodies=st.lists(st.lists(st.integers(1, 900_000), max_size=5), min_size=1, max_size=6),
    limit=st.integers(100_000, 2_000_000),
    cancelled=st.sets(st.integers(0, 5)),
)
def test_any_streams_within_any_budget(bodies: list[list[int]], limit: int, cancelled: set[int]) -> None:
    """What is not cancelled arrives whole; what is cancelled leaves nothing held."""

    async def run() -> None:
        budget, largest = BufferBudget(limit), max(limit, *map(sum, bodies), 0)
        sinks, contents = [Sink() for _ in bodies], [stream() for _ in bodies]
        tasks = [
            asyncio.create_task(RequestBody(request_with(content), budget, idle_seconds=5).pour(sink.write))
            for content, sink in zip(contents, sinks, strict=True)
        ]
        for content, sizes in zip(contents, bodies, strict=True):
            for size in sizes:
                content.feed_data(b"x" * size)
                await asyncio.sleep(0)
                assert budget.held_bytes <= largest
        for number, task in enumerate(tasks):
            if number in cancelled:
                task.cancel()
            else:
                contents[number].feed_eof()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        for number, (task, sink) in enumerate(zip(tasks, sinks, strict=True)):
            if not task.cancelled():
                assert len(sink.received) == sum(bodies[number])
        assert budget.held_bytes == 0

    asyncio.run(run())


async def test_small_body_is_read_whole() -> None:
    """Up to the bound, which is inclusive."""
    content = stream()
    content.feed_data(b"hello")
    content.feed_eof()

    assert await read_body(request_with(content), limit_bytes=5, idle_seconds=5) == b"hello"


async def test_body_that_announces_too_much_is_not_read() -> None:
    """Nobody waits for it."""
    request = request_with(stream(), **{"Content-Length": "6"})

    with pytest.raises(BodyTooLong, match="longer than 5 bytes"):
        await read_body(request, limit_bytes=5, idle_seconds=5)


async def test_body_that_turns_out_too_long_is_refused() -> None:
    """A chunked one, as soon as it is."""
    content = stream()
    content.feed_data(b"hello!")

    with pytest.raises(BodyTooLong, match="longer than 5 bytes"):
        await read_body(request_with(content), limit_bytes=5, idle_seconds=5)


async def test_silent_small_body_is_given_up() -> None:
    """As a large one is."""
    with pytest.raises(BodyTooSlow):
        await read_body(request_with(stream()), limit_bytes=5, idle_seconds=0.01)


async def test_a_short_body_that_came_with_its_head_and_broke_is_told() -> None:
    content = stream()
    content.feed_data(b"hello")
    content.feed_eof()
    content.set_exception(web.RequestPayloadError("broken"))
    with pytest.raises(web.RequestPayloadError, match="broken"):
        await read_body(request_with(content), limit_bytes=5, idle_seconds=5)


# a record of TLS that does not open; what aiohttp says of a connection that was lost before anybody read
@pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLError("bad"), RuntimeError("Connection closed.")])
async def test_what_arrived_before_the_connection_broke_is_poured(error: Exception) -> None:
    """A client goes on from the offset that it is told, so nothing that came may be dropped."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    content.feed_data(b"arrived")
    content.set_exception(error)

    with pytest.raises(ConnectionResetError):
        await RequestBody(request_with(content), budget, idle_seconds=5).pour(sink.write)

    assert sink.received == b"arrived"
    assert budget.held_bytes == 0


async def test_silent_stream_lets_go_of_what_it_holds() -> None:
    """Within about a second, so that streams that stall keep nobody waiting."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    pouring = asyncio.create_task(RequestBody(request_with(content), budget, idle_seconds=30).pour(sink.write))
    content.feed_data(b"x" * 60_000)
    await until(lambda: budget.held_bytes == 60_000)

    async with asyncio.timeout(10):
        while budget.held_bytes:  # noqa: ASYNC110 (the body has no event for it)
            await asyncio.sleep(0.01)
    content.feed_data(b"y")
    content.feed_eof()
    await pouring

    assert sink.batches == [60_000, 1]


async def test_silent_stream_whose_store_failed_says_so() -> None:
    """The failure of a batch that was let go is not lost."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    sink.failure = OSError("broken")
    pouring = asyncio.create_task(RequestBody(request_with(content), budget, idle_seconds=30).pour(sink.write))
    content.feed_data(b"x")
    await until(lambda: budget.held_bytes == 1)
    async with asyncio.timeout(10):
        while budget.held_bytes:  # noqa: ASYNC110 (the body has no event for it)
            await asyncio.sleep(0.01)
    content.feed_data(b"y")
    content.feed_eof()

    with pytest.raises(OSError, match="broken"):
        await pouring
    assert budget.held_bytes == 0


@pytest.mark.parametrize(
    ("size", "announced", "held"), [(64 * 1024, True, 0), (100_000, True, 100_000), (100_000, False, MIB)]
)
async def test_small_body_is_held_until_its_request_ends(size: int, announced: bool, held: int) -> None:  # noqa: FBT001
    """One that is truly small is not counted; one of unknown length has room for the longest."""
    content, budget = stream(), BufferBudget(2 * MIB)
    content.feed_data(b"x" * size)
    content.feed_eof()
    request = request_with(content, **({"Content-Length": str(size)} if announced else {}))

    body = await read_body(request, limit_bytes=MIB, idle_seconds=5, budget=budget)

    assert len(body) == size
    assert budget.held_bytes == held
    release_body(request)
    assert budget.held_bytes == 0


async def test_small_bodies_wait_for_room() -> None:
    """Each while it holds nothing."""
    budget = BufferBudget(MIB)
    contents = [stream() for _ in range(5)]
    requests = [request_with(content) for content in contents]
    for content in contents:
        content.feed_data(b"x" * 100_000)

    reading = [
        asyncio.create_task(read_body(each, limit_bytes=MIB, idle_seconds=0.2, budget=budget)) for each in requests
    ]
    for request, task in zip(requests, reading, strict=True):
        with pytest.raises(BodyTooSlow):
            await task
        assert budget.held_bytes == MIB
        release_body(request)

    assert budget.held_bytes == 0


async def test_nothing_is_written_after_what_could_not_be_written() -> None:
    """It would lie where the bytes before it belong; a store that failed for a moment would take it."""
    content, sink, budget = stream(), Sink(), BufferBudget(64 * MIB)
    sink.free.clear()
    sink.failure = OSError("for a moment")
    pouring = asyncio.create_task(RequestBody(request_with(content), budget, idle_seconds=5).pour(sink.write))
    content.feed_data(b"a" * MIB)
    await until(lambda: sink.at_work == 1)
    content.feed_data(b"b" * MIB)
    content.feed_eof()
    await until(content.at_eof)
    sink.free.set()
    await until(lambda: sink.at_work == 0)
    sink.failure = None

    with pytest.raises(OSError, match="for a moment"):
        await pouring
    assert sink.received == b""
    assert budget.held_bytes == 0
