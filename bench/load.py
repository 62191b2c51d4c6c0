"""The pushing client: a thread a connection, bodies sent by the kernel from a file in memory.

- Every body is the same base, of which only the last bytes differ: nothing can be deduplicated, and because a hash can
  be continued from where the base ends, a fresh digest costs nothing.
- A push counts only with 201, and with a HEAD afterwards that tells the length of what was pushed.
"""

import hashlib
import http.client
import mmap
import secrets
import threading
import time
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Self

MIB = 1 << 20
TAIL_BYTES = 64
# what docker's client writes at a time
CHUNK_BYTES = 32 << 10
TIMEOUT_SECONDS = 300
SHARED_MEMORY = Path("/dev/shm")
OCTETS = "application/octet-stream"


class Shape(Enum):
    """How a blob is pushed."""

    PATCH = "POST, PATCH, PUT"
    CHUNKED = "POST, chunked PATCH, PUT"
    MONOLITHIC = "POST, PUT"


class Refused(Exception):
    """The registry answered something else than a push asks for."""


@dataclass(frozen=True, slots=True)
class Body:
    """What one push sends: the base up to its last bytes, then these."""

    size: int
    tail: bytes
    digest: str


class Base:
    """Random bytes in a file in memory, and their hash up to where bodies differ."""

    def __init__(self, size: int, folder: Path = SHARED_MEMORY) -> None:
        self.size = size
        self._file = TemporaryFile(dir=folder if folder.is_dir() else None)  # noqa: SIM115  closed by `__exit__`
        self._hash = hashlib.sha256()
        left = size
        while left:
            piece = secrets.token_bytes(min(left, MIB))
            self._file.write(piece)
            self._hash.update(piece[: max(0, min(len(piece), left - TAIL_BYTES))])
            left -= len(piece)
        self._file.flush()
        self.view = mmap.mmap(self._file.fileno(), size, prot=mmap.PROT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.view.close()
        self._file.close()

    def reopened(self) -> BinaryIO:
        """The file with a position of its own."""
        return Path(f"/proc/self/fd/{self._file.fileno()}").open("rb")

    def body(self) -> Body:
        """A body that was never there before."""
        tail = secrets.token_bytes(TAIL_BYTES)
        running = self._hash.copy()
        running.update(tail)
        return Body(self.size, tail, f"sha256:{running.hexdigest()}")


class Connection:
    """One connection to a registry, kept for all requests of a thread."""

    def __init__(self, address: str, base: Base) -> None:
        self._http = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self._base = base
        self._file = base.reopened()

    def close(self) -> None:
        """Close it."""
        self._http.close()
        self._file.close()

    def push(self, repository: str, body: Body, shape: Shape) -> None:
        """Push one blob; raises Refused."""
        location = self._ask("POST", f"/v2/{repository}/blobs/uploads/", 202)
        if shape is Shape.MONOLITHIC:
            self._ask("PUT", _under(location, body.digest), 201, body)
            return
        location = self._ask("PATCH", location, 202, body, is_chunked=shape is Shape.CHUNKED)
        self._ask("PUT", _under(location, body.digest), 201)

    def check(self, repository: str, body: Body) -> None:
        """Raise Refused unless the registry has the blob in its whole length."""
        self._http.request("HEAD", f"/v2/{repository}/blobs/{body.digest}")
        response = self._http.getresponse()
        response.read()
        if response.status != http.HTTPStatus.OK or response.getheader("Content-Length") != str(body.size):
            raise Refused(f"HEAD of a pushed blob answered {response.status}")

    def _ask(self, method: str, path: str, expected: int, body: Body | None = None, *, is_chunked: bool = False) -> str:
        """One request; where the registry says to go on."""
        self._http.putrequest(method, path, skip_accept_encoding=True)
        if is_chunked:
            self._http.putheader("Transfer-Encoding", "chunked")
        else:
            self._http.putheader("Content-Length", str(body.size if body else 0))
        if body is not None:
            self._http.putheader("Content-Type", OCTETS)
        self._http.endheaders()
        if body is not None:
            (self._send_chunks if is_chunked else self._send)(body)
        response = self._http.getresponse()
        said = response.read()
        if response.status != expected:
            raise Refused(f"{method} answered {response.status}: {said[:200]!r}")
        location = urllib.parse.urlsplit(response.getheader("Location", ""))
        return location.path + (f"?{location.query}" if location.query else "")

    def _send(self, body: Body) -> None:
        self._http.sock.sendfile(self._file, 0, body.size - len(body.tail))
        self._http.sock.sendall(body.tail)

    def _send_chunks(self, body: Body) -> None:
        end = body.size - len(body.tail)
        with memoryview(self._base.view) as view:
            for start in range(0, end, CHUNK_BYTES):
                self._send_chunk(view[start : min(start + CHUNK_BYTES, end)])
        self._send_chunk(body.tail)
        self._http.sock.sendall(b"0\r\n\r\n")

    def _send_chunk(self, content: bytes | memoryview) -> None:
        framed = [b"%x\r\n" % len(content), content, b"\r\n"]
        sent = self._http.sock.sendmsg(framed)
        if sent < len(framed[0]) + len(content) + 2:
            self._http.sock.sendall(b"".join(framed)[sent:])


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one load came to; `seconds` from the first request to the last answer."""

    seconds: float
    pushed_bytes: int
    errors: tuple[str, ...]


def push_all(address: str, base: Base, shape: Shape, *, connections: int, each: int) -> Pushed:
    """Push so many fresh blobs on each of so many connections at once, then ask for every one."""
    queues = [[base.body() for _ in range(each)] for _ in range(connections)]
    start = threading.Barrier(connections + 1)
    with ThreadPoolExecutor(connections) as threads:
        waiting = [threads.submit(_push_queue, Connection(address, base), queue, shape, start) for queue in queues]
        start.wait()
        began = time.perf_counter()
        errors = [error for each_one in waiting for error in each_one.result()]
        seconds = time.perf_counter() - began
    errors += _check_all(address, base, [body for queue in queues for body in queue])
    return Pushed(seconds, connections * each * base.size, tuple(errors))


def _under(location: str, digest: str) -> str:
    """Where an upload is closed under its digest."""
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def _push_queue(connection: Connection, queue: Sequence[Body], shape: Shape, start: threading.Barrier) -> list[str]:
    start.wait()
    try:
        for body in queue:
            connection.push("bench/push", body, shape)
    except (OSError, http.client.HTTPException, Refused) as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        connection.close()
    return []


def _check_all(address: str, base: Base, bodies: Sequence[Body]) -> list[str]:
    connection = Connection(address, base)
    try:
        for body in bodies:
            connection.check("bench/push", body)
    except (OSError, http.client.HTTPException, Refused) as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        connection.close()
    return []
