"""The bounds and manners of one connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from aiohttp import web

from registry.http.connection import Connection, ConnectionLimits, close_when_draining, connection_factory

LIMITS = ConnectionLimits(header_bytes=4096, header_seconds=0.2, idle_seconds=0.4, connections=4)
OK = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Served:
    """A listening server, what its handlers met, and what was logged."""

    port: int
    server: web.Server
    met: list[BaseException] = field(default_factory=list)
    lines: list[dict[str, object]] = field(default_factory=list)
    streams: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.streams.append(writer)
        return reader, writer

    async def exchange(self, sent: bytes) -> bytes:
        """Send, and read until the server closes."""
        reader, writer = await self.connect()
        writer.write(sent)
        async with asyncio.timeout(5):
            return await reader.read()

    async def close(self) -> None:
        """Close what was opened."""
        for stream in self.streams:
            stream.close()
            with suppress(ConnectionError):
                await stream.wait_closed()


Serve = Callable[[], AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve() -> Serve:
    """Serve a few handlers on a free port."""
    return _serve


@asynccontextmanager
async def _serve() -> AsyncIterator[Served]:
    lines: list[dict[str, object]] = []
    met: list[BaseException] = []

    def keep(_: object, level: str, event: MutableMapping[str, Any]) -> str:
        lines.append({"level": level, **event})
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(10))
    runner = web.AppRunner(_application(met), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(connection_factory(runner.server, LIMITS, log), "127.0.0.1", 0)
    served = Served(listening.sockets[0].getsockname()[1], runner.server, met, lines)
    yield served
    await served.close()
    listening.close()
    await runner.cleanup()


def _putting_away(met: list[BaseException]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def put_away(_: web.Request) -> web.Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            await asyncio.sleep(0.05)
            met.append(error)
            raise
        return web.Response()

    return put_away


def _application(met: list[BaseException]) -> web.Application:
    async def receive(request: web.Request) -> web.Response:
        try:
            await request.read()
        except Exception as error:
            met.append(error)
            raise
        return web.Response()

    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            await asyncio.sleep(0)

    async def break_down(_: web.Request) -> web.Response:
        raise LookupError("broken")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.on_response_prepare.append(close_when_draining)
    app.add_routes([web.put("/receive", receive), web.get("/pour", pour), web.get("/ok", answer)])
    app.add_routes([web.get("/broken", break_down), web.get("/put-away", _putting_away(met))])
    return app


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"NONSENSE\r\n\r\n", b"400", b"the request is not valid HTTP"),
        (
            b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"405",
            b"the methods of this server are DELETE, GET, HEAD, PATCH, POST, PUT",
        ),
        (b"GET /ok HTTP/1.1\r\n\r\n", b"400", b"the request is not valid HTTP"),
        (b"GET /ok HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", b"400", b"the request is not valid HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400", b"the request is not valid HTTP"),
        (
            b"PUT /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
            b"the request is not valid HTTP",
        ),
        (
            b"PUT /receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
            b"400",
            b"the request is not valid HTTP",
        ),
        (
            b"PUT /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
            b"400",
            b"the request is not valid HTTP",
        ),
        (
            b"GET /ok HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5000 + b"\r\n\r\n",
            b"431",
            b"a request header is longer than 4096 bytes",
        ),
        (
            b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"414",
            b"the request line is longer than 4096 bytes",
        ),
    ],
)
async def test_bad_request_gets_the_error_document(serve: Serve, sent: bytes, status: bytes, message: bytes) -> None:
    """Clients can read every refusal, and none of them is a traceback in the log."""
    async with serve() as served:
        answer = await served.exchange(sent)

    assert answer.startswith((b"HTTP/1.1 " + status, b"HTTP/1.0 " + status))
    assert b"Server: Lading\r\n" in answer
    assert (b"Allow: DELETE, GET, HEAD, PATCH, POST, PUT\r\n" in answer) == (status == b"405")
    assert b"Docker-Distribution-API-Version: registry/2.0\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"errors":[{"code":"UNSUPPORTED","message":"' + message + b'","detail":null}]}')
    assert [line["level"] for line in served.lines] == ["debug"]


@pytest.mark.parametrize("before", [b"", OK])
async def test_head_that_does_not_arrive_is_given_up(serve: Serve, before: bytes) -> None:
    """A client that sends a head byte by byte holds a connection only so long, the second head like the first."""
    async with serve() as served:
        reader, writer = await served.connect()
        writer.write(before)
        if before:
            await reader.readuntil(b"\r\n\r\nok")
        received = asyncio.ensure_future(reader.read())
        for byte in b"GET /ok HTTP/1.1\r\nX-Slow: " + b"x" * 400:
            if received.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        answer = await received

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Server: Lading\r\n" in answer
    assert b'"code":"UNSUPPORTED"' in answer


async def test_silent_connection_is_closed_without_a_word(serve: Serve) -> None:
    """An answer to nothing would be taken for the answer to a later request."""
    async with serve() as served:
        assert await served.exchange(b"") == b""


async def test_head_time_does_not_count_between_requests(serve: Serve) -> None:
    """A connection that is kept alive may stand idle for longer than a head may take."""
    async with serve() as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(OK)
            await reader.readuntil(b"\r\n\r\nok")
            await asyncio.sleep(LIMITS.header_seconds * 1.5)
        writer.write(OK)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\nok")


async def test_broken_body_is_an_error_to_its_reader(serve: Serve) -> None:
    """A handler never waits for a body that the parser has given up."""
    async with serve() as served:
        reader, writer = await served.connect()
        writer.write(b"PUT /receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"5\r\nhello\r\nZZZ\r\n")
        async with asyncio.timeout(5):
            answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert len(served.met) == 1


async def test_client_that_leaves_is_not_an_error(serve: Serve) -> None:
    """Neither in the middle of an answer nor in the middle of a body is there anything to look into."""
    async with serve() as served:
        for request in (
            b"GET /pour HTTP/1.1\r\nHost: x\r\n\r\n",
            b"PUT /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        ):
            _, writer = await served.connect()
            writer.write(request)
            await asyncio.sleep(0.05)
            writer.transport.abort()
        async with asyncio.timeout(5):
            while served.server.connections:  # noqa: ASYNC110 (aiohttp has no event for it)
                await asyncio.sleep(0.01)

    assert [line for line in served.lines if line["level"] != "debug"] == []


async def test_unanswered_failure_is_logged_and_answered(serve: Serve) -> None:
    """What escapes every handler is a 500 without a traceback in it."""
    async with serve() as served:
        answer = await served.exchange(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"broken" not in answer
    assert [line["level"] for line in served.lines] == ["error"]


async def test_draining_connection_ends_with_its_next_answer(serve: Serve) -> None:
    """The answer says so in its head."""
    async with serve() as served:
        reader, writer = await served.connect()
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\nok")
        for connection in served.server.connections:
            assert isinstance(connection, Connection)
            connection.drain()
        writer.write(OK)
        answer = await reader.read()

    assert b"Connection: close\r\n" in answer


async def test_handler_that_is_cancelled_when_the_server_stops_may_put_away_what_it_has(serve: Serve) -> None:
    """What it needs for that is closed after the connections."""
    async with serve() as served:
        _, writer = await served.connect()
        writer.write(b"GET /put-away HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.05)

        await served.server.shutdown(0.01)

        assert [type(error) for error in served.met] == [asyncio.CancelledError]
