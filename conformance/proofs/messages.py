"""HTTP/1.1 messages on asyncio streams, for proxies: heads are read strictly, bodies passed on as they are framed."""

import asyncio
import dataclasses
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Self

HEAD_BYTES = 1 << 16
PIECE_BYTES = 1 << 16
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [^\x00-\x1f]*")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\x00-\x1f]*)?\r\n")
NUMBER = re.compile(rb"[0-9]{1,18}")
BODILESS = (204, 304)
HOP_BY_HOP = (b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade")


class Malformed(Exception):
    """What arrived is no message that a strict reader takes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The start of a message: its first line and its fields, names as they were sent."""

    line: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a field; its name in lower case."""
        return [value for found, value in self.fields if found.lower() == name]

    def without(self, names: Iterable[bytes]) -> Self:
        """This head but for some fields."""
        return dataclasses.replace(self, fields=tuple(each for each in self.fields if each[0].lower() not in names))

    def with_fields(self, fields: Mapping[bytes, bytes]) -> Self:
        """This head with fields in place of those of the same names."""
        kept = self.without([name.lower() for name in fields])
        return dataclasses.replace(kept, fields=(*kept.fields, *fields.items()))

    def passed_on(self) -> Self:
        """This head without what concerns one connection alone."""
        return self.without(HOP_BY_HOP)

    @property
    def closes(self) -> bool:
        """Whether its connection ends after the message."""
        return any(b"close" in value.lower() for value in self.values(b"connection"))

    @property
    def method(self) -> bytes:
        """Of a request: what is asked."""
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """Of a request: path and query."""
        return self.line.split(b" ")[1]

    @property
    def status(self) -> int:
        """Of an answer: its status."""
        return int(self.line.split(b" ")[1])

    @property
    def wire(self) -> bytes:
        """The head as it is sent."""
        return b"".join([self.line, b"\r\n", *(b"%b: %b\r\n" % field for field in self.fields), b"\r\n"])


@dataclasses.dataclass(frozen=True, slots=True)
class Framing:
    """Where a body ends: after `length` bytes, after the last chunk, or (neither) with the connection."""

    length: int | None = None
    is_chunked: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is no body."""
        return self.length == 0


async def read_head(reader: asyncio.StreamReader, line: re.Pattern[bytes]) -> Head | None:
    """The next head, None when the connection ended before one; raises Malformed."""
    begin = await reader.read(1)
    if begin and not begin.isupper():  # a client that tries TLS says no more until it is answered
        raise Malformed("no HTTP is spoken here")
    try:
        text = begin + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if begin:
            raise Malformed("the connection ended in a head") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise Malformed("the head is too long") from error
    first, *rest = text[:-4].split(b"\r\n")
    if not line.fullmatch(first):
        raise Malformed(f"no first line of a message: {first[:100]!r}")
    return Head(first, tuple(map(_field, rest)))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not NAME.fullmatch(name) or b"\r" in value or b"\n" in value or b"\0" in value:
        raise Malformed(f"no header field: {line[:100]!r}")
    return name, value.strip(b" \t")


def framing_of_request(head: Head) -> Framing:
    """Where the body of a request ends; raises Malformed."""
    return _framing(head) or Framing(0)


def framing_of_answer(head: Head, method: bytes) -> Framing:
    """Where the body of the answer to a request ends; raises Malformed."""
    if method == b"HEAD" or head.status in BODILESS or head.status < 200:
        return Framing(0)
    return _framing(head) or Framing()


def _framing(head: Head) -> Framing | None:
    codings, lengths = head.values(b"transfer-encoding"), head.values(b"content-length")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Malformed("a body is chunked, or has a length")
        return Framing(is_chunked=True)
    if not lengths:
        return None
    if len(lengths) > 1 or not NUMBER.fullmatch(lengths[0]):
        raise Malformed("a length is one number")
    return Framing(int(lengths[0]))


async def body(reader: asyncio.StreamReader, framing: Framing) -> AsyncGenerator[bytes, None]:
    """A body in pieces, with its chunk lines where it has some; raises Malformed when it ends too early."""
    if framing.is_chunked:
        pieces = _chunked(reader)
    elif framing.length is None:
        pieces = _until_closed(reader)
    else:
        pieces = _counted(reader, framing.length)
    async for piece in pieces:
        yield piece


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncGenerator[bytes, None]:
    left = length
    while left:
        piece = await reader.read(min(left, PIECE_BYTES))
        if not piece:
            raise Malformed(f"{left} bytes of the body are missing")
        left -= len(piece)
        yield piece


async def _until_closed(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while piece := await reader.read(PIECE_BYTES):
        yield piece


async def _chunked(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    while True:
        line = await _line(reader)
        found = CHUNK_LINE.fullmatch(line)
        if not found:
            raise Malformed(f"no chunk: {line[:100]!r}")
        yield line
        size = int(found[1], 16)
        if not size:
            break
        async for piece in _counted(reader, size):
            yield piece
        end = await _line(reader)
        if end != b"\r\n":
            raise Malformed("a chunk is longer than it says")
        yield end
    while True:  # trailers, and the empty line
        line = await _line(reader)
        yield line
        if line == b"\r\n":
            return
        _field(line[:-2])


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Malformed("the connection ended in a chunked body") from error
