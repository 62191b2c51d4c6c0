"""A server that pours bodies into a store which is watched, and clients that write what they are told."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from registry.http.bodies import RequestBody
from registry.http.connection import ConnectionLimits, connection_factory
from registry.http.refusals import BodyTooSlow
from registry.logs import logger
from storage.blobs.blocking import run_to_end
from storage.blobs.interface import Take
from storage.budget import BufferBudget

LIMITS: Final = ConnectionLimits(header_bytes=4096, header_seconds=2, idle_seconds=5, connections=100)
CONTENT: Final = random.Random(3).randbytes(5_000_000)
GET: Final = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
IDLE_SECONDS: Final = 0.4
_STATUSES: Final = {OSError: 507, BodyTooSlow: 408, web.RequestPayloadError: 400}


@dataclass
class Sink:
    """A store that writes on threads, or (not threaded) on the loop; it fails where it holds so many bytes."""

    threads: ThreadPoolExecutor
    is_threaded: bool = True
    full_at: int | None = None
    received: bytearray = field(default_factory=bytearray)
    jobs: int = 0
    busy: int = 0
    met: list[BaseException] = field(default_factory=list)
    bytes_counted: int = 0

    async def write(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self.received += chunk

    async def write_from(self, take: Take, most: int) -> None:
        assert most > 0
        self.jobs += 1
        await run_to_end(self.threads, self._take_all, take)

    def _take_all(self, take: Take) -> None:
        self.busy += 1
        try:
            while taken := take(100_000):
                assert len(taken) <= 100_000
                if self.full_at is not None and len(self.received) + len(taken) > self.full_at:
                    raise OSError("full")
                self.received += taken
        finally:
            self.busy -= 1


@dataclass
class Served:
    """A server whose one handler pours bodies into the sink."""

    port: int
    sink: Sink
    may_pour: asyncio.Event
    waiting: list[web.Request]
    streams: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.streams.append(writer)
        return reader, writer


async def _poured(request: web.Request, sink: Sink) -> web.Response:
    body = RequestBody(request, BufferBudget(1 << 26), idle_seconds=IDLE_SECONDS)
    try:
        await body.pour(sink.write, sink.write_from if sink.is_threaded else None)
    except (OSError, BodyTooSlow, web.RequestPayloadError) as error:
        sink.met.append(error)
        if isinstance(error, ConnectionError):
            raise
        status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
        return web.Response(status=status, text=str(error))
    finally:
        sink.bytes_counted = request.content.total_bytes
    return web.Response(text="taken")


@asynccontextmanager
async def serving_bodies() -> AsyncIterator[Served]:
    """A server for as long as the block runs."""
    threads = ThreadPoolExecutor(2)
    sink, may_pour = Sink(threads), asyncio.Event()
    waiting: list[web.Request] = []
    may_pour.set()

    async def receive(request: web.Request) -> web.Response:
        waiting.append(request)
        await may_pour.wait()
        return await _poured(request, sink)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def leave_it(_: web.Request) -> None:
        """Whoever reads the body asks for it."""

    app = web.Application()
    app.add_routes(
        [
            web.put("/body", receive, expect_handler=leave_it),
            web.patch("/v2/body", receive, expect_handler=leave_it),
            web.get("/ok", answer),
            web.route("*", "/{more:.*}unread", answer),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    factory = connection_factory(runner.server, LIMITS, logger())
    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    served = Served(listening.sockets[0].getsockname()[1], sink, may_pour, waiting)
    yield served
    for stream in served.streams:
        stream.close()
        with suppress(ConnectionError):
            await stream.wait_closed()
    listening.close()
    await runner.cleanup()
    threads.shutdown()


def head(length: int, *more: str, path: str = "/body") -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), await reader.readexactly(int(headers.get("content-length", 0)))


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 (threads make it true)
            await asyncio.sleep(0.005)
