"""Stores in memory that are read as those that seal: a segment at a time, which may be damaged."""

import itertools
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from storage.blobs.interface import BlockingReader, Expected, Span
from storage.blobs.memory import MemoryStore
from storage.errors import SealBroken, StoredBytesMissing

SEGMENT: Final = 256 * 1024
DAMAGED: Final = "segment 5 is damaged, or not the one that belongs there"


class _Own(threading.local):
    """One buffer a thread: what was read before is gone."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(SEGMENT))


_OWN: Final = _Own()


class StreamingStore(MemoryStore):
    """Streams its copies, as one that seals does around a bucket; `failure`, where it is set, is raised for every one.

    `meanwhile` happens once, before a copy is looked for the next time.
    """

    def __init__(self) -> None:
        suffixes = itertools.count()
        super().__init__(new_suffix=lambda: f"{next(suffixes):032x}", now=lambda: 0.0)
        self.failure: Exception | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.expected: list[Expected | None] = []
        self.readers = 0
        self._damaged_from: dict[str, int] = {}

    @property
    def keys(self) -> list[str]:
        return list(self._contents.copies)

    def damage(self, segment: int) -> None:
        """All copies that there are open no more from a segment on."""
        self._damaged_from = dict.fromkeys(self.keys, segment * SEGMENT)

    def move(self, new: str) -> None:
        """Store the bytes of the one copy under another key, as when they are sealed anew."""
        [old] = self.keys
        self._contents.copies[new] = self._contents.copies.pop(old)

    def lose(self) -> None:
        """All copies are gone."""
        self._contents.copies.clear()

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """Length of a copy, however damaged."""
        await self._look_for(expected)
        return await super().size(key, expected=expected)

    async def _look_for(self, expected: Expected | None) -> None:
        self.expected.append(expected)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if self.failure is not None:
            raise self.failure

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span as far as it is not damaged."""
        await self._look_for(expected)
        damaged_from = self._damaged_from.get(key, span.end)
        async for chunk in super().read(key, span, expected=expected):
            if span.offset >= damaged_from:
                raise SealBroken(DAMAGED)
            span = Span(span.offset + len(chunk), span.length - len(chunk))
            yield chunk


class OpeningStore(StreamingStore):
    """Offers BlockingReads, as one that seals files does."""

    async def open_reader(self, key: str, *, expected: Expected | None = None) -> BlockingReader:
        """Open a copy, however damaged."""
        await self.size(key, expected=expected)
        self.readers += 1
        return _Reader(self, self._content(key), self._damaged_from.get(key))


class _Reader:
    piece_bytes = SEGMENT

    def __init__(self, store: OpeningStore, content: bytes, damaged_from: int | None) -> None:
        self._store = store
        self._content = content
        self._damaged_from = damaged_from

    def read(self, offset: int, end: int) -> memoryview:
        """Open the segment that a byte is in."""
        start = offset // SEGMENT * SEGMENT
        if offset >= len(self._content):
            raise StoredBytesMissing("beyond")
        if self._damaged_from is not None and start >= self._damaged_from:
            raise SealBroken(DAMAGED)
        piece = self._content[start : start + SEGMENT]
        _OWN.buffer[: len(piece)] = piece
        return _OWN.buffer[offset - start : min(len(piece), end - start)]

    def read_now(self, _offset: int, _end: int) -> memoryview | None:
        """Nothing is in memory."""
        return None

    def close(self) -> None:
        """Count it."""
        self._store.readers -= 1
