"""The client for small requests: prepared bytes out, answers into one buffer, a process for many connections.

- A connection has one request under way at a time; nothing is pipelined.
- An answer counts when it came whole, with the status that was expected; all others are errors.
- It runs in processes of its own (`python -m bench.requests`), so that nothing else of a benchmark slows it down.
"""

import itertools
import json
import os
import pickle
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.process import own_cpu_seconds
from bench.tls import Stream

TIMEOUT_SECONDS = 120
_BUFFER_BYTES = 1 << 18
_HEAD_END, _BODY_END = b"\r\n\r\n", b"0\r\n\r\n"
_LENGTH = b"content-length: "
_NOTHING: Mapping[str, str] = {}


class Broken(Exception):
    """A connection ended, or was silent, before its answer was whole."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of an address: a queue of requests for each connection, again and again or once.

    All of one kind: the same status is expected of all, and all are HEAD or none is. With a certificate, over TLS.
    """

    address: str
    queues: Sequence[Iterable[bytes]]
    seconds: float
    expected: int = 200
    is_head: bool = False
    is_repeated: bool = True
    certificate: Path | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it."""

    seconds: float
    count: int
    received_bytes: int
    client_cpu_seconds: float
    errors: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.seconds


def request(method: str, path: str, headers: Mapping[str, str] = _NOTHING, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: registry.example", *(f"{name}: {headers[name]}" for name in headers)]
    if body or method not in {"GET", "HEAD"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Line:
    """One connection and the answer that is coming in over it."""

    def __init__(self, job: Job, queue: Iterable[bytes]) -> None:
        host, port = job.address.split(":")
        plain = socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = Stream(plain, job.certificate, host) if job.certificate else plain
        self.errors: list[str] = []
        self.received_bytes = 0
        self._queue = itertools.cycle(queue) if job.is_repeated else iter(queue)
        self._expected = b"%d" % job.expected
        self._is_head = job.is_head
        self._begun = b""
        self._left = 0
        self._ending: bytes | None = None

    def send(self) -> bool:
        """Send the next request; false where there is none."""
        following = next(self._queue, None)
        if following is None:
            return False
        self.socket.sendall(following)
        return True

    def receive(self, buffer: bytearray) -> bool:
        """Take what has come; whether an answer is whole. Raises Broken, and BlockingIOError where nothing has."""
        taken = self.socket.recv_into(buffer)
        if not taken:
            raise Broken(f"the connection ended after {self._begun[:200]!r}")
        self.received_bytes += taken
        if self._left:
            return self._takes(taken)
        if self._ending is not None:
            return self._goes_on(bytes(buffer[max(0, taken - len(_BODY_END)) : taken]))
        if self._begun:
            return self._starts(self._begun + buffer[:taken], len(self._begun) + taken)
        return self._starts(buffer, taken)

    def _starts(self, came: bytes | bytearray, length: int) -> bool:
        end = came.find(_HEAD_END, 0, length)
        if end < 0:
            self._begun = bytes(came[:length])
            return False
        self._begun = b""
        if came[9:12] != self._expected:
            self.errors.append(f"{self._expected.decode()} was expected: {bytes(came[: min(length, end + 204)])!r}")
        if self._is_head:
            return True
        head = bytes(came[:end]).lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._ending = b""
            return self._goes_on(bytes(came[max(end + len(_HEAD_END), length - len(_BODY_END)) : length]))
        stop = head.find(b"\r", at)
        size = int(head[at + len(_LENGTH) : stop if stop > 0 else end])
        self._left = size
        return self._takes(length - end - len(_HEAD_END))

    def _takes(self, count: int) -> bool:
        self._left = max(0, self._left - count)
        return not self._left

    def _goes_on(self, last: bytes) -> bool:
        """A body in chunks is whole when it ends as one does; whatever has been sent is answered once."""
        self._ending = ((self._ending or b"") + last)[-len(_BODY_END) :]
        if self._ending == _BODY_END:
            self._ending = None
            return True
        return False


def run(job: Job, lines: Sequence[Line]) -> Asked:
    """Ask over all lines until the time is up or every queue is empty, and wait for what is under way then."""
    poll, waiting = select.epoll(), {line.socket.fileno(): line for line in lines if line.send()}
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    buffer, count, broken = bytearray(_BUFFER_BYTES), 0, []
    before, began = own_cpu_seconds(), time.perf_counter()
    deadline = began + job.seconds
    while waiting and time.perf_counter() < deadline + TIMEOUT_SECONDS:
        for number, _ in poll.poll(1):
            line = waiting[number]
            try:
                if not line.receive(buffer):
                    continue
                count += 1
                if time.perf_counter() < deadline and line.send():
                    continue
            except BlockingIOError:
                continue
            except (Broken, OSError) as error:
                broken.append(f"{type(error).__name__}: {error}")
            poll.unregister(number)
            del waiting[number]
    seconds = time.perf_counter() - began
    poll.close()
    broken += ["no whole answer came in time"] * len(waiting)
    refused = [error for line in lines for error in line.errors]
    received = sum(line.received_bytes for line in lines)
    return Asked(seconds, count - len(refused), received, own_cpu_seconds() - before, tuple([*broken, *refused][:3]))


def ask_once(job: Job) -> Asked:
    """Ask here, in this process: for what is not measured."""
    lines = [Line(job, queue) for queue in job.queues]
    try:
        return run(job, lines)
    finally:
        for line in lines:
            line.socket.close()


def ask_all(job: Job) -> Asked:
    """Ask from other processes, which begin together; raises Broken where one of them ends early."""
    count = max(1, min(len(job.queues), (os.cpu_count() or 2) // 2))
    with _children(job, count) as children:
        for child in children:
            child.answer()
        for child in children:
            child.go()
        results = [json.loads(child.answer()) for child in children]
    return Asked(
        seconds=max(each["seconds"] for each in results),
        count=sum(each["count"] for each in results),
        received_bytes=sum(each["received_bytes"] for each in results),
        client_cpu_seconds=sum(each["client_cpu_seconds"] for each in results),
        errors=tuple(error for each in results for error in each["errors"]),
    )


class _Child:
    """A process that asks part of a job: it says when it is ready, and begins when it is told."""

    def __init__(self, job: Job) -> None:
        command = [sys.executable, "-m", "bench.requests"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._tell(pickle.dumps(job))

    def answer(self) -> bytes:
        """The next line that it says."""
        said = self._process.stdout.readline() if self._process.stdout else b""
        if not said:
            raise Broken(f"the client ended with {self._process.wait()}")
        return said

    def go(self) -> None:
        """Let it begin."""
        self._tell(b"go\n")

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _tell(self, said: bytes) -> None:
        if self._process.stdin:
            self._process.stdin.write(said)
            self._process.stdin.flush()


@contextmanager
def _children(job: Job, count: int) -> Iterator[list[_Child]]:
    with ExitStack() as stack:
        children = []
        for first in range(count):
            child = _Child(replace(job, queues=job.queues[first::count]))
            stack.callback(child.end)
            children.append(child)
        yield children


def main() -> None:
    """Ask what another process says."""
    job: Job = pickle.load(sys.stdin.buffer)
    lines = [Line(job, queue) for queue in job.queues]
    print("ready", flush=True)
    sys.stdin.buffer.readline()
    asked = run(job, lines)
    print(json.dumps(asdict(asked)), flush=True)


if __name__ == "__main__":
    main()
