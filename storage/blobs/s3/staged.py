"""What is staged of one upload in S3, as plain values: parts of a multipart upload, and pieces that are no part yet.

    multipart   the parts of what will be the stored copy, in place already: completing it moves no byte
    group       parts that become one large part of it, so that the largest blob fits in 10,000 parts
    pieces      objects of their own that follow, for a part has at least 5 MiB

Parts that were sent cannot be read again. To be cut back to where the last request ended, an upload therefore keeps the
pieces that it had there until the next writer has begun, as `earlier`. Pieces that nothing needs any more are `spent`
until they are deleted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from storage.blobs.s3.bucket import Part


@dataclass(frozen=True, slots=True)
class Piece:
    """The first `size` bytes of an object of `length` bytes, which are those of the blob from `offset` on."""

    key: str
    offset: int
    size: int
    length: int

    @property
    def end(self) -> int:
        """Offset of the byte after it."""
        return self.offset + self.size

    @property
    def is_whole(self) -> bool:
        """Whether all of the object counts, so that it can be copied."""
        return self.size == self.length


@dataclass(slots=True)
class Multipart:
    """A multipart upload that is under way."""

    key: str
    id: str
    parts: list[Part] = field(default_factory=list)
    is_closed: bool = False
    """It was asked to be completed: it may take no more parts."""

    @property
    def size(self) -> int:
        """Bytes in its parts."""
        return sum(part.size for part in self.parts)

    def cut(self, limit: int) -> None:
        """Drop the parts that end past `limit`, and all after them."""
        size = 0
        for index, part in enumerate(self.parts):
            size += part.size
            if size > limit:
                del self.parts[index:]
                return


@dataclass(slots=True)
class Staged:
    """Everything that is staged of one upload."""

    multipart: Multipart | None = None
    group: Multipart | None = None
    pieces: list[Piece] = field(default_factory=list)
    earlier: list[Piece] = field(default_factory=list)
    spent: list[str] = field(default_factory=list)
    is_contested: bool = False
    """A writer may be at work that was taken for dead: nothing is known of the bytes but by reading them again."""
    mark: str = ""

    @property
    def multiparts(self) -> list[Multipart]:
        """The multipart uploads that are under way."""
        return [multipart for multipart in (self.multipart, self.group) if multipart is not None]

    @property
    def part_count(self) -> int:
        """How many parts there are."""
        return sum(len(multipart.parts) for multipart in self.multiparts)

    @property
    def sent(self) -> int:
        """Bytes in parts."""
        return sum(multipart.size for multipart in self.multiparts)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.sent + self.waiting

    @property
    def waiting(self) -> int:
        """Bytes in pieces."""
        return sum(piece.size for piece in self.pieces)

    @property
    def keys(self) -> set[str]:
        """Keys of all objects whose bytes it needs."""
        return {piece.key for piece in (*self.pieces, *self.earlier)}

    def spend(self, pieces: Sequence[Piece]) -> None:
        """Take out pieces whose bytes are in a part, or in another piece, by now."""
        used = {piece.key for piece in pieces}
        self.pieces = [piece for piece in self.pieces if piece.key not in used]
        self.spent += sorted(used - {piece.key for piece in self.earlier})

    def cut(self, offset: int) -> None:
        """Go back to an offset, or to the last one before it where the bytes can be had: `size` tells which."""
        if self.sent > offset:
            self.pieces = self.earlier if self._reaches_further(self.earlier, offset) else []
            self._cut_parts(self.pieces[0].offset if self.pieces else offset)
        self.pieces = list(_cut(self.pieces, offset))
        self.earlier = list(self.pieces)
        self.spent = []
        if not self.size:
            self.multipart = self.group = None  # nobody else may be sending to what comes next

    def _reaches_further(self, pieces: list[Piece], offset: int) -> bool:
        """Whether pieces that follow a part that is still there go on past the last end of a part before `offset`."""
        if not pieces or self._boundary(pieces[0].offset) != pieces[0].offset:
            return False
        return self._boundary(offset) < pieces[-1].end and pieces[0].offset <= offset

    def _boundary(self, offset: int) -> int:
        """The last end of a part that is not past an offset."""
        size = 0
        for multipart in self.multiparts:
            for part in multipart.parts:
                if size + part.size > offset:
                    return size
                size += part.size
        return size

    def _cut_parts(self, limit: int) -> None:
        if self.multipart is not None:
            before = self.multipart.size
            if self.group is not None:
                self.group.cut(max(0, limit - before))
            self.multipart.cut(limit)
            if self.group is not None and not self.group.parts:
                self.group = None
            if not self.multipart.parts and self.group is None:
                self.multipart = None

    def text(self) -> str:
        """It as a JSON object."""
        return orjson.dumps(
            {
                "multipart": _written(self.multipart),
                "group": _written(self.group),
                "pieces": [_row(piece) for piece in self.pieces],
                "earlier": [_row(piece) for piece in self.earlier],
                "spent": self.spent,
                "contested": self.is_contested,
                "mark": self.mark,
            }
        ).decode()

    @classmethod
    def parse(cls, text: str | None) -> "Staged":
        """Read what `text` wrote; nothing is staged where nothing was written."""
        if text is None:
            return cls()
        found = orjson.loads(text)
        return cls(
            multipart=_read(found["multipart"]),
            group=_read(found["group"]),
            pieces=[Piece(*row) for row in found["pieces"]],
            earlier=[Piece(*row) for row in found["earlier"]],
            spent=found["spent"],
            is_contested=found["contested"],
            mark=found["mark"],
        )


def _cut(pieces: Iterable[Piece], offset: int) -> Iterable[Piece]:
    for piece in pieces:
        if piece.offset < offset:
            yield Piece(piece.key, piece.offset, min(piece.size, offset - piece.offset), piece.length)


def _row(piece: Piece) -> tuple[str, int, int, int]:
    return piece.key, piece.offset, piece.size, piece.length


def _written(multipart: Multipart | None) -> dict[str, Any] | None:
    if multipart is None:
        return None
    parts = [(part.number, part.etag, part.size, part.checksum) for part in multipart.parts]
    return {"key": multipart.key, "id": multipart.id, "parts": parts, "closed": multipart.is_closed}


def _read(found: dict[str, Any] | None) -> Multipart | None:
    if found is None:
        return None
    return Multipart(found["key"], found["id"], [Part(*row) for row in found["parts"]], found["closed"])
