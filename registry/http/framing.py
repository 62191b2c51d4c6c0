"""Where the bytes of a body lie among those that come: so many of them, or those in chunks.

Strict about chunks (RFC 9112 section 7.1): what one program takes for the end of a body must be that for all.
"""

import re
from enum import Enum, auto
from typing import Final, Protocol

_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]*"
_QUOTED: Final = rb'"[\t !#-\x5b\x5d-\x7e\x80-\xff]*"'
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,16})(?:;%b(?:=(?:%b|%b))?)*" % (_TOKEN, _TOKEN, _QUOTED))
# No program may take a trailer for the head of a message, where these would tell its length (RFC 9110 section 6.5.1).
_TRAILER: Final = re.compile(rb"(?i:(?!content-length:|transfer-encoding:))%b:%b" % (_TOKEN, _TEXT))
# A trailer may be as long as two of the longest lines, as the head of a request may.
_LINES: Final = 2
_LOOK_BYTES: Final = 32
# The framing of nearly all chunks, found at once: one-byte chunks line by line cost twice as much.
_PLAIN: Final = re.compile(rb"\r\n([0-9a-fA-F]{1,8})\r\n")


class Framing(Protocol):
    """Tells the bytes of one body from those around them, as they come."""

    is_broken: bool
    """It is not framed as HTTP says, so nobody knows where it ends."""

    @property
    def is_done(self) -> bool:
        """Whether all of it came."""

    @property
    def left(self) -> int | None:
        """How many bytes of it are to come, where that is known: then nothing comes between them."""

    def strip(self, raw: memoryview, room: memoryview) -> tuple[int, int]:
        """Copy the bytes of the body into a room of that length: how many they are, and how many were looked at.

        Those after them do not belong to the body, which is done then, or broken.
        """


class Counted:
    """A body of so many bytes."""

    is_broken = False

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def is_done(self) -> bool:
        """Whether all of it came."""
        return self._left == 0

    @property
    def left(self) -> int | None:
        """How many bytes are to come."""
        return self._left

    def strip(self, raw: memoryview, room: memoryview) -> tuple[int, int]:
        """Copy as many as are to come, unless they are in their place."""
        length = min(len(raw), self._left)
        if raw is not room:
            room[:length] = raw[:length]
        self._left -= length
        return length, length


class _Next(Enum):
    SIZE = auto()
    END_OF_CHUNK = auto()
    TRAILER = auto()
    NOTHING = auto()


class Chunked:
    """A body in chunks; a line of its framing has at most so many bytes."""

    left: int | None = None

    def __init__(self, longest_line: int) -> None:
        self.is_broken = False
        self._longest_line = longest_line
        self._next = _Next.SIZE
        self._of_chunk = 0  # bytes that are to come of the one that has begun
        self._line = b""  # what has come of the next line
        self._trailer_bytes = 0

    @property
    def is_done(self) -> bool:
        """Whether all of it came."""
        return self._next is _Next.NOTHING

    def strip(self, raw: memoryview, room: memoryview) -> tuple[int, int]:
        """Copy what is in the chunks, one after the other."""
        at = kept = 0
        while at < len(raw) and not self.is_done and not self.is_broken:
            if self._of_chunk:
                length = min(self._of_chunk, len(raw) - at)
                room[kept : kept + length] = raw[at : at + length]
                self._of_chunk -= length
                kept += length
                at += length
            elif self._next is _Next.END_OF_CHUNK and not self._line and (plain := _PLAIN.match(raw, at)):
                self._begin_chunk(plain[1])
                at = plain.end()
            else:
                at += self._read_line(bytes(raw[at : at + _LOOK_BYTES]))
        return kept, at

    def _read_line(self, look: bytes) -> int:
        """Read on in a line of the framing; how many bytes of it there are."""
        length = look.find(b"\n") + 1 or len(look)
        self._line += look[:length]
        if len(self._line) > self._longest_line:
            self.is_broken = True
        elif self._line.endswith(b"\n"):
            line, self._line = self._line, b""
            self.is_broken = not line.endswith(b"\r\n") or not self._takes(line[:-2])
        return length

    def _takes(self, line: bytes) -> bool:
        """Whether a line may come next."""
        match self._next:
            case _Next.SIZE:
                if (size := _SIZE.fullmatch(line)) is None:
                    return False
                self._begin_chunk(size[1])
                return True
            case _Next.END_OF_CHUNK:
                self._next = _Next.SIZE
                return not line
            case _ if not line:
                self._next = _Next.NOTHING
                return True
        self._trailer_bytes += len(line)
        return _TRAILER.fullmatch(line) is not None and self._trailer_bytes <= _LINES * self._longest_line

    def _begin_chunk(self, size: bytes) -> None:
        """Go on with a chunk, or with what follows the last one."""
        self._of_chunk = int(size, 16)
        self._next = _Next.END_OF_CHUNK if self._of_chunk else _Next.TRAILER


def after(framing: Framing, data: bytes) -> bytes:
    """What follows a body in some bytes, when nobody wants its own."""
    _, looked_at = framing.strip(memoryview(data), memoryview(bytearray(len(data))))
    return data[looked_at:]
