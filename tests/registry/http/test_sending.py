"""What a connection does while it sends an answer that belongs to no request."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from registry.http.connection import Connection, ConnectionLimits, connection_factory
from registry.http.sending import NotBegun, SendTo
from registry.logs import logger
from tests.registry.http.body_server import GET as SHORT
from tests.registry.http.body_server import until

LIMITS = ConnectionLimits(header_bytes=4096, header_seconds=5, idle_seconds=5, connections=100)
LONG = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong"


@dataclass
class Answers:
    """Long answers, each of which waits until it `may_end`, and then fails if there is a failure."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    is_cut_off: bool = False
    ended: list[str] = field(default_factory=list)

    def find(self, data: bytes) -> SendTo | None:
        return self._send if data == LONG else None

    async def _send(self, transport: asyncio.Transport) -> None:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)  # whom it concerns is told
            self.ended.append("cancelled")
            raise
        self.ended.append("ended")
        if self.is_cut_off:
            transport.abort()
        if self.failure is not None:
            raise self.failure
        if not self.is_cut_off:
            transport.write(ANSWER)


@dataclass
class Sending:
    """A server, and a connection to it with an answer under way."""

    server: web.Server
    answers: Answers
    connection: Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def body(self) -> bytes:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            return await self.reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        async with asyncio.timeout(5):
            return await self.reader.read()


@pytest.fixture
async def sending() -> AsyncIterator[Sending]:
    """One whose first request was an ordinary one."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.path[1:])

    app, answers = web.Application(), Answers()
    app.add_routes([web.get("/{name}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    make = connection_factory(runner.server, LIMITS, logger())
    listening = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(SHORT)
    await reader.readuntil(b"ok")
    (connection,) = runner.server.connections
    assert isinstance(connection, Connection)
    await until(connection._is_at_rest)
    connection.shortcut = answers.find
    writer.write(LONG)
    async with asyncio.timeout(5):
        await answers.begun.wait()
    yield Sending(runner.server, answers, connection, reader, writer)
    writer.close()
    answers.may_end.set()
    listening.close()
    await runner.cleanup()


async def test_connection_that_sends_is_not_idle(sending: Sending) -> None:
    """Neither a server that drains nor one with too many connections closes it; it goes on after the answer."""
    sending.connection.close_if_idle()
    assert not sending.connection.give_way()

    sending.answers.may_end.set()
    assert await sending.body() == b"long"
    sending.writer.write(SHORT)

    assert await sending.body() == b"ok"
    await until(sending.connection._is_at_rest)
    assert sending.connection.give_way()


async def test_requests_sent_ahead_wait_for_the_answer(sending: Sending) -> None:
    """Whole ones and pieces of one, in their order, whatever they ask for."""
    for piece in (SHORT[:5], SHORT[5:], SHORT):
        sending.writer.write(piece)
        await sending.writer.drain()
        await asyncio.sleep(0.01)
    sending.answers.may_end.set()

    assert [await sending.body() for _ in range(3)] == [b"long", b"ok", b"ok"]


async def test_long_answer_asked_for_ahead_is_begun_after_the_first(sending: Sending) -> None:
    sending.writer.write(LONG)
    await until(lambda: bool(sending.connection._ahead))
    sending.answers.may_end.set()

    assert [await sending.body() for _ in range(2)] == [b"long", b"long"]
    assert sending.answers.ended == ["ended", "ended"]


async def test_requests_sent_ahead_are_left_in_the_socket_from_some_point_on(sending: Sending) -> None:
    """So they take no memory; all are answered."""
    count, request = 600, SHORT[:-2] + b"X: " + b"x" * 2000 + b"\r\n\r\n"
    transport = sending.connection.transport
    assert transport is not None

    sending.writer.write(request * count)
    await until(lambda: not transport.is_reading())

    assert 64 * 1024 < len(sending.connection._ahead) < 512 * 1024
    sending.answers.may_end.set()
    assert [await sending.body() for _ in range(count + 1)] == [b"long"] + [b"ok"] * count


async def test_reading_goes_on_after_what_was_left_in_the_socket(sending: Sending) -> None:
    """A request that comes later is read as ever."""
    count, request = 12, SHORT[:-2] + (b"X: " + b"x" * 4000 + b"\r\n") * 2 + b"\r\n"
    transport = sending.connection.transport
    assert transport is not None
    sending.writer.write(request * count)
    await until(lambda: not transport.is_reading())
    sending.answers.may_end.set()
    assert [await sending.body() for _ in range(count + 1)] == [b"long"] + [b"ok"] * count

    sending.writer.write(SHORT)

    assert await sending.body() == b"ok"


async def test_a_few_requests_sent_ahead_are_read_at_once(sending: Sending) -> None:
    """The end of a connection is seen only where it is read from."""
    sending.writer.write(SHORT)
    await until(lambda: sending.connection._ahead == SHORT)

    assert sending.connection.transport is not None
    assert sending.connection.transport.is_reading()


async def test_answer_that_is_not_begun_is_given_as_to_any_request(sending: Sending) -> None:
    """Before those that were sent ahead, and the connection goes on."""
    sending.writer.write(SHORT)
    await until(lambda: bool(sending.connection._ahead))
    sending.answers.failure = NotBegun()
    sending.answers.may_end.set()

    assert [await sending.body() for _ in range(2)] == [b"long", b"ok"]
    sending.answers.failure = None
    sending.writer.write(LONG)
    assert await sending.body() == b"long"
    assert sending.answers.ended == ["ended", "ended"]


async def test_answer_that_is_not_begun_by_a_draining_server_is_the_last(sending: Sending) -> None:
    """As that to any other request."""
    sending.connection.drain()
    sending.answers.failure = NotBegun()
    sending.answers.may_end.set()

    assert (await sending.rest()).endswith(b"long")


async def test_answer_that_is_broken_off_ends_the_connection(sending: Sending) -> None:
    """Nothing is answered after it, and nothing told: whoever broke it off has."""
    told = unexpected_errors()
    sending.writer.write(SHORT)
    await until(lambda: bool(sending.connection._ahead))
    sending.answers.failure = ConnectionAbortedError()
    sending.answers.may_end.set()

    assert await sending.rest() == b""
    await until(lambda: not sending.server.connections)
    gc.collect()
    assert told == []


@pytest.mark.parametrize("failure", [None, NotBegun()])
async def test_nothing_is_handled_after_the_end_of_a_connection(sending: Sending, failure: Exception | None) -> None:
    """Also where the client goes away at the very moment that the answer is over, or is not begun."""
    told = unexpected_errors()
    sending.writer.write(SHORT)
    await until(lambda: bool(sending.connection._ahead))
    sending.answers.is_cut_off, sending.answers.failure = True, failure
    sending.answers.may_end.set()

    await until(lambda: not sending.server.connections)
    gc.collect()
    assert told == []
    assert sending.server.requests_count == 1


async def test_answer_that_fails_ends_the_connection(sending: Sending) -> None:
    """And is told of, as nobody expects it."""
    told = unexpected_errors()
    sending.answers.failure = LookupError("broken")
    sending.answers.may_end.set()

    assert await sending.rest() == b""
    await until(lambda: told == [sending.answers.failure])


def unexpected_errors() -> list[object]:
    """What the event loop hears of that nobody else has."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    return told


@pytest.mark.parametrize("end", [Connection.drain, Connection.close])
async def test_connection_that_is_to_end_ends_with_the_answer(
    sending: Sending, end: Callable[[Connection], None]
) -> None:
    """The answer comes whole."""
    sending.writer.write(SHORT)
    await until(lambda: bool(sending.connection._ahead))
    end(sending.connection)
    sending.answers.may_end.set()

    assert await sending.rest() == ANSWER


async def test_shutdown_waits_for_the_answer(sending: Sending) -> None:
    stopping = asyncio.ensure_future(sending.server.shutdown(5))
    await asyncio.sleep(0.01)
    assert not stopping.done()

    sending.answers.may_end.set()

    assert await sending.rest() == ANSWER
    await stopping


async def test_shutdown_breaks_off_what_does_not_end_in_time(sending: Sending) -> None:
    """Whoever hears of answers has heard of this one when the server has stopped."""
    await sending.server.shutdown(0.01)

    assert sending.answers.ended == ["cancelled"]
    assert await sending.rest() == b""


async def test_answer_that_is_not_begun_when_the_server_stops_is_not_given(sending: Sending) -> None:
    """The connection is closed like any other."""
    sending.connection.close()
    stopping = asyncio.ensure_future(sending.server.shutdown(5))
    await asyncio.sleep(0.01)
    sending.answers.failure = NotBegun()
    sending.answers.may_end.set()

    assert await sending.rest() == b""
    await stopping


async def test_connection_is_not_closed_as_idle_while_it_sends(sending: Sending) -> None:
    """The time without requests begins with the end of the answer, and then it is closed."""
    connection, now = sending.connection, asyncio.get_running_loop().time
    connection._next_keepalive_close_time = now()
    connection._process_keepalive()
    sending.answers.may_end.set()
    assert await sending.body() == b"long"
    await until(connection._is_at_rest)

    assert 70 < connection._next_keepalive_close_time - now() <= 75
    connection._next_keepalive_close_time = now()
    connection._process_keepalive()
    assert await sending.rest() == b""


async def test_time_of_an_idle_connection_begins_after_its_answer(sending: Sending) -> None:
    connection, now = sending.connection, asyncio.get_running_loop().time
    connection._next_keepalive_close_time = now()
    sending.answers.may_end.set()
    await sending.body()
    await until(connection._is_at_rest)

    connection._process_keepalive()

    sending.writer.write(SHORT)
    assert await sending.body() == b"ok"


async def test_server_knows_of_what_is_sent_to_a_client_that_is_gone(sending: Sending) -> None:
    """It may have closed its side alone: whoever stops the server waits for the answer."""
    sending.writer.write_eof()
    await until(lambda: sending.connection.transport is None)
    await asyncio.sleep(0.01)
    assert sending.server.connections == [sending.connection]

    sending.answers.failure = ConnectionResetError()
    sending.answers.may_end.set()

    await until(lambda: not sending.server.connections)
