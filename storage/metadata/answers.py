"""What a database answered, given again as long as nobody changed anything in it.

A look-up costs a few system calls, and most requests ask what was asked a moment ago. Whether anything changed is told
without one, so what is given is as new as if it had been asked for.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from storage.metadata.database import Database, Versioned

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


class Answers(Generic[Key, T]):
    """Answers to questions of one kind; `most` of them are kept, if `is_kept` says so."""

    def __init__(self, database: Database, *, most: int, is_kept: Callable[[T], bool] = lambda _: True) -> None:
        self._database = database
        self._versions = database if isinstance(database, Versioned) else None
        self._most = most
        self._is_kept = is_kept
        self._version: bytes | None = None
        self._kept: dict[Key, T] = {}

    async def get(self, key: Key, query: Callable[[Connection], T]) -> T:
        """What `query` answers; it must depend on nothing but the key and the database."""
        version = None if self._versions is None else self._versions.version()
        if version is None:
            return await self._database.read(query)
        if version != self._version:
            self._kept.clear()
            self._version = version
        elif key in self._kept:
            return self._kept[key]
        # The version was read before: what is committed meanwhile may be seen, and voids it at the next look.
        answer = await self._database.read(query)
        if self._version == version and self._is_kept(answer):
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = answer
        return answer
