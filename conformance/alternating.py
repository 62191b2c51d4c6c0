"""A loopback proxy that sends every request to another of several servers than the one before, in turn.

    python3 alternating.py HOST:PORT HOST:PORT...

prints its own address, and when it is told to stop (SIGTERM) how many requests each server got.

- The turn is taken by requests, whichever connections they come on; each goes out on a connection of its own.
- Bodies are passed on in both directions as they arrive, never collected.
- A body that ends too early ends too early for the other side as well.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
from collections import Counter

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

GRACE_SECONDS = 0.2  # for the end of a body that an answer has overtaken
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BROKEN = (OSError, Malformed, EOFError)


class Proxy:
    """The connections of all clients, and whose turn it is."""

    def __init__(self, servers: list[str]) -> None:
        self._turns = itertools.cycle(servers)
        self.counts = Counter(dict.fromkeys(servers, 0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one connection, one after the other."""
        try:
            while (request := await read_head(reader, REQUEST_LINE)) is not None:
                server = next(self._turns)
                self.counts[server] += 1
                if not await Exchange(reader, writer, request).run(server):
                    break
            await close(writer)
        except BROKEN as error:
            if isinstance(error, Malformed):  # docker tries TLS first, and takes this for the word that there is none
                writer.write(REFUSAL)
                await close(writer)
            print(f"broken off: {error!r}", file=sys.stderr, flush=True)
            writer.transport.abort()


class Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Head) -> None:
        self._reader = reader
        self._writer = writer
        self._request = request

    async def run(self, server: str) -> bool:
        """Hand the request on and its answer back; False when the client's connection ends with it."""
        host, _, port = server.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=HEAD_BYTES)
        sending = asyncio.ensure_future(self._send(writer))
        try:
            return await self._answer(reader, sending)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, *BROKEN):
                await sending
            writer.transport.abort()

    def _forwarded(self) -> Head:
        peer = self._writer.get_extra_info("peername")[0].encode()
        before = self._request.values(b"x-forwarded-for")
        host = self._request.values(b"host")
        return self._request.passed_on().with_fields(
            {
                b"X-Forwarded-For": b", ".join([*before, peer]),
                b"X-Forwarded-Proto": b"http",
                b"X-Forwarded-Host": host[0] if host else b"",
                b"Connection": b"close",
            }
        )

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._forwarded().wire)
        async for piece in body(self._reader, framing_of_request(self._request)):
            writer.write(piece)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, sending: asyncio.Future[None]) -> bool:
        while True:
            answer = await read_head(reader, STATUS_LINE)
            if answer is None:
                raise EOFError("the server closed without an answer")
            if answer.status >= 200:
                break
            self._writer.write(answer.wire)  # 100 Continue: the client waits for it
        framing = framing_of_answer(answer, self._request.method)
        await asyncio.wait([sending], timeout=GRACE_SECONDS)
        goes_on = sending.done() and not self._request.closes and framing != Framing()
        fields = {} if goes_on else {b"Connection": b"close"}
        self._writer.write(answer.passed_on().with_fields(fields).wire)
        async for piece in body(reader, framing):
            self._writer.write(piece)
            await self._writer.drain()
        await self._writer.drain()
        return goes_on


async def close(writer: asyncio.StreamWriter) -> None:
    """End a connection once all that was written has gone."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def main() -> None:
    """Serve until told to stop."""
    proxy = Proxy(sys.argv[1:])
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=HEAD_BYTES, backlog=512)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await told.wait()
    print(" + ".join(map(str, proxy.counts.values())), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
