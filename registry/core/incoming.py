"""Bytes of an upload that come in with one request, and where they go."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from storage.blobs.interface import BlobWriter, Take, WriteFrom

Write = Callable[[Sequence[bytes]], Awaitable[None]]


class Incoming(Protocol):
    """The body of a request, as the core sees it."""

    @property
    def announced(self) -> int | None:
        """Bytes that were announced, when they were."""

    async def pour(self, write: Write, write_from: WriteFrom | None, /) -> None:
        """Hand every chunk to `write`, in order; or have `write_from` take them, no more than were announced.

        Raises what broke the body off, after what came was written.
        """


@dataclass(frozen=True, slots=True)
class Gathered:
    """A short body that is in memory as far as it came, and what broke it off, if anything did (an Incoming)."""

    announced: int | None
    content: bytes
    error: BaseException | None

    async def pour(self, write: Write, _write_from: WriteFrom | None, /) -> None:
        """Hand it on; raises what broke it off, after what came was written."""
        if self.content:
            await write([self.content])
        if self.error is not None:
            raise self.error


async def gathered(body: Incoming) -> Gathered:
    """Take all of a short body into memory; raises nothing, for what came of it counts whatever broke it off."""
    content = bytearray()  # many small chunks would take many times their length

    async def take(more: Sequence[bytes]) -> None:
        for chunk in more:
            content.extend(chunk)

    error: BaseException | None = None
    try:
        await body.pour(take, None)
    except BaseException as broken:  # noqa: BLE001  it is raised by who pours it on
        error = broken
    return Gathered(body.announced, bytes(content), error)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes to append: `start` is where the client says they belong, None when it did not say."""

    body: Incoming
    start: int | None = None
    length: int | None = None
    """How many bytes the client says they are."""


class Sink:
    """A writer that a body goes into; `check` is told what it will hold, before, and `note` is called after."""

    def __init__(self, writer: BlobWriter, check: Callable[[int], None], note: Callable[[], Awaitable[None]]) -> None:
        self._writer = writer
        self._check = check
        self._note = note

    async def take(self, body: Incoming) -> None:
        """Have all of a body written; raises what breaks it off, what `check` raises, and what writing does."""
        write_from = self._writer.write_from
        await body.pour(self._write, None if write_from is None else partial(self._write_from, write_from))

    async def _write(self, chunks: Sequence[bytes]) -> None:
        self._check(self._writer.offset + sum(map(len, chunks)))
        await self._writer.write(chunks)
        await self._note()

    async def _write_from(self, write_from: WriteFrom, take: Take, most: int) -> None:
        """Have a thread take bytes, and measure them as they come: a body may not have said how many they are."""
        size = self._writer.offset

        def checked(limit: int) -> memoryview:
            nonlocal size
            taken = take(limit)
            size += len(taken)
            self._check(size)
            return taken

        await write_from(checked, most)
        await self._note()
