"""Reading request bodies: streamed in bounded memory, with a bound on silence."""

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import HttpVersion11, web

from registry.http.lending import Lender
from registry.http.receiving import Write, receive
from registry.http.refusals import BodyTooSlow
from storage.blobs.interface import WriteFrom
from storage.budget import BufferBudget

# Large enough that a thread hop and a system call cost little beside hashing.
_BATCH_BYTES = 1024 * 1024
# While memory is short, so that clients that stall keep little of it from the others.
_SMALL_BATCH_BYTES = 64 * 1024
# After so much silence a stream holds nothing that others could use.
_PAUSE_SECONDS = 1.0

# As much as a connection may hold anyway, before anybody reads from it.
_UNCOUNTED_BYTES = 64 * 1024

_HELD: web.RequestKey[tuple[BufferBudget, int]] = web.RequestKey("held", tuple)


class BodyTooLong(Exception):
    """The body is longer than this request may bring."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is longer than {limit_bytes} bytes")


class RequestBody:
    """The body of one request; what arrived before it broke off is handed on like the rest."""

    def __init__(self, request: web.Request, budget: BufferBudget, *, idle_seconds: float) -> None:
        self._request = request
        self._budget = budget
        self._idle_seconds = idle_seconds

    @property
    def announced(self) -> int | None:
        """The Content-Length, None when the body is chunked."""
        return self._request.content_length

    async def pour(self, write: Write, write_from: WriteFrom | None = None) -> None:
        """Hand every chunk to `write`, in order, reading on while it works; or have `write_from` take them all.

        Raises BodyTooSlow, or the connection's error, after what arrived was written.
        """
        if self.announced == 0:
            return
        await _invite(self._request)
        if write_from and await receive(self._request, write, write_from, idle_seconds=self._idle_seconds):
            return
        _let_come(self._request)
        pump = _Pump(write, self._budget)
        try:
            with _SilenceBound(self._request, self._idle_seconds, pump.let_go) as bound:
                while chunk := await bound.next_chunk():
                    await pump.take(chunk)
        finally:
            await pump.finish()


async def read_body(
    request: web.Request, *, limit_bytes: int, idle_seconds: float, budget: BufferBudget | None = None
) -> bytes:
    """The whole of a small body; raises BodyTooLong (before reading it, if it was announced) or BodyTooSlow.

    One of more than 64 KiB is held in the budget until `release_body`, all of it from the moment it grows so long: a
    body waits for its room while it has none, so that bodies cannot wait for each other.
    """
    if (request.content_length or 0) > limit_bytes:
        raise BodyTooLong(limit_bytes)
    content = request.content
    if content.is_eof() and content.total_bytes <= min(limit_bytes, _UNCOUNTED_BYTES):
        return content.read_nowait()  # it came with its head
    await _invite(request)
    _let_come(request)
    body = bytearray()
    try:
        with _SilenceBound(request, idle_seconds, lambda: None) as bound:
            while chunk := await bound.next_chunk():
                body += chunk
                await _hold(request, len(body), limit_bytes, budget)
    except BaseException:
        body.clear()  # the error stays with the request, and this frame with the error, until they are collected
        raise
    return bytes(body)


async def _hold(request: web.Request, size: int, limit_bytes: int, budget: BufferBudget | None) -> None:
    if size > limit_bytes:
        raise BodyTooLong(limit_bytes)
    if budget is not None and size > _UNCOUNTED_BYTES and _HELD not in request:
        size = request.content_length or limit_bytes
        await budget.take(size)
        request[_HELD] = budget, size


def release_body(request: web.Request) -> None:
    """Give back what `read_body` holds for a request, at its end."""
    error = request.content.exception()
    if error is not None:
        error.__traceback__ = (
            None  # its frames hold chunks, and the body holds the error: only a collection would end it
        )
    if _HELD in request:
        budget, size = request[_HELD]
        budget.give(size)


async def _invite(request: web.Request) -> None:
    """Tell a client that waits for it to send its body, but not one of HTTP/1.0 (RFC 9110 section 10.1.1)."""
    if request.headers.get("Expect", "").lower() != "100-continue" or request.version < HttpVersion11:
        return
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _let_come(request: web.Request) -> None:
    if isinstance(request.protocol, Lender):
        request.protocol.let_come(request.content)


class _SilenceBound:
    """Tells of a pause, and fails the body when the client sends nothing for too long.

    Time that the server takes does not count. Re-armed lazily, for a timer per chunk would cost too much.
    """

    def __init__(self, request: web.Request, seconds: float, on_pause: Callable[[], None]) -> None:
        self._content = request.content
        self._seconds = seconds
        self._on_pause = on_pause
        self._loop = asyncio.get_running_loop()
        self._listening_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(min(_PAUSE_SECONDS, self._seconds), self._check)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def next_chunk(self) -> bytes:
        """What has arrived, waiting for some; empty at the end of the body.

        When the body broke off, what came before that is given first.
        """
        self._listening_since = self._loop.time()
        try:
            return await self._content.readany()
        except (OSError, RuntimeError, web.RequestPayloadError) as error:
            arrived = self._content._read_nowait(-1)  # noqa: SLF001  aiohttp lets go of it no other way
            if arrived:
                return arrived
            if isinstance(error, ConnectionError | web.RequestPayloadError):
                raise
            raise ConnectionResetError from error  # a broken record of TLS; or it was lost before anybody read
        finally:
            self._listening_since = None

    def _check(self) -> None:
        silent = 0.0 if self._listening_since is None else self._loop.time() - self._listening_since
        if silent >= self._seconds:
            self._content.set_exception(BodyTooSlow())
            return
        if silent >= _PAUSE_SECONDS:
            self._on_pause()
        next_look = _PAUSE_SECONDS - silent if silent < _PAUSE_SECONDS else _PAUSE_SECONDS
        self._timer = self._loop.call_later(min(next_look, self._seconds - silent), self._check)


class _Pump:
    """Gathers chunks into batches, and writes one batch while the next gathers."""

    def __init__(self, write: Write, budget: BufferBudget) -> None:
        self._write = write
        self._budget = budget
        self._batch: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    async def take(self, chunk: bytes) -> None:
        """Add a chunk, waiting while the budget or the store is behind."""
        if not self._budget.try_take(len(chunk)):
            # Hold nothing while waiting, so that streams cannot wait for each other.
            await self._flush()
            await self._settle()
            await self._budget.take(len(chunk))
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= (_SMALL_BATCH_BYTES if self._budget.is_short else _BATCH_BYTES):
            await self._flush()

    def let_go(self) -> None:
        """Begin to write what is held, unless a write is under way; for a stream that waits for its client."""
        writing = self._writing
        if self._batch and (writing is None or (writing.done() and writing.exception() is None)):
            self._begin()

    async def finish(self) -> None:
        """Write what is left and wait for it, also after the body broke off."""
        try:
            await self._flush()
            await self._settle()
        finally:
            self._budget.give(self._size)
            self._size = 0

    async def _flush(self) -> None:
        if not self._batch:
            return
        await self._settle()
        self._begin()

    def _begin(self) -> None:
        batch, size = self._batch, self._size
        self._batch, self._size = [], 0
        self._writing = asyncio.ensure_future(self._write_batch(batch, size))

    async def _settle(self) -> None:
        """Wait for the write under way; a cancelled request waits too, for the store still uses its bytes."""
        if self._writing is not None:
            writing = self._writing
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])
                raise
            finally:
                self._writing = None
                if not writing.done() or writing.cancelled() or writing.exception() is not None:
                    self._batch = []  # it follows bytes that the store has not: nothing may lie in their place

    async def _write_batch(self, batch: list[bytes], size: int) -> None:
        try:
            await self._write(batch)
        finally:
            self._budget.give(size)
