"""Sending bytes: stored ones by threads straight to the socket where they can, all others in bounded pieces.

- Measured per GB sent: sendfile from a worker thread 0.25 s of CPU, reads and writes through the loop 0.80 s. What is
  sealed is opened and sent by the same threads.
- A slow client holds no thread and no memory: the thread gives up when the socket is full, and the loop waits for room.
  What was read and not sent is read again.
- The first bytes of what could turn out to be damaged are read before the head of an answer goes out.
"""

import asyncio
import os
import select
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from aiohttp import Payload, web
from aiohttp.abc import AbstractStreamWriter

from registry.http.sending import NotBegun
from registry.http.waiting import Patience, writable
from storage.blobs.blocking import run_to_end
from storage.blobs.file_reader import whole
from storage.blobs.interface import BlockingReader, Span
from storage.budget import BufferBudget
from storage.errors import StorageError

_BYTES_AT_ONCE = 16 * 1024 * 1024
_PATIENCE_MILLISECONDS = 20
# Less than a thread hop costs: 4 µs from a plain file that is in memory, 40 µs with a sealed segment opened for it.
SMALL_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
_NOTHING: Final = memoryview(b"")
_MORE_COMES: Final = getattr(sockets, "MSG_MORE", 0)

Send = Callable[[web.Request, web.StreamResponse], Awaitable[None]]
"""Sends what was begun, as (part of) the body of a prepared response."""


class Bodies:
    """Large bodies that are on their way: each goes out as the client takes it, and equal ones are held once."""

    def __init__(self) -> None:
        self._sending: WeakValueDictionary[int, memoryview] = WeakValueDictionary()

    def in_pieces(self, response: web.StreamResponse) -> None:
        """Have a large body of an answer sent piece by piece."""
        body = response.body if isinstance(response, web.Response) else None
        if isinstance(response, web.Response) and isinstance(body, bytes) and len(body) > SMALL_BYTES:
            response.headers["Content-Length"] = str(len(body))
            response.body = _Pieces(self._shared(body))

    def _shared(self, body: bytes) -> memoryview:
        sending = self._sending.get(hash(body))
        if sending is None or sending.obj != body:
            self._sending[hash(body)] = sending = memoryview(body)
        return sending


class _Pieces(Payload):
    """A body that is written as fast as the client reads."""

    def __init__(self, body: memoryview) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for start in range(0, len(self._value), SMALL_BYTES):
            await writer.write(self._value[start : start + SMALL_BYTES])
            await writer.drain()


class ReaderTooSlow(ConnectionError):
    """The client took no byte for longer than the server waits."""


@dataclass(frozen=True, slots=True)
class Source:
    """Stored bytes that threads read by themselves; from its `file`, where there is one, the kernel can send them."""

    reader: BlockingReader
    file: int | None = None

    def first(self, span: Span) -> bytes:
        """A copy of the bytes that a span begins with, which are then what they should be; raises as the reader does.

        No more is opened than what the first of them is sealed with.
        """
        return bytes(self.reader.read(span.offset, self._end_of_first(span)))

    def first_now(self, span: Span) -> bytes | None:
        """The same without waiting for anything; None where it would take that."""
        piece = self.reader.read_now(span.offset, self._end_of_first(span))
        return None if piece is None else bytes(piece)

    def _end_of_first(self, span: Span) -> int:
        unit = self.reader.piece_bytes
        return min(span.end, (span.offset // unit + 1) * unit)

    def piece(self, offset: int, end: int) -> bytes:
        """A copy of some bytes, at least one."""
        return bytes(self.reader.read(offset, min(end, offset + _PIECE_BYTES)))

    def begin_answer(self, connection: sockets.socket, head: bytes, span: Span) -> tuple[int, bytes]:
        """Send a head and what follows it, until the socket has been full for a moment.

        Returns how many bytes of the span went, and what did not go of the head. Raises NotBegun where the first bytes
        cannot be read, before anything is sent.
        """
        try:
            first = _NOTHING if self.file is not None else self.reader.read(span.offset, span.end)
        except StorageError as error:
            raise NotBegun from error
        try:
            sent = connection.sendmsg([head, first], [], _MORE_COMES if len(first) < span.length else 0)
        except BlockingIOError:
            sent = 0
        if sent < len(head):
            return 0, head[sent:]
        sent -= len(head)
        offset, end = span.offset + sent, min(span.end, span.offset + _BYTES_AT_ONCE)
        return sent + self.send_some(connection.fileno(), offset, end, first[sent:]), b""

    def send_some(self, socket: int, offset: int, end: int, begun: memoryview = _NOTHING) -> int:
        """Send until the socket has been full for a moment; returns how many bytes went.

        `begun` is what was read already of them.
        """
        send = self._by_reading(socket, begun) if self.file is None else partial(self._by_kernel, self.file, socket)
        start, patience = offset, Patience(socket, select.POLLOUT, _PATIENCE_MILLISECONDS)
        while offset < end:
            try:
                offset += send(offset, end)
            except BlockingIOError:
                if not patience.waits():
                    break
        return offset - start

    def _by_kernel(self, file: int, socket: int, offset: int, end: int) -> int:
        sent = os.sendfile(socket, file, offset, end - offset)
        if not sent:
            self.reader.read(offset, offset + 1)  # the file is shorter: the connection must not end as if all was sent
        return sent

    def _by_reading(self, socket: int, begun: memoryview) -> Callable[[int, int], int]:
        unsent = begun

        def send(offset: int, end: int) -> int:
            nonlocal unsent
            unsent = unsent or self.reader.read(offset, end)
            sent = os.write(socket, unsent)
            unsent = unsent[sent:]
            return sent

        return send


class Sender:
    """Sends spans of stored bytes to clients, on threads of its own."""

    def __init__(self, threads: Executor, *, idle_seconds: float, budget: BufferBudget) -> None:
        self._threads = threads
        self._idle_seconds = idle_seconds
        self._budget = budget

    async def begin(self, source: Source, span: Span) -> Send:
        """Read the first bytes of a span, all of a short one; raises what the reader of the source raises."""
        if span.length <= SMALL_BYTES:
            return partial(_send_at_once, whole(source.reader, span))
        if source.file is not None:
            return partial(self._send, [], source, span)
        # Measured: to open a segment that is in memory takes 80 µs; a thread that does it is asked and heard in 100.
        first = source.first_now(span)
        if first is None:
            first = await run_to_end(self._threads, source.first, span)
        return partial(self._send, [first], source, span)

    async def answer(self, transport: asyncio.Transport, head: bytes, source: Source, span: Span) -> None:
        """Send a whole answer over plain TCP, on a connection that has nothing else to send.

        Raises NotBegun where the first bytes cannot be read; later ConnectionError, and what reading raises.
        """
        with sockets.socket(fileno=_duplicate(transport)) as connection:
            sent, unsent = await run_to_end(self._threads, source.begin_answer, connection, head, span)
            if unsent:
                await _written(transport, unsent)
            rest = Span(span.offset + sent, span.length - sent)
            await self._send_by_threads(source, rest, connection.fileno())

    async def begin_stream(self, chunks: AsyncIterator[bytes]) -> Send:
        """Read the first bytes of what a store streams; raises what reading it raises."""
        return partial(self._send_chunks, await anext(chunks, b""), chunks)

    async def _send(
        self, first: list[bytes], source: Source, span: Span, request: web.Request, response: web.StreamResponse
    ) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        offset = span.offset + await self._send_first(first, transport, response)
        span = Span(offset, span.end - offset)
        if transport.get_extra_info("sslcontext") is not None:
            await self._send_through_loop(source, span, response)
            return
        await _flushed(transport)
        socket = _duplicate(transport)
        try:
            await self._send_by_threads(source, span, socket)
        finally:
            os.close(socket)

    async def _send_first(self, first: list[bytes], transport: asyncio.Transport, response: web.StreamResponse) -> int:
        """Send what was read already, and hold it no longer; where memory is short it is read again in its turn."""
        piece = first.pop() if first else b""
        if not piece or not self._budget.try_take(len(piece)):
            return 0
        try:
            await self._write(response, piece)
            await _flushed(transport)
        finally:
            self._budget.give(len(piece))
        return len(piece)

    async def _send_by_threads(self, source: Source, span: Span, socket: int) -> None:
        offset = span.offset
        while offset < span.end:
            end = min(span.end, offset + _BYTES_AT_ONCE)
            sent = await run_to_end(self._threads, source.send_some, socket, offset, end)
            offset += sent
            if not sent:
                try:
                    await writable(socket, self._idle_seconds)
                except TimeoutError:
                    raise ReaderTooSlow from None

    async def _send_through_loop(self, source: Source, span: Span, response: web.StreamResponse) -> None:
        offset = span.offset
        while offset < span.end:
            piece = await run_to_end(self._threads, source.piece, offset, span.end)
            offset += len(piece)
            await self._write(response, piece)

    async def _write(self, response: web.StreamResponse, piece: bytes) -> None:
        async with asyncio.timeout(self._idle_seconds):
            await response.write(piece)

    async def _send_chunks(
        self, first: bytes, rest: AsyncIterator[bytes], _request: web.Request, response: web.StreamResponse
    ) -> None:
        if first:
            await self._write(response, first)
        async for chunk in rest:
            await self._write(response, chunk)


def _duplicate(transport: asyncio.Transport) -> int:
    """A descriptor of its socket, the caller's to close; raises ConnectionResetError where the connection is closing.

    The number that the transport knows may be that of another connection when it is closed.
    """
    if transport.is_closing():
        raise ConnectionResetError
    return os.dup(transport.get_extra_info("socket").fileno())


async def _written(transport: asyncio.Transport, content: bytes) -> None:
    """Send what must go before anything else; raises ConnectionResetError where the connection is closing."""
    if transport.is_closing():
        raise ConnectionResetError
    transport.write(content)
    await _flushed(transport)


async def _flushed(transport: asyncio.Transport) -> None:
    """Wait until the response's head has left the transport, so that the body cannot overtake it.

    Raises ConnectionResetError where the connection is closing: what is written then may be dropped without a word.
    """
    pause = 0.0
    while not transport.is_closing():
        if not transport.get_write_buffer_size():
            return
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, 0.05)
    raise ConnectionResetError


async def _send_at_once(content: bytes, _request: web.Request, response: web.StreamResponse) -> None:
    if content:
        await response.write(content)
