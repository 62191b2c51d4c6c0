"""The pulling client: a thread a connection; every byte is copied out of the socket, the least that a client does."""

import hashlib
import http.client
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.load import MIB, TIMEOUT_SECONDS, Refused

_PIECE_BYTES = 1 << 18
REPOSITORY = "bench/push"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one load came to; `seconds` from the first request to the last byte."""

    seconds: float
    pulled_bytes: int
    errors: tuple[str, ...]


class Connection:
    """One connection to a registry, kept for all requests of a thread."""

    def __init__(self, address: str) -> None:
        self._http = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self._buffer = memoryview(bytearray(_PIECE_BYTES))

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def pull(self, digest: str, sink: Callable[[memoryview], None] | None = None, *, span: str = "") -> int:
        """Pull a blob, or a span of it as a Range header says; the number of bytes. Raises Refused."""
        self._http.putrequest("GET", f"/v2/{REPOSITORY}/blobs/{digest}", skip_accept_encoding=True)
        if span:
            self._http.putheader("Range", span)
        self._http.endheaders()
        response = self._http.getresponse()
        if response.status != (206 if span else 200):
            raise Refused(f"GET answered {response.status}: {response.read()[:200]!r}")
        announced, length = int(response.headers["Content-Length"]), 0
        while taken := response.readinto(self._buffer):
            if sink is not None:
                sink(self._buffer[:taken])
            length += taken
        if length != announced:
            raise Refused(f"{length} bytes came of {announced}")
        return length


def check(address: str, digest: str) -> None:
    """Raise Refused unless a pull gives the bytes that a digest names."""
    connection, running = Connection(address), hashlib.sha256()
    try:
        connection.pull(digest, running.update)
    finally:
        connection.close()
    if f"sha256:{running.hexdigest()}" != digest:
        raise Refused("other bytes came than were pushed")


def pull_all(address: str, digests: Sequence[str], *, connections: int, each: int) -> Pulled:
    """Pull so often on each of so many connections at once, the blobs in turn."""
    start = threading.Barrier(connections + 1)
    queues = [[digests[(first + number) % len(digests)] for number in range(each)] for first in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        waiting = [threads.submit(_pull_queue, address, queue, start) for queue in queues]
        start.wait()
        began = time.perf_counter()
        results = [one.result() for one in waiting]
        seconds = time.perf_counter() - began
    return Pulled(seconds, sum(size for size, _ in results), tuple(error for _, error in results if error))


def _pull_queue(address: str, queue: Sequence[str], start: threading.Barrier) -> tuple[int, str]:
    connection, size = Connection(address), 0
    start.wait()
    try:
        for digest in queue:
            size += connection.pull(digest)
    except (OSError, http.client.HTTPException, Refused) as error:
        return size, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return size, ""


def range_seconds(address: str, digest: str, size: int, *, count: int) -> float:
    """The median time that a MiB from anywhere in a blob takes, on one connection."""
    connection = Connection(address)
    taken = []
    try:
        for _ in range(count):
            offset = secrets.randbelow(size - MIB)
            began = time.perf_counter()
            connection.pull(digest, span=f"bytes={offset}-{offset + MIB - 1}")
            taken.append(time.perf_counter() - began)
    finally:
        connection.close()
    return median(taken)
