"""The pulling client: a thread a connection; every byte is copied out of the socket, the least that a client does."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.connection import FAILURES, REPOSITORY, Connection, Refused
from bench.load import MIB
from bench.served import Peer

_PIECE_BYTES = 1 << 18


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
        self._buffer = memoryview(bytearray(_PIECE_BYTES))

    def pull(self, digest: str, sink: Callable[[memoryview], None] | None = None, *, span: str = "") -> int:
        """Pull a blob, or a span of it as a Range header says; the number of bytes. Raises Refused."""
        path = f"/v2/{self._connection.repository}/blobs/{digest}"
        self._connection.begin("GET", path, {"Range": span} if span else {})
        response = self._connection.answer(206 if span else 200)
        announced, length = int(response.headers["Content-Length"]), 0
        while taken := response.readinto(self._buffer):
            if sink is not None:
                sink(self._buffer[:taken])
            length += taken
        if length != announced:
            raise Refused(f"{length} bytes came of {announced}")
        return length


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
