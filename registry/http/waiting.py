"""Waiting for a socket: for as long as it takes on the event loop, for a moment on a thread."""

import asyncio
import fcntl
import select
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_SHORTEST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.05


async def writable(socket: int, seconds: float) -> None:
    """Wait until a socket takes bytes; raises TimeoutError."""
    loop = asyncio.get_running_loop()
    await _ready(socket, loop.add_writer, loop.remove_writer, seconds)


async def readable(socket: int, seconds: float) -> None:
    """Wait until a socket has bytes, or its end; raises TimeoutError."""
    loop = asyncio.get_running_loop()
    await _ready(socket, loop.add_reader, loop.remove_reader, seconds)


async def _ready(socket: int, add: Callable[..., object], remove: Callable[[int], object], seconds: float) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(socket, _wake, ready)
    try:
        async with asyncio.timeout(seconds):
            await ready
    finally:
        remove(socket)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


class Pace:
    """How long a client that sends little is left alone before it is asked again.

    It grows while little comes, for a thread's turn costs as much for few bytes as for many; but it begins with next to
    nothing, for of most bodies little is there when the first thread looks, and the rest comes right after.
    """

    def __init__(self) -> None:
        self._seconds = _SHORTEST_PAUSE_SECONDS

    def pause_after(self, *, is_little: bool) -> float:
        """Seconds to wait after a turn in which so much came; none where it was worth the turn."""
        seconds = self._seconds
        if is_little:
            self._seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
            return seconds
        self._seconds = max(seconds / 2, _SHORTEST_PAUSE_SECONDS)
        return 0.0


class Patience:
    """A thread's: it waits for a socket no longer than this, over all its waits."""

    def __init__(self, socket: int, event: int, milliseconds: float) -> None:
        self._socket = socket
        self._event = event
        self._left = milliseconds
        self._poll: Callable[[float], object] | None = None

    def waits(self) -> bool:
        """Wait until the socket is ready; False when patience is at its end."""
        if self._left <= 0:
            return False
        if self._poll is None:
            poller = select.poll()
            poller.register(self._socket, self._event)
            self._poll = poller.poll
        began = time.monotonic()
        is_ready = bool(self._poll(self._left))
        self._left -= (time.monotonic() - began) * 1000
        return is_ready


def unacknowledged(transport: asyncio.Transport) -> int:
    """How many bytes the kernel holds, 0 where it does not tell.

    It takes more only after much has gone (measured: 1 MB), so to a slow reader the transport alone looks stalled.
    """
    connection = transport.get_extra_info("socket")
    with suppress(OSError):
        return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0
