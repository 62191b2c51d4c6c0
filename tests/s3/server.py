"""A small, strict S3 in memory: real HTTP on a loopback port, from a thread and an event loop of its own."""

import asyncio
import socket
import struct
import threading
from concurrent.futures import Future
from http import HTTPStatus
from types import TracebackType
from typing import Self

import uvloop
from aiohttp import web

from tests.s3.account import Account
from tests.s3.answers import Answer, refusal
from tests.s3.calls import Call, call_of
from tests.s3.faults import Fault, FaultKind, Faults
from tests.s3.journal import Entry, Journal
from tests.s3.operations import admit, perform
from tests.s3.payloads import payload_of
from tests.s3.refusals import Refused

_READ_BYTES = 2**20
_POLL_SECONDS = 0.002
_SHUTDOWN_SECONDS = 0.2


class _Cut(Exception):
    """The connection is to be reset, as a fault says."""


class S3Server(Account):
    """An account that is served at `url` between `with` and its end; `requests` tells what came, `faults` break it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.requests = Journal()
        self.url = ""
        self._started: Future[str] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="s3-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._started.result(timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.clear()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:
                if self._started.done():
                    raise
                self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # no access log; bodies as they were sent; a client that was refused early gets a second to hear it
        server = web.Server(
            self._respond, access_log=None, auto_decompress=False, read_bufsize=_READ_BYTES, lingering_time=1
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._started.set_result(f"http://127.0.0.1:{runner.addresses[0][1]}")
            await self._stopped.wait()
        finally:
            await runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        call = call_of(request.method, request.raw_path, headers)
        fault = self.faults.take(call.operation, call.key)
        try:
            answer = await self._answer(request, call, fault)
            return await _sent(request, call, answer, fault)
        except _Cut:
            _reset(request)
            return web.Response()  # nobody hears it

    async def _answer(self, request: web.BaseRequest, call: Call, fault: Fault | None) -> Answer:
        """Read, do the work and let the fault show, in the order of the fault."""
        try:
            received = await self._received(request, call, fault)
        except Refused as refused:
            return refusal(refused, call.path, call.id)
        if fault is None:
            return self._worked(call, received)
        if fault.kind is FaultKind.ERROR:
            return _refusal_of(fault, call)
        if fault.kind is FaultKind.ERROR_IN_200:
            return Answer(200, {"Content-Type": "application/xml"}, _refusal_of(fault, call).body)
        if not fault.works_first:
            await _wait(fault)
        answer = self._worked(call, received)
        if fault.kind is FaultKind.ANSWER_LOST:
            raise _Cut
        if fault.works_first:
            await _wait(fault)
        return answer

    async def _received(self, request: web.BaseRequest, call: Call, fault: Fault | None) -> bytes:
        """The body of an admitted call; who waits for "100 Continue" is refused without it."""
        if fault is not None and fault.kind is FaultKind.RESET:
            self._note(call, 0)
            raise _Cut
        refused: Refused | None = None
        try:
            admit(self, call)
        except Refused as error:
            refused = error
        if "expect" in call.headers:
            if refused is not None:
                self._note(call, 0)
                raise refused
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if fault is not None and fault.kind is FaultKind.RESET_IN_BODY:
            self._note(call, await _read_some(request, fault))
            raise _Cut
        received = await request.content.read() if request.body_exists else b""
        self._note(call, len(received))
        if refused is not None:
            raise refused
        return received

    def _worked(self, call: Call, received: bytes) -> Answer:
        try:
            payload = payload_of(call, received, refuses_trailers=self.refuses_trailers)
            return perform(self, call, payload)
        except Refused as refused:
            return refusal(refused, call.path, call.id)

    def _note(self, call: Call, body_length: int) -> None:
        self.requests.add(Entry(call.operation, call.bucket, call.key, call.query, call.headers, body_length))


def _refusal_of(fault: Fault, call: Call) -> Answer:
    told = refusal(Refused(fault.code, status=fault.status), call.path, call.id)
    return Answer(told.status, {**told.headers, **fault.headers}, told.body if fault.has_body else b"")


async def _wait(fault: Fault) -> None:
    if fault.kind is FaultKind.DELAY:
        await asyncio.sleep(fault.seconds)
    elif fault.kind is FaultKind.HANG:
        fault.reached.set()
        while not fault.released.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(_POLL_SECONDS)


async def _read_some(request: web.BaseRequest, fault: Fault) -> int:
    """Read as much of the body as the fault lets through; returns how much that was."""
    limit_bytes = (request.content_length or 0) // 2 if fault.at_byte is None else fault.at_byte
    length = 0
    while length < limit_bytes and (chunk := await request.content.read(limit_bytes - length)):
        length += len(chunk)
    return length


async def _sent(request: web.BaseRequest, call: Call, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    headers = {**answer.headers, "x-amz-request-id": call.id, "Server": "lading-test-s3"}
    body = answer.body
    if call.method == "HEAD":
        body = body if answer.status < HTTPStatus.MULTIPLE_CHOICES else b""  # the errors of a HEAD are empty
        headers["Content-Length"] = str(len(body))
    if fault is not None and fault.kind is FaultKind.FLIP:
        body = _flipped(body, fault.at_byte or 0)
    if fault is not None and fault.kind is FaultKind.TRUNCATE:
        return await _truncated(request, Answer(answer.status, headers, body), fault.at_byte or 0)
    response = web.Response(status=answer.status, headers=headers, body=body)
    if not request.content.is_eof():
        response.force_close()  # what is left of the body must not be taken for a request
    return response


def _flipped(body: bytes, at_byte: int) -> bytes:
    return body[:at_byte] + bytes(byte ^ 1 for byte in body[at_byte : at_byte + 1]) + body[at_byte + 1 :]


async def _truncated(request: web.BaseRequest, answer: Answer, at_byte: int) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    response.force_close()
    await response.prepare(request)
    await response.write(answer.body[:at_byte])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.BaseRequest) -> None:
    """End the connection with a RST, also when everything was read."""
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
