"""A server with a tiny application, in real processes: run as a program it serves, imported it starts that program."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

from aiohttp import web

from registry.admin import health, metrics
from registry.config import Settings
from registry.http.metrics import HTTP_METRICS, RequestMetrics
from registry.run import Run
from registry.server import serve
from storage.errors import KeyFileInvalid, SchemaOutdated

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 10


def eventually(is_true: Callable[[], object]) -> None:
    """Wait until it is true, at most ten seconds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    streams: ExitStack

    def get(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        """Open a connection, which is closed at the end of the test."""
        stream = socket.create_connection((host, self.port), timeout=DEADLINE_SECONDS)
        self.streams.callback(stream.close)
        return stream

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def wait(self) -> int:
        return self.process.wait(timeout=DEADLINE_SECONDS)


@contextmanager
def starting(root: Path, settings: Mapping[str, Mapping[str, object]], mode: str = "") -> Iterator[Server]:
    """Start the program; it need not come up."""
    server = {"listen": "127.0.0.1:0", "workers": 2, **settings.get("server", {})}
    merged = {**settings, "server": server, "storage": {"root": str(root / "data")}, "log": {"format": "json"}}
    log = root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(merged), mode],
            stderr=output,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
    try:
        with ExitStack() as streams:
            yield Server(process, 0, log, streams)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(root: Path, **settings: Mapping[str, object]) -> Iterator[Server]:
    """Start the program and wait until it serves."""
    with starting(root, settings) as server:
        eventually(lambda: b'"event":"serving"' in server.log.read_bytes() or server.process.poll() is not None)
        line = next(line for line in server.log.read_text().splitlines() if '"serving"' in line)
        yield replace(server, port=int(json.loads(line)["address"].rpartition(":")[2]))


async def _slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(int(request.query["tenths"])):
        await response.write(b"x")
        await asyncio.sleep(0.1)
    return response


async def _receive(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def _worker(_: web.Request) -> web.Response:
    return web.json_response({"pid": os.getpid(), "modules": sorted(sys.modules)})


async def create_app(settings: Settings, run: Run) -> web.Application:
    """Build the tiny application."""
    del settings
    app = web.Application()
    app[metrics.EXPOSITION] = metrics.Exposition(run.counts, HTTP_METRICS)
    observed = RequestMetrics(run.counts.writer(run.worker))

    async def count(_: web.Request) -> web.Response:
        observed.observe(method="GET", action="count", status=200, seconds=0.1, received_bytes=0, sent_bytes=0)
        return web.Response(text=run.epoch.hex())

    app.add_routes([web.get("/healthz", health.health), web.get("/metrics", metrics.metrics), web.get("/slow", _slow)])
    app.add_routes([web.put("/receive", _receive), web.get("/worker", _worker), web.get("/count", count)])
    return app


async def _fail(settings: Settings, run: Run) -> web.Application:
    raise KeyFileInvalid(f"worker {run.worker} of {settings.storage.backend}: the key file is not the one")


@dataclass(frozen=True)
class _Prepared:
    notice: str | None


def main() -> int:
    """Serve the tiny application, or fail as the second argument says."""
    settings, mode = Settings(**json.loads(sys.argv[1])), sys.argv[2]

    async def prepare(_: Settings) -> _Prepared:
        if mode == "outdated":
            raise SchemaOutdated("the database was made by another version: run lading migrate")
        return _Prepared("log in with docker login" if mode == "notice" else None)

    return serve(settings, factory=_fail if mode == "unable" else create_app, prepare=prepare)


if __name__ == "__main__":
    sys.exit(main())
