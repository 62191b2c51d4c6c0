"""One client's connection: aiohttp's protocol with the bounds and manners of a registry.

- The head of a request arrives within its time, or the connection is closed: with 408 when a part of it came.
- An unfinished head, or the trailer of a body, holds no more than two of the longest lines; beyond that it is refused.
- Bytes that nobody takes, of whatever answer, wait only so long: then the connection is cut off.
- A worker that has all the connections it may have closes the longest of those that wait for a request.
- What aiohttp's parser refuses gets the error document that clients of `/v2/` can read, and no traceback in the log.
- What a shortcut can answer where it arrives never gets to the parser.
- A body that the parser gives up on is an error to who reads it, never a wait.
- Whoever takes a body from its socket by himself is lent the socket, and gives it back.
- While draining, a busy connection finishes its request and no other; the answer says `Connection: close`.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from registry.http.lending import HEAD_END
from registry.http.refusals import HEADERS, METHODS, BodyTooSlow, document, raw_answer, verdict
from registry.http.sending import SendingConnection, SendTo
from registry.http.waiting import unacknowledged
from registry.logs import Logger

_KEEPALIVE_SECONDS: Final = 75
_LINGER_SECONDS: Final = 5
_FAREWELL_SECONDS: Final = 1
_STALLED_LOOKS: Final = 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of a connection."""

    header_bytes: int
    """Longest line of a head; a head may have twice as much."""
    header_seconds: float
    idle_seconds: float
    """How long bytes may wait for a client that takes none; noticed up to half as much later."""
    connections: int
    """Most connections of one worker."""


class Connection(SendingConnection):
    """One connection; after `drain` it ends with the next answer."""

    __slots__ = (
        "_draining",
        "_head",
        "_head_begun",
        "_head_timer",
        "_limits",
        "_log",
        "_stalled_looks",
        "_taken",
        "_unsent",
        "_useless_bytes",
        "_wire",
        "_write_timer",
        "shortcut",
    )

    def __init__(
        self, server: web.Server, limits: ConnectionLimits, log: Logger, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes
            - 1,  # a LineTooLong names only the limit: so they tell lines from headers
            auto_decompress=False,  # a blob is the bytes that were sent, whatever Content-Encoding says
        )
        self._log = log
        self._limits = limits
        self.shortcut: Callable[[bytes], bytes | SendTo | None] | None = None
        """Gives the answer to the head of a request, or what sends it; None where it has to be handled."""
        self._head = b""
        self._head_begun = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._useless_bytes = 0  # since the last that completed a head or belonged to a body
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its own before all is sent
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0, 0
        self._stalled_looks = 0
        self._taken = False  # the client took bytes since the last look

    @property
    def is_draining(self) -> bool:
        """The answer to the request in hand is the last one."""
        return self._draining

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, if there is room for another connection."""
        super().connection_made(transport)
        self._wire = self.transport
        self._look_later()
        self._await_head()
        self._find_room()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the clocks."""
        self._head_arrived()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._wire = None
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._taken = True
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Answer, or feed the parser no more of a head than it may have."""
        if self._sending is not None:
            self._keep_for_later(data)
            return
        if self.shortcut is not None and self._is_at_rest() and (answer := self.shortcut(data)) is not None:
            self._answer(answer, data)
            return
        self._handle(data)

    def _handle(self, data: bytes) -> None:
        data = self._for_parser(data)
        while True:
            most = self._digestible()
            if data and most == 0:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too long")
                return
            if len(data) <= most:
                self._feed(data)
                return
            self._feed(data[:most])
            data = self._for_parser(data[most:])

    def take_head(self) -> bytes:
        """The head of the request in hand, as it came, if it came at once and nothing else with it; empty if not."""
        head, self._head = self._head, b""
        return head

    def _answer(self, answer: bytes | SendTo, request: bytes) -> None:
        self._taken = True
        if self.transport is None:
            return
        if isinstance(answer, bytes):
            self._next_keepalive_close_time = self._loop.time() + _KEEPALIVE_SECONDS
            self.transport.write(answer)
        else:
            self._begin_sending(self.transport, answer, request)

    def _is_at_rest(self) -> bool:
        """Whether the next byte begins a request that may be answered at once."""
        return (
            self._is_waiting()
            and not self._head_begun
            and self._untaken is None
            and not self._draining
            and not self._paused
            and not self._force_close
            and self.transport is not None
            and self.transport.get_write_buffer_size() == 0
        )

    def _digestible(self) -> int:
        """How many bytes may go to the parser at once."""
        if not self._body.is_eof() or self._reading_paused or self._buffer_paused or self.transport is None:
            return sys.maxsize
        return min(self._limits.header_bytes, 2 * self._limits.header_bytes - self._useless_bytes)

    def _feed(self, data: bytes) -> None:
        """Watch over heads and bodies while aiohttp parses."""
        body, count, received = self._body, self._request_count, self._body.total_bytes
        in_body, is_first = not body.is_eof(), self._is_waiting() and not self._head_begun
        apart = 0 if in_body or self._head_begun else self._head_apart(data)
        super().data_received(data[:apart] if apart else data)
        if apart and not self._hold_chunks(data[apart:], is_new=self._request_count == count + 1):
            super().data_received(data[apart:])
        # Kept only while nothing else came: it must never be taken for the head of another request.
        is_whole = is_first and self._request_count == count + 1 and data.find(HEAD_END) == len(data) - len(HEAD_END)
        self._head = data if is_whole else b""
        if self._request_count != count:
            self._head_arrived()
            self._body = self._messages[-1][1] if self._messages else EMPTY_PAYLOAD
            if self._messages:
                self._hold_back(*self._messages[-1])
            if in_body and not body.is_eof() and self._body is not body:  # only an error begins in the middle of a body
                body.set_exception(RequestPayloadError("the body is not framed as HTTP says"))
        elif in_body:
            self._watch_trailer(body, 0 if body.total_bytes != received else len(data))
        elif data and self.transport is not None:
            self._useless_bytes += len(data)
            self._head_begun = True
            if self._head_timer is None:
                self._await_head()

    def _watch_trailer(self, body: StreamReader, useless: int) -> None:
        self._useless_bytes = self._useless_bytes + useless if useless else 0
        if self._useless_bytes > 2 * self._limits.header_bytes and not self._reading_paused:
            body.set_exception(RequestPayloadError("the trailer of the body is too long"))
            self.close()

    def drain(self) -> None:
        """Make the next answer, or the one in progress, the last."""
        self._draining = True

    def close_if_idle(self) -> None:
        """Close unless a request is being handled or has begun to arrive."""
        if self._is_waiting() and not self._head_begun:
            self.force_close()  # close() would leave the transport open; what is written is still sent

    def give_way(self) -> bool:
        """Close if no request is being handled; returns whether it did."""
        if not self._is_waiting():
            return False
        self.force_close()
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of an answer; the connection ends with it while draining."""
        if self._draining:
            resp.force_close()
        self._taken = True
        self.let_come(self._body)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (the signature is aiohttp's)
    ) -> web.StreamResponse:
        """Answer what no handler answered; raises ConnectionError when the client is gone or bytes have been sent."""
        if isinstance(exc, ConnectionError) or self.transport is None:
            text = "the client went away"
            raise ConnectionResetError(text) from exc
        status, text = verdict(status, exc, longest_line=self._limits.header_bytes)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log.error("a request failed without an answer", exc_info=exc, remote=request.remote)
        else:
            self._log.debug("a request was refused", reason=str(exc), status=status, remote=request.remote)
        if request.writer.output_size > 0:
            text = "the answer has begun: closing is the only way left to say that it failed"
            raise ConnectionAbortedError(text) from exc
        response = web.Response(status=status, body=document(text), headers=HEADERS)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = METHODS
        response.force_close()
        return response

    def log_exception(self, *args: object, **kw: object) -> None:
        """Keep silent about what the client did to its own body: who reads the body has been told."""
        if not isinstance(kw.get("exc_info"), RequestPayloadError | BodyTooSlow):
            super().log_exception(*args, **kw)

    def _is_waiting(self) -> bool:
        """No request is being handled, and no answer sent."""
        return self._waiter is not None and not self._waiter.done() and self._sending is None

    def _ends_with_answer(self) -> bool:
        return self._draining or super()._ends_with_answer()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._limits.header_seconds, self._head_is_late)

    def _head_arrived(self) -> None:
        self._head_begun = False
        self._useless_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport is None:
            return
        if not self._is_waiting():  # a client that sends ahead: its answer comes first
            self._await_head()
            return
        if self._head_begun:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the head of the request took too long to arrive")
        else:
            self.force_close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer a head that will not be read to its end, and close."""
        if self.transport is None or not self._is_waiting():  # the answer to an earlier request is the last
            self.close()
            return
        self.transport.write(raw_answer(status, message))
        if not self.transport.can_write_eof():
            self.force_close()
            return
        # closed at once, TCP could reset the answer away under a client that sends
        self.transport.write_eof()
        self.close()
        self._loop.call_later(_FAREWELL_SECONDS, self.force_close)

    def _look_later(self) -> None:
        self._write_timer = self._loop.call_later(self._limits.idle_seconds / _STALLED_LOOKS, self._look_after_writes)

    def _look_after_writes(self) -> None:
        """Cut the client off when what is written to it has not moved since the look before the last.

        One timer in the life of a connection: whatever writes, there is nothing to arm and nothing to forget.
        """
        if self._wire is None:
            return
        unsent = self._wire.get_write_buffer_size(), unacknowledged(self._wire)
        is_stalled = unsent[0] > 0 and unsent == self._unsent and not self._taken
        self._stalled_looks = self._stalled_looks + 1 if is_stalled else 0
        self._unsent, self._taken = unsent, False
        if self._stalled_looks < _STALLED_LOOKS:
            self._look_later()
            return
        self._log.debug("a client that takes no answer was cut off", unsent_bytes=sum(unsent))
        self._wire.abort()

    def _find_room(self) -> None:
        """Let the connection that has waited longest make room when there are too many, or give this one up."""
        server = self._manager
        if server is None or self._wire is None:
            return
        if len(server._connections) <= self._limits.connections:  # noqa: SLF001 (its public list is a copy)
            return
        if not any(isinstance(other, Connection) and other.give_way() for other in server.connections):
            self._log.warning("a connection was refused: there are too many", limit=self._limits.connections)
            self._wire.abort()


async def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    """Say `Connection: close` in the head of an answer while draining; a signal for `on_response_prepare`."""
    if isinstance(request.protocol, Connection) and request.protocol.is_draining:
        response.force_close()
        response.headers["Connection"] = "close"


def connection_factory(server: web.Server, limits: ConnectionLimits, log: Logger) -> Callable[[], Connection]:
    """Return what makes the protocol of each new connection, for `loop.create_server`."""
    loop = asyncio.get_running_loop()
    return lambda: Connection(server, limits, log, loop)
