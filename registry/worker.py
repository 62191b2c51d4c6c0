"""A worker process: one event loop that serves until it is told to drain.

- SIGTERM and SIGINT mean drain, however often they come; SIGQUIT means end without waiting.
- A supervisor that is gone means drain as well: its end of the life pipe closes with it.
- Draining: no new connections, idle ones are closed, what runs may finish within its time, then all is cleaned up.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import web

from registry.config import Settings
from registry.http.connection import Connection, ConnectionLimits, close_when_draining, connection_factory
from registry.logs import Logger
from registry.run import Run
from registry.sockets import BACKLOG, raise_file_limit
from registry.tls import Certificate, client_certificates

Factory = Callable[[Settings, Run], Awaitable[web.Application]]

_FILES_PER_CONNECTION: Final = 3  # a pull holds the connection, a duplicate of it, and the blob
_POLL_SECONDS: Final = 0.02
_IN_FLIGHT_SECONDS: Final = 0.05  # for requests that were sent before their clients could know
_FORCED_SECONDS: Final = 0.5  # for handlers to see that they are cancelled


class News(Enum):
    """What a worker tells its supervisor."""

    READY = b"r"
    DRAINING = b"d"
    FAILED = b"f"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is given by the supervisor."""

    settings: Settings
    run: Run
    factory: Factory
    listener: socket.socket
    life: int
    """Read end of a pipe that only the supervisor holds open for writing."""
    tell: Callable[[News], None]
    log: Logger


class _Signals:
    """What this process has been told, as events."""

    def __init__(self, life: int) -> None:
        self.drain = asyncio.Event()
        self.end = asyncio.Event()
        self.reload = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain.set)
        loop.add_signal_handler(signal.SIGINT, self.drain.set)
        loop.add_signal_handler(signal.SIGQUIT, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        loop.add_reader(life, self._orphaned, life)

    def _end(self) -> None:
        self.drain.set()
        self.end.set()

    def _orphaned(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        self.drain.set()


async def work(given: Assignment) -> None:
    """Serve until told to drain, then drain. Raises what the factory raises when the application cannot start."""
    signals = _Signals(given.life)
    app = await given.factory(given.settings, given.run)
    app.on_response_prepare.append(close_when_draining)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FORCED_SECONDS)
    await runner.setup()
    try:
        async with _certificate(given, signals) as certificate:
            server = await _listen(given, runner, certificate)
            given.tell(News.READY)
            await signals.drain.wait()
            given.tell(News.DRAINING)
            server.close()
            await _drain(runner, signals, given.settings.server.drain_seconds)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _certificate(given: Assignment, signals: _Signals) -> AsyncIterator[Certificate | None]:
    """Keep the certificate, when there is one, in step with its files and with SIGHUP."""
    server = given.settings.server
    if server.tls_certificate is None or server.tls_key is None:
        yield None
        return
    certificate = Certificate(server.tls_certificate, server.tls_key, given.log, client_certificates(server))
    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(certificate.follow()), group.create_task(_on_reload(certificate, signals))]
        yield certificate
        for follower in followers:
            follower.cancel()


async def _on_reload(certificate: Certificate, signals: _Signals) -> None:
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        certificate.reload()


async def _listen(given: Assignment, runner: web.AppRunner, certificate: Certificate | None) -> asyncio.Server:
    if runner.server is None:
        msg = "the runner has been set up before it listens"
        raise AssertionError(msg)
    bounds = given.settings.limits
    limits = ConnectionLimits(
        header_bytes=bounds.header_bytes,
        header_seconds=bounds.header_seconds,
        idle_seconds=bounds.body_idle,
        connections=raise_file_limit() // _FILES_PER_CONNECTION,
    )
    return await asyncio.get_running_loop().create_server(
        connection_factory(runner.server, limits, given.log),
        sock=given.listener,
        backlog=BACKLOG,
        ssl=certificate.context if certificate else None,
        ssl_handshake_timeout=bounds.header_seconds if certificate else None,
    )


async def _drain(runner: web.AppRunner, signals: _Signals, seconds: float) -> None:
    """Wait until every connection has ended, the time is over, or the order comes to end at once."""
    server = runner.server
    if server is None:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            _each(server, Connection.drain)
            await asyncio.sleep(_IN_FLIGHT_SECONDS)
            while server.connections and not signals.end.is_set():
                _each(server, Connection.close_if_idle)
                await asyncio.sleep(_POLL_SECONDS)


def _each(server: web.Server, act: Callable[[Connection], None]) -> None:
    for connection in server.connections:
        if isinstance(connection, Connection):
            act(connection)
