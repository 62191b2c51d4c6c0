"""What was read of a database, remembered as long as nobody has committed anything since.

A commit by anybody voids all of it: what is found here is what the query would find. Where a database cannot tell of
commits, every question is a query.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from storage.metadata.database import Database, TellsOfCommits

Key = TypeVar("Key")
Found = TypeVar("Found")

_MOST: Final = 4096


def _one(_found: object) -> int:
    return 1


class Remembered(Generic[Key, Found]):
    """The answers to one query by what was asked; `weight` is what each counts, and `most` what all may come to."""

    def __init__(
        self,
        database: Database,
        query: Callable[[Connection, Key], Found],
        *,
        weight: Callable[[Found], int] = _one,
        most: int = _MOST,
    ) -> None:
        self._database = database
        self._tells = database if isinstance(database, TellsOfCommits) else None
        self._query = query
        self._weight = weight
        self._most = most
        self._mark: bytes | None = None
        self._kept: dict[Key, Found] = {}
        self._weighs = 0

    async def read(self, key: Key) -> Found:
        """The answer as of the newest commit; raises what the query does."""
        mark = None if self._tells is None else self._tells.last_commit()
        if mark is None:
            return await self._database.read(lambda c: self._query(c, key))
        if mark != self._mark:
            self._mark, self._kept, self._weighs = mark, {}, 0
        kept = self._kept
        if key in kept:
            return kept[key]
        # The mark is older than what is read, so that it can only be given up too early.
        found = await self._database.read(lambda c: self._query(c, key))
        self._keep(kept, key, found)
        return found

    def _keep(self, kept: dict[Key, Found], key: Key, found: Found) -> None:
        weight = self._weight(found)
        if kept is not self._kept or weight > self._most:
            return
        if self._weighs + weight > self._most:
            kept.clear()
            self._weighs = 0
        kept[key] = found
        self._weighs += weight
