"""The pulling client: a thread a connection, prepared requests, and bytes that the kernel drops where it can.

What is pulled was checked once before, with its digest; here it is only counted, so that both cores are the registry's.
Over TLS every byte has to be copied out of the socket.
"""

import hashlib
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.connection import FAILURES, REPOSITORY, Connection, Refused
from bench.load import MIB
from bench.requests import request
from bench.served import Peer

_PIECE_BYTES = 1 << 18
# of memory that is never written to where the kernel drops what comes
_DROPPED_BYTES = 1 << 23
_HEAD_BYTES = 1 << 16
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one load came to; `seconds` from the first request to the last byte."""

    seconds: float
    pulled_bytes: int
    errors: tuple[str, ...]


class Puller:
    """Pulls blobs over one connection into one buffer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._socket = connection.socket
        self._can_drop = sys.platform == "linux" and not connection.is_encrypted
        self._buffer = memoryview(bytearray(_DROPPED_BYTES if self._can_drop else _PIECE_BYTES))

    def pull(self, digest: str, sink: Callable[[memoryview], None] | None = None, *, span: str = "") -> int:
        """Pull a blob, or a span of it as a Range header says; the number of bytes. Raises Refused."""
        path = f"/v2/{self._connection.repository}/blobs/{digest}"
        self._socket.sendall(request("GET", path, {**self._connection.headers, **({"Range": span} if span else {})}))
        announced, begun = self._head(206 if span else 200)
        if sink is not None:
            sink(begun)
        flags = socket.MSG_TRUNC if sink is None and self._can_drop else 0
        left = announced - len(begun)
        while left > 0:
            most = min(left, len(self._buffer) if flags else _PIECE_BYTES)
            taken = self._socket.recv_into(self._buffer, most, flags)
            if not taken:
                raise Refused(f"{announced - left} bytes came of {announced}")
            if sink is not None:
                sink(self._buffer[:taken])
            left -= taken
        return announced

    def _head(self, expected: int) -> tuple[int, memoryview]:
        """The length that the head of an answer announces, and what came of the body with it."""
        came, end = 0, -1
        while end < 0:
            taken = self._socket.recv_into(self._buffer[came:_HEAD_BYTES])
            if not taken:
                raise Refused("the connection ended before the head of an answer did")
            came += taken
            end = bytes(self._buffer[:came]).find(_HEAD_END)
        status, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        if int(status.split(" ", 2)[1]) != expected:
            raise Refused(f"{expected} was expected: {status}")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if "content-length" not in headers:
            raise Refused(f"an answer does not tell its length: {lines}")
        return int(headers["content-length"]), self._buffer[end + len(_HEAD_END) : came]


def check(peer: Peer, digest: str, repository: str = REPOSITORY) -> None:
    """Raise Refused unless a pull gives the bytes that a digest names."""
    running = hashlib.sha256()
    with Connection(peer, repository) as connection:
        Puller(connection).pull(digest, running.update)
    if f"sha256:{running.hexdigest()}" != digest:
        raise Refused("other bytes came than were pushed")


def pull_all(peer: Peer, digests: Sequence[str], *, connections: int, each: int) -> Pulled:
    """Pull so often on each of so many connections at once, the blobs in turn."""
    start = threading.Barrier(connections + 1)
    queues = [[digests[(first + number) % len(digests)] for number in range(each)] for first in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        waiting = [threads.submit(_pull_queue, Connection(peer), queue, start) for queue in queues]
        start.wait()
        began = time.perf_counter()
        results = [one.result() for one in waiting]
        seconds = time.perf_counter() - began
    return Pulled(seconds, sum(size for size, _ in results), tuple(error for _, error in results if error))


def _pull_queue(connection: Connection, queue: Sequence[str], start: threading.Barrier) -> tuple[int, str]:
    size = 0
    with connection:
        puller = Puller(connection)
        start.wait()
        try:
            for digest in queue:
                size += puller.pull(digest)
        except FAILURES as error:
            return size, f"{type(error).__name__}: {error}"
    return size, ""


def range_seconds(
    peer: Peer, digest: str, size: int, *, count: int, before: Callable[[], None] = lambda: None
) -> float:
    """The median time that a MiB from anywhere in a blob takes, on one connection; `before` each is not counted."""
    taken = []
    with Connection(peer) as connection:
        puller = Puller(connection)
        for _ in range(count):
            offset = secrets.randbelow(size - MIB)
            before()
            began = time.perf_counter()
            puller.pull(digest, span=f"bytes={offset}-{offset + MIB - 1}")
            taken.append(time.perf_counter() - began)
    return median(taken)
