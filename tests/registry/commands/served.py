"""Servers for commands to ask: each in a thread of its own, for a command runs an event loop itself."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from registry.config import LogSettings, Settings
from registry.config_storage import StorageSettings
from registry.run import Run
from tests.http.client import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve a data directory until the block ends; the URL of the server."""

    @asynccontextmanager
    async def registry() -> "AsyncIterator[str]":
        settings = Settings(storage=StorageSettings(root=root, reserve=0), log=LogSettings(access=False, level="error"))
        async with serving(settings, Run(epoch=bytes(32), worker=0, started_at=0.0)) as found:
            yield f"http://{found.host}"

    with _in_a_thread(registry) as url:
        yield url


@contextmanager
def answering(status: int, body: str = "", headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything in one way: its URL, and the Authorization headers that it got."""
    got: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        got.append(request.headers.get("Authorization", ""))
        return web.Response(status=status, text=body, headers=headers)

    @asynccontextmanager
    async def server() -> "AsyncIterator[str]":
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()

    with _in_a_thread(server) as url:
        yield url, got


@contextmanager
def _in_a_thread(server: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving_now = server()
    try:
        yield asyncio.run_coroutine_threadsafe(serving_now.__aenter__(), loop).result(timeout=20)
        asyncio.run_coroutine_threadsafe(serving_now.__aexit__(None, None, None), loop).result(timeout=20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=20)
        loop.close()
