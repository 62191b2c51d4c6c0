"""The pushing client: a thread a connection, bodies sent by the kernel from a file in memory, or over TLS from there.

- Every body is the same base, of which only the last bytes differ: nothing can be deduplicated, and because a hash can
  be continued from where the base ends, a fresh digest costs nothing.
- A push counts only with 201, and with a HEAD afterwards that tells the length of what was pushed.
"""

import hashlib
import mmap
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Self

from bench.connection import FAILURES, Answer, Connection, Refused
from bench.served import Peer

MIB = 1 << 20
TAIL_BYTES = 64
# what docker's client writes at a time
CHUNK_BYTES = 32 << 10
# a piece of a push that comes in several PATCHes
PIECE_BYTES = 16 << 20
SHARED_MEMORY = Path("/dev/shm")
OCTETS = "application/octet-stream"


class Shape(Enum):
    """How a blob is pushed."""

    PATCH = "POST, PATCH, PUT"
    CHUNKED = "POST, chunked PATCH, PUT"
    MONOLITHIC = "POST, PUT"
    PIECES = "POST, PATCHes of 16 MiB, PUT"


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


class Pusher:
    """Pushes bodies of one base over one connection."""

    def __init__(self, connection: Connection, base: Base) -> None:
        self._connection = connection
        self._base = base
        self._file = base.reopened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def push(self, body: Body, shape: Shape) -> None:
        """Push one blob; raises Refused."""
        asked = self._connection.ask("POST", f"/v2/{self._connection.repository}/blobs/uploads/", 202)
        location = asked.location
        if shape is Shape.MONOLITHIC:
            self._send("PUT", _under(location, body.digest), 201, body, range(body.size))
            return
        if shape is Shape.CHUNKED:
            location = self._send_chunked(location, body)
        else:
            step = PIECE_BYTES if shape is Shape.PIECES else body.size
            for start in range(0, body.size, step):
                location = self._send("PATCH", location, 202, body, range(start, min(start + step, body.size)))
        self._connection.ask("PUT", _under(location, body.digest), 201)

    def check(self, body: Body) -> None:
        """Raise Refused unless the registry has the blob in its whole length."""
        answer = self._connection.ask("HEAD", f"/v2/{self._connection.repository}/blobs/{body.digest}", 200)
        if answer.headers.get("Content-Length") != str(body.size):
            raise Refused(f"HEAD of a pushed blob tells {answer.headers.get('Content-Length')} bytes")

    def _send(self, method: str, path: str, expected: int, body: Body, span: range) -> str:
        """Send a span of a body; where the registry says to go on."""
        headers = {"Content-Length": str(len(span)), "Content-Type": OCTETS}
        if method == "PATCH" and len(span) < body.size:
            headers["Content-Range"] = f"{span.start}-{span.stop - 1}"
        self._connection.begin(method, path, headers)
        end = body.size - len(body.tail)
        self._send_base(range(span.start, min(span.stop, end)))
        if span.stop > end:
            self._connection.socket.sendall(body.tail)
        return Answer(self._connection.answer(expected)).location

    def _send_base(self, span: range) -> None:
        if self._connection.is_encrypted:
            with memoryview(self._base.view) as view, view[span.start : span.stop] as content:
                self._connection.socket.sendall(content)
        else:
            self._connection.socket.sendfile(self._file, span.start, len(span))

    def _send_chunked(self, path: str, body: Body) -> str:
        self._connection.begin("PATCH", path, {"Transfer-Encoding": "chunked", "Content-Type": OCTETS})
        end = body.size - len(body.tail)
        with memoryview(self._base.view) as view:
            for start in range(0, end, CHUNK_BYTES):
                self._send_chunk(view[start : min(start + CHUNK_BYTES, end)])
        self._send_chunk(body.tail)
        self._connection.socket.sendall(b"0\r\n\r\n")
        return Answer(self._connection.answer(202)).location

    def _send_chunk(self, content: bytes | memoryview) -> None:
        framed = [b"%x\r\n" % len(content), content, b"\r\n"]
        if self._connection.is_encrypted:
            self._connection.socket.sendall(b"".join(framed))
            return
        sent = self._connection.socket.sendmsg(framed)
        if sent < len(framed[0]) + len(content) + 2:
            self._connection.socket.sendall(b"".join(framed)[sent:])


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one load came to; `seconds` from the first request to the last answer."""

    seconds: float
    pushed_bytes: int
    errors: tuple[str, ...]


def push_all(peer: Peer, base: Base, shape: Shape, *, connections: int, each: int) -> Pushed:
    """Push so many fresh blobs on each of so many connections at once, then ask for every one."""
    queues = [[base.body() for _ in range(each)] for _ in range(connections)]
    start = threading.Barrier(connections + 1)
    with ThreadPoolExecutor(connections) as threads:
        waiting = [threads.submit(_push_queue, Connection(peer), base, queue, shape, start) for queue in queues]
        start.wait()
        began = time.perf_counter()
        errors = [error for each_one in waiting for error in each_one.result()]
        seconds = time.perf_counter() - began
    errors += _check_all(peer, base, [body for queue in queues for body in queue])
    return Pushed(seconds, connections * each * base.size, tuple(errors))


def _under(location: str, digest: str) -> str:
    """Where an upload is closed under its digest."""
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def _push_queue(
    connection: Connection, base: Base, queue: Sequence[Body], shape: Shape, start: threading.Barrier
) -> list[str]:
    with connection, Pusher(connection, base) as pusher:
        start.wait()
        try:
            for body in queue:
                pusher.push(body, shape)
        except FAILURES as error:
            return [f"{type(error).__name__}: {error}"]
    return []


def _check_all(peer: Peer, base: Base, bodies: Sequence[Body]) -> list[str]:
    with Connection(peer) as connection, Pusher(connection, base) as pusher:
        try:
            for body in bodies:
                pusher.check(body)
        except FAILURES as error:
            return [f"{type(error).__name__}: {error}"]
    return []
