"""Taking a body from its socket on the worker thread that writes it.

- Measured with pushes of 100 MiB: the event loop copies each chunk into memory of its own, parses it, and hops to a
  thread with every batch of them. A thread with one buffer does the same work for a quarter less CPU time.
- A slow client holds no thread, and no memory: the thread goes when the socket is empty, and the loop waits. Whoever
  sends little at a time is asked less often.
- Bodies without a length, and those over TLS, come through the loop.
"""

import asyncio
import os
import select
import threading
from collections import deque
from typing import Final

from aiohttp import web

from registry.http.connection import Connection
from registry.http.lending import LEAST_BYTES, Loan
from registry.http.refusals import BodyTooSlow
from registry.http.waiting import Patience, readable
from storage.blobs.interface import WriteFrom

_BUFFER_BYTES: Final = 1024 * 1024
# Each of many clients gets its turn with the few threads, and the core its chance to note how far they are.
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
_PATIENCE_MILLISECONDS: Final = 20
_TRICKLE_BYTES: Final = 64 * 1024
_TRICKLE_SECONDS: Final = 0.05


class _Buffers(threading.local):
    """A buffer for each thread, used again and again: fresh memory costs as much as reading into it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))


_OWN: Final = _Buffers()


async def receive(request: web.Request, write_from: WriteFrom, *, idle_seconds: float) -> bool:
    """Have the body of a request taken from its socket by the threads that write it; False where it cannot be.

    Raises BodyTooSlow or ConnectionResetError after what came was written, and what writing raises.
    """
    content, connection, length = request.content, request.protocol, request.content_length or 0
    if length - content.total_bytes < LEAST_BYTES or not isinstance(connection, Connection):
        return False
    loan = connection.lend(content)
    if loan is None:
        return False
    body = _SocketBody(loan, length)
    try:
        await _receive(body, write_from, idle_seconds)
    except (BodyTooSlow, ConnectionError) as error:
        content.set_exception(error)
        raise
    finally:
        os.close(loan.socket)
        content.total_bytes = length - body.left  # for who counts them
        connection.take_back(content, body.untaken)
    return True


async def _receive(body: "_SocketBody", write_from: WriteFrom, idle_seconds: float) -> None:
    while body.left:
        body.allow(_BYTES_AT_ONCE)
        before = body.left
        await write_from(body.take, before)
        if body.error is not None:
            raise ConnectionResetError from body.error
        if body.left and before - body.left < _TRICKLE_BYTES:
            await asyncio.sleep(_TRICKLE_SECONDS)
        if body.left:
            try:
                await readable(body.socket, idle_seconds)
            except TimeoutError:
                raise BodyTooSlow from None


class _SocketBody:
    """A body of so many bytes: some came, the others are in a socket, or will be. Threads take it, one at a time."""

    def __init__(self, loan: Loan, length: int) -> None:
        self.socket = loan.socket
        self.left = length
        self.error: OSError | None = None
        self._begun = deque(memoryview(chunk) for chunk in loan.begun)
        self._allowed = 0
        self._patience = Patience(self.socket, select.POLLIN, 0)

    @property
    def untaken(self) -> int:
        """Bytes that are still in the socket, or to come."""
        return self.left - sum(map(len, self._begun))

    def allow(self, most: int) -> None:
        """Let a thread take so many bytes, and wait for some of them."""
        self._allowed = most
        self._patience = Patience(self.socket, select.POLLIN, _PATIENCE_MILLISECONDS)

    def take(self, limit: int) -> memoryview:
        """The next bytes, in memory of the thread; fewer than asked for where no more come soon."""
        room = _OWN.buffer[: min(limit, self.left, self._allowed)]
        count = self._take_begun(room)
        while count < len(room) and self.error is None:
            try:
                read = os.readv(self.socket, [room[count:]])
            except BlockingIOError:
                if not self._is_worth_waiting(count) or not self._patience.waits():
                    break
                continue
            except OSError as error:
                self.error = error
                break
            if not read:
                self.error = ConnectionResetError("the client closed the connection")
            count += read
        self.left -= count
        self._allowed -= count
        return room[:count]

    def _is_worth_waiting(self, count: int) -> bool:
        """Whether this client sends fast enough that a thread may wait for more."""
        return _BYTES_AT_ONCE - self._allowed + count >= _TRICKLE_BYTES

    def _take_begun(self, room: memoryview) -> int:
        count = 0
        while self._begun and count < len(room):
            chunk = self._begun.popleft()
            taken = min(len(chunk), len(room) - count)
            room[count : count + taken] = chunk[:taken]
            count += taken
            if taken < len(chunk):
                self._begun.appendleft(chunk[taken:])
        return count
