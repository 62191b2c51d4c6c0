"""Reading a span of an object: streamed from where the client is, and ahead of it while there is memory to spare.

- A span is read in windows of 8 MiB. The one that the client is at is streamed; the next two are fetched meanwhile,
  each over a connection of its own, when the budget has room for them.
- An answer that breaks off is continued from where it stopped.
- However slow a client is, it holds a chunk of memory and a connection, and no thread.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

from storage.blobs.interface import Span
from storage.blobs.s3.bucket import Body, Bucket, pause
from storage.blobs.s3.client import ObjectMissing, s3_errors, unavailable
from storage.budget import BufferBudget
from storage.errors import StoreUnavailable

WINDOW_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 512 * 1024
_SMALL_CHUNK_BYTES: Final = 64 * 1024
_AHEAD: Final = 2
_ATTEMPTS: Final = 4


class _Window:
    """One part of a span, read over one connection at a time; its methods block.

    `total` is how long the object must be, None for any length.
    """

    def __init__(self, bucket: Bucket, key: str, span: Span, total: int | None) -> None:
        self._bucket = bucket
        self._key = key
        self._offset = span.offset
        self._end = span.end
        self._total = total
        self._body: Body | None = None
        self.length = span.length
        self.is_given_up = False

    @property
    def is_finished(self) -> bool:
        """Whether all of it was read."""
        return self._offset == self._end

    def next(self, limit: int) -> bytes:
        """At most `limit` more bytes; raises ObjectMissing, or StoreUnavailable after the last attempt."""
        for attempt in range(1, _ATTEMPTS + 1):
            body = self._body or self._open()
            try:
                with s3_errors(self._bucket.place):
                    chunk = body.read(min(limit, self._end - self._offset))
                if not chunk:
                    raise unavailable("S3 ended an answer before its end")
            except StoreUnavailable:
                self.close()
                if attempt == _ATTEMPTS:
                    raise
                pause(attempt)
            else:
                self._offset += len(chunk)
                if self.is_finished:
                    self.close()
                return chunk
        raise AssertionError  # the loop returns or raises

    def rest(self) -> list[bytes]:
        """All that is left, unless it is given up meanwhile."""
        chunks = []
        while not self.is_finished and not self.is_given_up:
            chunks.append(self.next(_CHUNK_BYTES))
        self.close()
        return chunks

    def close(self) -> None:
        """Let go of the connection."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _open(self) -> Body:
        body, total = self._bucket.open(self._key, Span(self._offset, self._end - self._offset))
        if self._total is not None and total != self._total:
            body.close()
            raise ObjectMissing
        self._body = body
        return body


class _Ahead:
    """The windows that are fetched before the client is there; what they hold is counted in the budget."""

    def __init__(self, bucket: Bucket, budget: BufferBudget) -> None:
        self._bucket = bucket
        self._budget = budget
        self._fetching: deque[tuple[_Window, asyncio.Future[list[bytes]]]] = deque()

    def fill(self, windows: deque[_Window]) -> None:
        """Fetch the next windows, while memory is no matter."""
        while windows and len(self._fetching) < _AHEAD and not self._budget.is_short:
            if not self._budget.try_take(windows[0].length):
                return
            window = windows.popleft()
            self._fetching.append((window, asyncio.ensure_future(self._bucket.run(window.rest))))

    def __bool__(self) -> bool:
        """Whether a window was fetched, or is being."""
        return bool(self._fetching)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The chunks of the window that was asked for first."""
        window, fetching = self._fetching.popleft()
        held = window.length
        try:
            await asyncio.wait([fetching])
            for chunk in fetching.result():
                yield chunk
                self._budget.give(len(chunk))
                held -= len(chunk)
        finally:
            window.is_given_up = True
            await asyncio.wait([fetching])
            self._budget.give(held)

    async def close(self) -> None:
        """Give up what was not asked for."""
        for window, _ in self._fetching:
            window.is_given_up = True
        for window, fetching in self._fetching:
            await asyncio.wait([fetching])
            fetching.exception()  # nobody waits for it any more
            self._budget.give(window.length)
        self._fetching.clear()


async def read_span(
    bucket: Bucket, budget: BufferBudget, key: str, span: Span, total: int | None
) -> AsyncGenerator[bytes, None]:
    """Stream a span that is not empty; raises ObjectMissing before the first chunk, or StoreUnavailable."""
    windows = deque(_Window(bucket, key, part, total) for part in _parts(span))
    ahead = _Ahead(bucket, budget)
    try:
        while windows or ahead:
            coming = ahead.chunks() if ahead else _stream(bucket, budget, windows.popleft())
            async with aclosing(coming) as chunks:
                async for chunk in chunks:
                    ahead.fill(windows)
                    yield chunk
    finally:
        await ahead.close()


async def _stream(bucket: Bucket, budget: BufferBudget, window: _Window) -> AsyncGenerator[bytes, None]:
    try:
        while not window.is_finished:
            counted = _CHUNK_BYTES if budget.try_take(_CHUNK_BYTES) else 0
            try:
                limit = counted or _SMALL_CHUNK_BYTES
                yield await bucket.run(lambda limit=limit: window.next(limit))  # type: ignore[misc]  # mypy cannot infer it
            finally:
                budget.give(counted)
    finally:
        window.close()


def _parts(span: Span) -> Iterator[Span]:
    for offset in range(span.offset, span.end, WINDOW_BYTES):
        yield Span(offset, min(WINDOW_BYTES, span.end - offset))
