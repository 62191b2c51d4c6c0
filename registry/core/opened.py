"""What this process has opened and checked of small content, so that it does neither again for the same stored bytes.

Whoever asks has looked at the row or the file at this request, and has the key: only the work is remembered, no right
to see it.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

_MOST_BYTES: Final = 8 * 1024 * 1024
_LARGEST_BYTES: Final = 64 * 1024


class Stored(Protocol):
    """What is stored of something: equal, or not the same."""

    @property
    def digest(self) -> str:
        """The digest of it."""


Row = TypeVar("Row", bound=Stored)


class Opened(Generic[Row]):
    """What stored things turned out to be, a few MiB of them; `size_of` counts what is large in one."""

    def __init__(self, size_of: Callable[[Row], int]) -> None:
        self._size_of = size_of
        self._kept: OrderedDict[str, tuple[Row, Row]] = OrderedDict()
        self._bytes = 0

    def find(self, stored: Row) -> Row | None:
        """What this very row is, opened; None where that is not remembered."""
        kept = self._kept.get(stored.digest)
        if kept is None or kept[0] != stored:
            return None
        self._kept.move_to_end(stored.digest)
        return kept[1]

    def keep(self, stored: Row, opened: Row) -> None:
        """Remember a row that is not too large, in place of those that were not asked for in the longest time."""
        if self._size_of(stored) > _LARGEST_BYTES:
            return
        self._forget(stored.digest)
        self._kept[stored.digest] = stored, opened
        self._bytes += self._size(stored, opened)
        while self._bytes > _MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, digest: str) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            self._bytes -= self._size(*kept)

    def _size(self, stored: Row, opened: Row) -> int:
        return self._size_of(stored) + (0 if opened is stored else self._size_of(opened))
