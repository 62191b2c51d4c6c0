"""Answers that are sent by a task of the connection, without a request: what the connection does meanwhile.

- It is busy: nothing closes it as idle, and what stops the server waits for it, also where the client has closed its
  side.
- What the client sends ahead waits, and is taken up after the answer; too much of it is left in the socket.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from registry.http.lending import Lender

_AHEAD_BYTES: Final = 64 * 1024
_PUTTING_AWAY_SECONDS: Final = 2.0

SendTo = Callable[[asyncio.Transport], Awaitable[None]]
"""Sends a whole answer. Raises NotBegun; or ConnectionError where it could not, after whom it concerns was told."""


class NotBegun(Exception):
    """Nothing was sent: the request is to be handled as if it had just come."""


class SendingConnection(Lender):
    """A connection that is at rest, handles requests as aiohttp does, or sends an answer of its own."""

    __slots__ = ("_ahead", "_sending")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  aiohttp's own
        super().__init__(*args, **kwargs)
        self._sending: asyncio.Task[None] | None = None
        self._ahead = b""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Have the server know of the connection until nothing is sent over it any more: a client may read on."""
        if self._sending is not None:
            self._task_handler = self._sending
        super().connection_lost(exc)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  the signature is aiohttp's
        """Close, after the answer if it ends in time; if not, whom it concerns is told before this returns.

        A handler that is cancelled has so long to put away what it has: what it needs for that is closed next.
        """
        self._force_close = True
        handling = self._task_handler
        if self._sending is not None:
            _, late = await asyncio.wait([self._sending], timeout=timeout)
            for sending in late:
                sending.cancel()
                await asyncio.wait(late, timeout=timeout)
        await super().shutdown(timeout)
        if handling is not None and not handling.done():
            await asyncio.wait([handling], timeout=_PUTTING_AWAY_SECONDS)

    def _begin_sending(self, transport: asyncio.Transport, send: SendTo, request: bytes) -> None:
        self._sending = self._loop.create_task(self._send(transport, send, request))

    async def _send(self, transport: asyncio.Transport, send: SendTo, request: bytes) -> None:
        is_over, given_back = True, b""
        try:
            await send(transport)
            is_over = self._ends_with_answer()
        except NotBegun:
            is_over, given_back = False, request
        except ConnectionError:
            pass
        finally:
            self._sending = None
            if is_over or transport.is_closing():
                self.force_close()
        self._go_on(given_back)

    def _ends_with_answer(self) -> bool:
        """Whether the answer in hand is the last."""
        return self._close or self._force_close

    def _go_on(self, given_back: bytes) -> None:
        """Handle what was not answered, then what came meanwhile."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if given_back:
            self._handle(given_back)
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            self._resume_transport_reading()
            self.data_received(ahead)

    def _handle(self, data: bytes) -> None:
        """Take bytes as aiohttp does."""
        super().data_received(data)

    def _keep_for_later(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > _AHEAD_BYTES:
            self._pause_transport_reading()

    def _process_keepalive(self) -> None:
        if self._sending is not None:  # asked again when a whole time without requests has passed
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()
