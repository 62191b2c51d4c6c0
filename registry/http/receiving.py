"""Taking a body from its socket on the worker thread that writes it.

- Measured with pushes of 100 MiB: the event loop copies each chunk into memory of its own, parses it, and hops to a
  thread with every batch of them. A thread with one buffer does the same work for a quarter less CPU time.
- A slow client holds no thread, and no memory: the thread goes when the socket is empty, and the loop waits. Whoever
  sends little at a time is asked less often; who has only just begun, a moment later.
- A body in chunks, whose length nobody knows, begins on the event loop: most that are short end there.
- Framing costs more than what it frames, so there is a bound on that too: on the loop, and for a thread's turn.
- Bodies over TLS come through the loop.
"""

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from registry.http.lending import LEAST_BYTES, Lender, Loan
from registry.http.refusals import BodyTooSlow
from registry.http.waiting import Pace, Patience, readable
from storage.blobs.interface import WriteFrom

Write = Callable[[Sequence[bytes]], Awaitable[None]]

_BUFFER_BYTES: Final = 1024 * 1024
# What is read with the framing around it stays in the cache until it is copied.
_RAW_BYTES: Final = 256 * 1024
# Each of many clients gets its turn with the few threads, and the core its chance to note how far they are.
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
_PATIENCE_MILLISECONDS: Final = 20
# Of most bodies little is there when the first thread looks, and the rest comes right after.
_FIRST_PATIENCE_MILLISECONDS: Final = 3
_TRICKLE_BYTES: Final = 64 * 1024
_SHORT_BYTES: Final = 64 * 1024
# Of chunks of one byte as many as a thread takes in 20 ms; of those of 1 KiB, more than it may have at once.
_FRAMING_BYTES: Final = 64 * 1024


class _Buffers(threading.local):
    """Buffers for each thread, used again and again: fresh memory costs as much as reading into it."""

    def __init__(self) -> None:
        self.body = memoryview(bytearray(_BUFFER_BYTES))
        self.raw = memoryview(bytearray(_RAW_BYTES))


_OWN: Final = _Buffers()


async def receive(request: web.Request, write: Write, write_from: WriteFrom, *, idle_seconds: float) -> bool:
    """Have the body of a request taken from its socket by the threads that write it; False where it cannot be.

    One in chunks that is short is given to `write`. Raises BodyTooSlow, ConnectionResetError or RequestPayloadError
    after what came was written, and what writing raises.
    """
    content, connection, length = request.content, request.protocol, request.content_length
    if length is not None and length - content.total_bytes < LEAST_BYTES:
        return False
    if not isinstance(connection, Lender) or (loan := connection.lend(content, length)) is None:
        return False
    body = _SocketBody(loan)
    try:
        await _receive(body, write, write_from, idle_seconds)
    except (BodyTooSlow, ConnectionError, web.RequestPayloadError) as error:
        content.set_exception(error)
        raise
    finally:
        os.close(loan.socket)
        content.total_bytes = body.came_bytes  # for who counts them
        connection.take_back(content, body.framing, body.surplus)
    return True


async def _receive(body: "_SocketBody", write: Write, write_from: WriteFrom, idle_seconds: float) -> None:
    if body.framing.left is None:
        begun = bytearray()  # many small pieces would take many times their length
        try:
            await _begin(body, begun, idle_seconds)
        except BaseException:
            await write([bytes(begun)])  # what came counts, whatever breaks off the rest
            raise
        if body.is_done:
            await write([bytes(begun)])
            return
        body.give_back(begun)
    pace = Pace()
    body.allow(_BYTES_AT_ONCE, patience_milliseconds=_FIRST_PATIENCE_MILLISECONDS, is_trusted=True)
    while True:
        before, left = body.came_bytes, body.framing.left
        await write_from(body.take, _BYTES_AT_ONCE if left is None else left)
        body.raise_error()
        if body.is_done:
            return
        if pause := pace.pause_after(is_little=body.came_bytes - before < _TRICKLE_BYTES):
            await asyncio.sleep(pause)
        await _more(body, idle_seconds)
        body.allow(_BYTES_AT_ONCE)


async def _begin(body: "_SocketBody", begun: bytearray, idle_seconds: float) -> None:
    """Take so much of a body on the event loop that it may be short, or to its end."""
    while not body.is_done and body.came_bytes < _SHORT_BYTES:
        body.allow(_SHORT_BYTES - body.came_bytes, patience_milliseconds=0)
        taken = body.take(_SHORT_BYTES)
        begun += taken
        body.raise_error()
        if body.is_mostly_framing:
            return
        if not taken and not body.is_done:
            await _more(body, idle_seconds)


async def _more(body: "_SocketBody", idle_seconds: float) -> None:
    if body.has_begun:
        return
    try:
        await readable(body.socket, idle_seconds)
    except TimeoutError:
        raise BodyTooSlow from None


class _SocketBody:
    """A body of which some came, and the rest is in a socket, or will be. Threads take it, one at a time."""

    def __init__(self, loan: Loan) -> None:
        self.socket = loan.socket
        self.framing = loan.framing
        self.came_bytes = 0
        self._error: Exception | None = None
        self._begun = deque(memoryview(chunk) for chunk in loan.begun)
        self._given_back: deque[memoryview] = deque()
        self._after = b""
        self.allow(0)

    @property
    def is_done(self) -> bool:
        """Whether all of it came, and was taken."""
        return self.framing.is_done and not self._given_back

    @property
    def has_begun(self) -> bool:
        """Whether some of it is left that came with the head."""
        return bool(self._begun)

    @property
    def is_mostly_framing(self) -> bool:
        """Whether so much framing came that there is no more to be taken until it is allowed again."""
        return self._framing_allowed <= 0

    @property
    def surplus(self) -> bytes:
        """What came with it, and is left: of what follows or, where it is not done, of itself."""
        return b"".join([self._after, *self._begun])

    def allow(
        self, most: int, *, patience_milliseconds: float = _PATIENCE_MILLISECONDS, is_trusted: bool = False
    ) -> None:
        """Let a thread take so many bytes, and wait for some of them; if not trusted, after much came without."""
        self._allowed = most
        self._is_trusted = is_trusted
        self._framing_allowed = _FRAMING_BYTES
        self._came_before = self.came_bytes
        self._patience = Patience(self.socket, select.POLLIN, patience_milliseconds)

    def give_back(self, taken: bytearray) -> None:
        """Have what was taken be taken again."""
        if taken:
            self._given_back.append(memoryview(taken))

    def raise_error(self) -> None:
        """Raise what the body broke off with, if it did."""
        if self.framing.is_broken:
            raise web.RequestPayloadError("the body is not framed as HTTP says")
        if self._error is not None:
            raise ConnectionResetError from self._error

    def take(self, limit: int) -> memoryview:
        """The next bytes, in memory of the thread; fewer than asked for where no more come soon."""
        room = _OWN.body[: min(limit, self._allowed)]
        count = _take(self._given_back, room)
        while count < len(room) and self._goes_on():
            came = self._receive(room[count:])
            if came is None:
                break
            count += came
            self.came_bytes += came
        self._allowed -= count
        return room[:count]

    def _goes_on(self) -> bool:
        framing = self.framing
        return not (framing.is_done or framing.is_broken or self.is_mostly_framing or self._error)

    def _receive(self, room: memoryview) -> int | None:
        """Have some bytes of the body in a room: how many, None where no more come soon."""
        if self._begun:
            raw = _OWN.raw[: len(room)]
            return self._strip(raw[: _take(self._begun, raw)], room)
        left = self.framing.left
        into = _OWN.raw[: len(room)] if left is None else room[:left]
        try:
            read = os.readv(self.socket, [into])
        except BlockingIOError:
            # worth a thread's waiting
            is_fast = self._is_trusted or self.came_bytes - self._came_before >= _TRICKLE_BYTES
            return 0 if is_fast and self._patience.waits() else None
        except OSError as error:
            self._error = error
            return None
        if not read:
            self._error = ConnectionResetError("the client closed the connection")
            return None
        raw = into[:read]
        return self._strip(raw, room if left is None else raw)

    def _strip(self, raw: memoryview, room: memoryview) -> int:
        came, looked_at = self.framing.strip(raw, room)
        self._framing_allowed -= looked_at - came
        self._after = bytes(raw[looked_at:])
        return came


def _take(chunks: deque[memoryview], room: memoryview) -> int:
    """Copy what chunks hold into a room, as much as it takes: how many bytes."""
    count = 0
    while chunks and count < len(room):
        chunk = chunks.popleft()
        taken = min(len(chunk), len(room) - count)
        room[count : count + taken] = chunk[:taken]
        count += taken
        if taken < len(chunk):
            chunks.appendleft(chunk[taken:])
    return count
