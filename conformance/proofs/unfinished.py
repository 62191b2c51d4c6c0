"""Uploads that are begun and never finished, each broken off in its own way."""

import dataclasses
import http.client
import os
import signal
import time
from typing import Self

from proofs.outcome import Failed
from proofs.server import Server

PAUSE_SECONDS = 1.6  # after a second of silence the server writes what it holds
WAIT_SECONDS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Unfinished:
    """One upload."""

    server: Server
    repository: str
    content: bytes

    def patch(self) -> None:
        """Send all of it in a PATCH that ends well."""
        registry = self.server.registry
        registry.request("PATCH", registry.begin(self.repository), body=self.content).expect(202)

    def break_off(self) -> None:
        """Send all of it, and close the connection in the middle of the body that was announced."""
        location = self.server.registry.begin(self.repository)
        self.send(location).close()
        deadline = time.monotonic() + WAIT_SECONDS
        while self.server.registry.request("GET", location).headers.get("range", "0-0") == "0-0":
            if time.monotonic() > deadline:
                raise Failed("nothing is kept of a PATCH that broke off")
            time.sleep(0.1)

    def kill_worker(self) -> None:
        """Send all of it, and kill the worker in the middle of the body that was announced."""
        connection = self.send(self.server.registry.begin(self.repository))
        try:
            time.sleep(PAUSE_SECONDS)
            worker = self.server.worker_behind(connection.sock)
            if worker is None:
                raise Failed("no worker has the connection")
            os.kill(worker, signal.SIGKILL)
        finally:
            connection.close()

    def send(self, location: str) -> http.client.HTTPConnection:
        """Announce more than there is, and send all there is."""
        registry = self.server.registry
        connection = http.client.HTTPConnection(registry.address, timeout=registry.timeout_seconds)
        connection.putrequest("PATCH", location)
        connection.putheader("Authorization", registry.authorization(location) or "")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(2 * len(self.content)))
        connection.endheaders()
        connection.send(self.content)
        return connection


class HeldOpen:
    """An upload whose body is on its way for as long as the context lasts."""

    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        location = self._unfinished.server.registry.begin(self._unfinished.repository)
        self._connection = self._unfinished.send(location)
        time.sleep(PAUSE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
