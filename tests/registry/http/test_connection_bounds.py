"""What one client can make a connection hold, and for how long."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import structlog
from aiohttp import Payload, web

from registry.http.connection import ConnectionLimits, connection_factory
from registry.http.transfers import Bodies

LIMITS = ConnectionLimits(header_bytes=4096, header_seconds=5, idle_seconds=0.4, connections=4)
OK = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = bytes(4_000_000)
LINE = b"X: " + b"x" * 1000 + b"\r\n"


@pytest.fixture
async def server() -> AsyncIterator[tuple[web.Server, int]]:
    """Serve a small and a large answer, and take bodies."""
    bodies = Bodies()

    async def receive(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def small(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def large(_: web.Request) -> web.Response:
        response = web.Response(body=LARGE)
        bodies.in_pieces(response)
        return response

    app = web.Application()
    app.add_routes([web.put("/receive", receive), web.get("/ok", small), web.get("/large", large)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    log = structlog.wrap_logger(None, processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(10))
    factory = connection_factory(runner.server, LIMITS, log)
    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    yield runner.server, listening.sockets[0].getsockname()[1]
    listening.close()
    await runner.cleanup()


def _drop(*_: object) -> str:
    raise structlog.DropEvent


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send pieces, one after the other, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def deaf(port: int, sent: bytes) -> socket.socket:
    """A client that sends and never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, sent)
    return client


async def until_none(server: web.Server) -> None:
    async with asyncio.timeout(5):
        while server.connections:  # noqa: ASYNC110 (aiohttp has no event for it)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /ok HTTP/1.1\r\nHost: x\r\n" + LINE * 20],
        [b"GET /ok HTTP/1.1\r\nHost: x\r\n", *[LINE] * 9],
        [OK + b"GET /ok HTTP/1.1\r\nHost: x\r\n", *[LINE] * 20],
        [b"PUT /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" + OK[:-2], *[LINE] * 20],
    ],
)
async def test_head_that_grows_too_long_is_refused(server: tuple[web.Server, int], pieces: list[bytes]) -> None:
    """However it is cut up, and wherever it comes on the connection: lines that are short enough add up as well."""
    answer = await exchange(server[1], *pieces)

    status, _, rest = answer.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n")
    assert status == b"431 Request Header Fields Too Large"
    assert b"Server: Lading\r\n" in rest
    assert rest.endswith(
        b'{"errors":[{"code":"UNSUPPORTED","message":"the head of the request is too long","detail":null}]}'
    )


@pytest.mark.parametrize("cut", [1, 100, 7000])
async def test_head_of_two_long_lines_is_read(server: tuple[web.Server, int], cut: int) -> None:
    """A long path and a long token fit together, and so does the next request."""
    head = b"GET /ok?" + b"q" * 4000 + b" HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 4000 + b"\r\n"
    last = b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    answer = await exchange(server[1], head[:cut], head[cut:] + b"\r\n" + last)

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_many_requests_at_once_are_no_long_head(server: tuple[web.Server, int]) -> None:
    """A client that sends ahead is served to the end, whatever the sum."""
    last = b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    answer = await exchange(server[1], (b"GET /ok HTTP/1.1\r\nHost: x\r\n" + LINE + b"\r\n") * 60 + last)

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 61


async def test_body_is_not_counted_as_a_head(server: tuple[web.Server, int]) -> None:
    """With its head or after it, in chunks of one byte or whole."""
    head = b"PUT /receive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunked = [
        head + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 20_000,
        b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n",
    ]

    assert (await exchange(server[1], head + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)).endswith(b"100000")
    assert (await exchange(server[1], *chunked)).endswith(b"40000")


async def test_trailer_that_grows_too_long_ends_the_connection(server: tuple[web.Server, int]) -> None:
    """What comes after a body is held like a head."""
    head = b"PUT /receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"

    answer = await exchange(server[1], head, *[LINE] * 9)

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("requests", [b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", OK * 100_000])
async def test_answers_that_nobody_reads_end(server: tuple[web.Server, int], requests: bytes) -> None:
    """One large one, or so many small ones that the client's own buffers are full."""
    client = await deaf(server[1], requests[:200_000])
    async with asyncio.timeout(5):
        while not server[0].connections:  # noqa: ASYNC110 (aiohttp has no event for it)
            await asyncio.sleep(0.01)

    sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(client, requests[200_000:]))
    await until_none(server[0])
    await asyncio.gather(sending, return_exceptions=True)
    client.close()


async def test_closed_connection_that_is_not_emptied_ends(server: tuple[web.Server, int]) -> None:
    """aiohttp waits for what is unsent when it closes."""
    client = await deaf(server[1], b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    await asyncio.sleep(0.1)
    for connection in server[0].connections:
        connection.force_close()
    await until_none(server[0])
    client.close()


async def test_slow_reader_is_served_to_the_end(server: tuple[web.Server, int]) -> None:
    """Time counts only while nothing moves: it is read for three times as long as a silent connection would be held."""
    client = await deaf(server[1], b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    loop = asyncio.get_running_loop()
    received = 0
    for _ in range(120):
        received += len(await loop.sock_recv(client, 4096))
        await asyncio.sleep(0.01)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
    async with asyncio.timeout(20):
        while piece := await loop.sock_recv(client, 200_000):
            received += len(piece)
    client.close()

    assert received > len(LARGE)


async def test_large_answers_wait_outside_the_transport(server: tuple[web.Server, int]) -> None:
    """Each connection holds a few pieces; the body itself is there once."""
    clients = [await deaf(server[1], b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(4)]
    await asyncio.sleep(0.1)

    transports = [connection.transport for connection in server[0].connections]
    assert len(transports) == 4
    assert all(transport.get_write_buffer_size() < 300_000 for transport in transports if transport)
    for client in clients:
        client.close()
    await until_none(server[0])


async def test_equal_bodies_are_held_once() -> None:
    """And only while they are sent."""
    bodies = Bodies()
    answers = [web.Response(body=bytes(bytearray(100_000))) for _ in range(3)]
    for answer in answers:
        bodies.in_pieces(answer)

    assert len({id(answer.body._value) for answer in answers if isinstance(answer.body, Payload)}) == 1
    assert [answer.content_length for answer in answers] == [100_000] * 3
    del answers, answer
    assert not bodies._sending


async def test_connection_that_waits_makes_room(server: tuple[web.Server, int]) -> None:
    """The first to go is the one that has waited longest; what is being answered goes on."""
    busy = await deaf(server[1], b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    waiting = [await asyncio.open_connection("127.0.0.1", server[1]) for _ in range(3)]
    for _, writer in waiting[1:]:
        writer.write(OK[:10])

    reader, writer = await asyncio.open_connection("127.0.0.1", server[1])
    writer.write(OK)

    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await waiting[0][0].read() == b""
    assert len(server[0].connections) == 4
    for stream in [*waiting, (reader, writer)]:
        stream[1].close()
    busy.close()


async def test_connection_without_room_is_refused(server: tuple[web.Server, int]) -> None:
    """While all others are busy."""
    busy = [await deaf(server[1], b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(4)]
    await asyncio.sleep(0.05)

    with suppress(ConnectionError):
        assert await exchange(server[1], OK) == b""
    assert len(server[0].connections) == 4

    for client in busy:
        client.close()
