"""What happens around every handler: a request id, access, errors turned into answers, a log line, the metrics."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Middleware

from registry.http.access import ACCESS, ACTION, CALLER
from registry.http.bodies import release_body
from registry.http.metrics import RequestMetrics
from registry.http.routes import Handler
from registry.http.transfers import Bodies
from registry.logs import Access as AccessRecord
from registry.logs import logger

REQUEST_ID = web.RequestKey("request_id", str)
FAILURE = web.RequestKey("failure", Exception)
"""What was raised and turned into the answer."""
SENT_BYTES = web.RequestKey("sent_bytes", int)
"""Bytes of the body that a handler sent past aiohttp's own count."""

SIGNATURE: Final = {"Server": "Lading"}

_HOST: Final = re.compile(r"([\w.~!$&'()*+,;=%-]*|\[[\w.:~!$&'()*+,;=-]+\])(:\d*)?", re.ASCII)

_RESET = struct.pack("ii", 1, 0)  # linger for no time: nothing that is unsent is sent

Learn = Callable[[web.Request, web.StreamResponse], None]
"""Hears of requests that were handled, for what is like them."""
Render = Callable[[web.Request, Exception], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class Observers:
    """Who hears of every answered request."""

    log: Callable[[AccessRecord], None] | None
    metrics: RequestMetrics
    audit: Callable[[web.Request, web.StreamResponse | None], Awaitable[None]]
    """Hears of an answer before it goes out, and of none where one was broken off."""


def answering(
    render: Render, observers: Observers, new_id: Callable[[], str], learn: Learn | None = None
) -> Middleware:
    """The one middleware: every request gets an answer, a log line and a count."""
    bodies = Bodies()

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request[REQUEST_ID] = new_id()
        response: web.StreamResponse | None = None
        try:
            response = await _answer(request, handler, render)
            bodies.in_pieces(response)
            await observers.audit(request, response)
        except (ConnectionError, asyncio.CancelledError):
            await observers.audit(request, None)
            raise
        else:
            if learn is not None:
                learn(request, response)
            return response
        finally:
            release_body(request)
            _observe(request, response, observers, time.perf_counter() - started)

    return answer


async def _answer(request: web.Request, handler: Handler, render: Render) -> web.StreamResponse:
    try:
        _check_head(request)
        await request.app[ACCESS].check(request)
        return await handler(request)
    except (ConnectionError, asyncio.CancelledError):
        # The client is gone, or the answer has begun: an answer would reach nobody or the middle of a blob.
        raise
    except Exception as error:
        if has_begun(request):
            break_off(request.transport, request[REQUEST_ID], error)
            raise ConnectionAbortedError from error
        request[FAILURE] = error
        response = render(request, error)
        if isinstance(error, web.HTTPBadRequest | web.HTTPNotImplemented):
            response.force_close()  # where the next request begins is anybody's guess
        return response


def _check_head(request: web.Request) -> None:
    """Refuse what a proxy could read otherwise: the host, and where the body ends (RFC 9112 sections 3.2 and 6.1)."""
    if _HOST.fullmatch(request.headers.get("Host", "")) is None:
        raise web.HTTPBadRequest(reason="the Host header names no host")
    codings = request.headers.getall("Transfer-Encoding", None)
    if codings is None:
        return
    if request.version < HttpVersion11:
        raise web.HTTPBadRequest(reason="HTTP/1.0 has no Transfer-Encoding")
    if [coding.lower() for coding in codings] != ["chunked"]:
        raise web.HTTPNotImplemented(reason="the only Transfer-Encoding of this server is chunked")


async def sign(_request: web.Request, response: web.StreamResponse) -> None:
    """Say which program answers, and nothing of what it runs on."""
    response.headers.update(SIGNATURE)


def has_begun(request: web.Request) -> bool:
    """Whether a part of the answer is on its way, so that no other can be given."""
    return request._payload_writer.output_size > 0  # noqa: SLF001  aiohttp tells it nowhere else


def break_off(transport: asyncio.Transport | None, request_id: str, error: Exception) -> None:
    """Reset a connection whose answer failed on its way, and log why.

    A client that counts no bytes must not take the end of the connection for that of the answer.
    """
    logger().error("answer broken off", request_id=request_id, exc_info=error)
    if transport is not None and not transport.is_closing():
        with suppress(OSError):  # the client was faster
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()


def _observe(request: web.Request, response: web.StreamResponse | None, observers: Observers, seconds: float) -> None:
    status = response.status if response is not None else 499
    caller = request.get(CALLER)
    action = request.get(ACTION)
    sent = request.get(SENT_BYTES, 0) or (response.content_length or 0 if response is not None else 0)
    received = getattr(request.content, "total_bytes", 0)
    action_name = None if action is None else str(action)
    observers.metrics.observe(
        method=request.method,
        action=action_name or "none",
        status=status,
        seconds=seconds,
        received_bytes=received,
        sent_bytes=sent,
    )
    if observers.log is None:
        return
    observers.log(
        AccessRecord(
            request_id=request[REQUEST_ID],
            principal=(caller.principal.name or None) if caller else None,
            repository=request.match_info.get("name"),
            action=action_name,
            remote=request.app[ACCESS].addresses.client(request),
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
            status=status,
            received_bytes=received,
            sent_bytes=sent,
            seconds=seconds,
        )
    )
