"""One client's connection: aiohttp's protocol with the bounds and manners of a registry.

- The head of a request arrives within its time, or the connection is closed: with 408 when a part of it came.
- What aiohttp's parser refuses gets the error document that clients of `/v2/` can read, and no traceback in the log.
- A body that the parser gives up on is an error to who reads it, never a wait.
- While draining, a busy connection finishes its request and no other; the answer says `Connection: close`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from registry.http.bodies import BodyTooSlow
from registry.logs import Logger

_KEEPALIVE_SECONDS: Final = 75
_LINGER_SECONDS: Final = 5
_FAREWELL_SECONDS: Final = 1
_HEADERS: Final = {
    "Docker-Distribution-API-Version": "registry/2.0",
    "Content-Type": "application/json",
    "Server": "Lading",
}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of a connection."""

    header_bytes: int
    header_seconds: float


class Connection(RequestHandler):
    """One connection; after `drain` it ends with the next answer."""

    __slots__ = ("_body", "_draining", "_head_begun", "_head_seconds", "_head_timer", "_line_bytes", "_log")

    def __init__(
        self, server: web.Server, limits: ConnectionLimits, log: Logger, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp means None to be given, and says so elsewhere
            keepalive_timeout=_KEEPALIVE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes
            - 1,  # a LineTooLong names only the limit: so they tell lines from headers
            auto_decompress=False,  # a blob is the bytes that were sent, whatever Content-Encoding says
        )
        self._log = log
        self._line_bytes = limits.header_bytes
        self._head_seconds = limits.header_seconds
        self._head_begun = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """The answer to the request in hand is the last one."""
        return self._draining

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the clock."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Watch over heads and bodies while aiohttp parses."""
        body, count = self._body, self._request_count
        in_body = not body.is_eof()
        super().data_received(data)
        if self._request_count != count:
            self._head_arrived()
            self._body = self._messages[-1][1] if self._messages else EMPTY_PAYLOAD
            if in_body and not body.is_eof() and self._body is not body:  # only an error begins in the middle of a body
                body.set_exception(RequestPayloadError("the body is not framed as HTTP says"))
        elif data and not in_body and self.transport is not None:
            self._head_begun = True
            if self._head_timer is None:
                self._await_head()

    def drain(self) -> None:
        """Make the next answer, or the one in progress, the last."""
        self._draining = True

    def close_if_idle(self) -> None:
        """Close unless a request is being handled or has begun to arrive."""
        if self._is_waiting() and not self._head_begun:
            self.force_close()  # close() would leave the transport open; what is written is still sent

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of an answer; the connection ends with it while draining."""
        if self._draining:
            resp.force_close()
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
        status, text = self._verdict(status, exc)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log.error("a request failed without an answer", exc_info=exc, remote=request.remote)
        else:
            self._log.debug("a request was refused", reason=str(exc), status=status, remote=request.remote)
        if request.writer.output_size > 0:
            text = "the answer has begun: closing is the only way left to say that it failed"
            raise ConnectionAbortedError(text) from exc
        response = web.Response(status=status, body=_document(text), headers=_HEADERS)
        response.force_close()
        return response

    def log_exception(self, *args: object, **kw: object) -> None:
        """Keep silent about what the client did to its own body: who reads the body has been told."""
        if not isinstance(kw.get("exc_info"), RequestPayloadError | BodyTooSlow):
            super().log_exception(*args, **kw)

    def _verdict(self, status: int, exc: BaseException | None) -> tuple[int, str]:
        match exc:
            case LineTooLong() if exc.args[1] == self._line_bytes:
                return HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line is longer than {self._line_bytes} bytes"
            case LineTooLong():
                limit = self._line_bytes
                return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request header is longer than {limit} bytes"
            case HttpProcessingError() | RequestPayloadError():
                return HTTPStatus.BAD_REQUEST, "the request is not valid HTTP"
        return status, HTTPStatus(status).phrase.lower()

    def _is_waiting(self) -> bool:
        """No request is being handled."""
        return self._waiter is not None and not self._waiter.done()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_seconds, self._head_is_late)

    def _head_arrived(self) -> None:
        self._head_begun = False
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
            body = _document("the head of the request took too long to arrive")
            self.transport.write(_REQUEST_TIMEOUT % (len(body), body))
            if (
                self.transport.can_write_eof()
            ):  # closed at once, TCP could reset the answer away under a client that sends
                self.transport.write_eof()
                self.close()
                self._loop.call_later(_FAREWELL_SECONDS, self.force_close)
                return
        self.force_close()


async def close_when_draining(request: web.Request, response: web.StreamResponse) -> None:
    """Say `Connection: close` in the head of an answer while draining; a signal for `on_response_prepare`."""
    if isinstance(request.protocol, Connection) and request.protocol.is_draining:
        response.force_close()
        response.headers["Connection"] = "close"


def connection_factory(server: web.Server, limits: ConnectionLimits, log: Logger) -> Callable[[], Connection]:
    """Return what makes the protocol of each new connection, for `loop.create_server`."""
    loop = asyncio.get_running_loop()
    return lambda: Connection(server, limits, log, loop)


_REQUEST_TIMEOUT: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nDocker-Distribution-API-Version: registry/2.0\r\n"
    b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
)


def _document(message: str) -> bytes:
    """Draw the error document of the OCI distribution specification, "Error Codes"."""
    return orjson.dumps({"errors": [{"code": "UNSUPPORTED", "message": message, "detail": None}]})
