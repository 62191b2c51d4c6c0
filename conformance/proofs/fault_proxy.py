"""A proxy between a server and its S3 in which requests fail the ways that they fail in a network.

    python3 -m proofs.fault_proxy HOST:PORT        on standard input, one a line: faults SHARE | away | back | counts

Its first line is its own address, and each order is answered with one line of JSON: how many requests of each kind
came, how many lists among them, and how often each fault was made.
"""

import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Self

from proofs.messages import (
    HEAD_BYTES,
    REQUEST_LINE,
    STATUS_LINE,
    Framing,
    Head,
    Malformed,
    body,
    framing_of_answer,
    framing_of_request,
    read_head,
)

LATE_SECONDS = (0.2, 1.5)
SILENT_SECONDS = 25  # longer than a server waits for an answer
BROKEN = (OSError, Malformed, EOFError)
READ, PART, WHOLE, COMPLETE, LIST, OTHER = "read", "part", "whole", "complete", "list", "other"
# how often each is chosen; those after the first five befall these kinds of requests alone
FAULTS = {"late": 30, "slow down": 25, "reset in the request": 20, "reset in the answer": 15, "silence": 1}
FAULTS_OF_KIND = {
    READ: {"truncated": 40},
    PART: {"answer lost": 15},
    WHOLE: {"answer lost": 40},
    COMPLETE: {"answer lost": 60, "error after 200": 60},
}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
LATE_ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


def kind_of(request: Head) -> str:
    """What a request to S3 is for."""
    path, _, query = request.target.decode().partition("?")
    names = {part.partition("=")[0] for part in query.split("&") if part}
    if request.method == b"GET" and ("list-type" in names or "uploads" in names):
        return LIST
    if request.method == b"GET" and path.count("/") > 1:
        return READ
    if request.method == b"PUT":
        return PART if "partNumber" in names else WHOLE
    return COMPLETE if request.method == b"POST" and "uploadId" in names else OTHER


class FaultProxy:
    """All connections of the server, and how many requests in a hundred go wrong."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = host, int(port)
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._random = random.Random(1)
        self._port = 0
        self.share = 0.0
        self.kinds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    async def listen(self) -> str:
        """Take connections, on the same port as before; the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=HEAD_BYTES, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{self._port}"

    async def leave(self) -> None:
        """Refuse connections, and break off those that are there."""
        if self._server is not None:
            self._server.close()
        for writer in self._connections:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while (request := await read_head(reader, REQUEST_LINE)) is not None:
                kind = kind_of(request)
                self.kinds[kind] += 1
                fault = self._choose(kind)
                self.faults.update([fault] if fault else [])
                if not await Exchange(reader, writer, request).run(self._upstream, fault):
                    break
        except BROKEN:
            pass
        finally:
            self._connections.discard(writer)
            if not writer.is_closing():
                writer.transport.abort()

    def _choose(self, kind: str) -> str:
        if self._random.random() >= self.share:
            return ""
        faults = FAULTS | FAULTS_OF_KIND.get(kind, {})
        return self._random.choices(list(faults), list(faults.values()))[0]


class Exchange:
    """One request and its answer, or what is left of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Head) -> None:
        self._reader = reader
        self._writer = writer
        self._request = request

    async def run(self, upstream: tuple[str, int], fault: str) -> bool:
        """Do what the fault lets happen; False when the connection ends with it."""
        if fault == "slow down":
            return await self._answer_instead(b"HTTP/1.1 503 Slow Down", SLOW_DOWN)
        if fault == "error after 200":
            return await self._answer_instead(b"HTTP/1.1 200 OK", LATE_ERROR)
        if fault == "silence":
            await asyncio.sleep(SILENT_SECONDS)
            return False
        if fault == "late":
            await asyncio.sleep(random.uniform(*LATE_SECONDS))
        reader, writer = await asyncio.open_connection(*upstream, limit=HEAD_BYTES)
        try:
            return await self._send(writer, fault) and await self._receive(reader, fault)
        finally:
            writer.transport.abort()

    async def _answer_instead(self, line: bytes, document: bytes) -> bool:
        async for _ in body(self._reader, framing_of_request(self._request)):
            pass
        fields = {b"Content-Type": b"application/xml", b"Content-Length": b"%d" % len(document)}
        self._writer.write(Head(line, ()).with_fields(fields).wire + document)
        await self._writer.drain()
        return True

    async def _send(self, writer: asyncio.StreamWriter, fault: str) -> bool:
        framing = framing_of_request(self._request)
        if self._request.values(b"expect"):
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(self._request.passed_on().without([b"expect"]).with_fields({b"Connection": b"close"}).wire)
        sent = 0
        async for piece in body(self._reader, framing):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            if fault == "reset in the request" and sent > (framing.length or 0) // 2:
                return False
        return fault != "reset in the request"

    async def _receive(self, reader: asyncio.StreamReader, fault: str) -> bool:
        answer = await read_head(reader, STATUS_LINE)
        if answer is None or fault in ("answer lost", "reset in the answer"):
            return False
        framing = framing_of_answer(answer, self._request.method)
        self._writer.write(answer.passed_on().wire)
        sent = 0
        async for piece in body(reader, framing):
            if fault == "truncated" and sent + len(piece) > (framing.length or 0) // 2:
                await self._end_early(piece[: len(piece) // 2])
                return False
            self._writer.write(piece)
            await self._writer.drain()
            sent += len(piece)
        await self._writer.drain()
        return framing != Framing()

    async def _end_early(self, rest: bytes) -> None:
        """Say a little more and close, as if that were all."""
        self._writer.write(rest)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Faults:
    """A fault proxy in a process of its own, for a proof."""

    def __init__(self, upstream: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.fault_proxy", upstream],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.address = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def order(self, words: str) -> dict[str, dict[str, int]]:
        """Give an order; the counts so far, of requests as `kinds` and of `faults`."""
        if self._process.stdin is None:
            raise AssertionError
        self._process.stdin.write(f"{words}\n")
        counts: dict[str, dict[str, int]] = json.loads(self._line())
        return counts

    def _line(self) -> str:
        if self._process.stdout is None:
            raise AssertionError
        return self._process.stdout.readline().strip()


async def main() -> None:
    """Serve, and obey, until the orders end."""
    proxy = FaultProxy(sys.argv[1])
    print(await proxy.listen(), flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := (await orders.readline()).decode().strip():
        if share := re.fullmatch(r"faults ([0-9.]+)", line):
            proxy.share = float(share[1])
        elif line == "away":
            await proxy.leave()
        elif line == "back":
            await proxy.listen()
        print(json.dumps({"kinds": proxy.kinds, "faults": proxy.faults}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
