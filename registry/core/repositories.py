"""Repositories: they appear on first push, and list by name."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.core.errors import RepositoryUnknown
from registry.core.names import RepositoryName
from storage.metadata import repositories
from storage.metadata.database import Database


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a sorted list: what sorts after `last`, at most `limit` entries (None: all of them)."""

    last: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries of a page, and whether more follow."""

    entries: list[str]
    more: bool


def locked_repository(connection: Connection, name: RepositoryName, *, create: bool, now: float) -> int:
    """The id of a repository, held for the rest of the transaction; made if `create`, else RepositoryUnknown."""
    found = repositories.lock_repository(connection, name.text)
    if found is None and create:
        repositories.add_repository(connection, name.text, now)
        found = repositories.lock_repository(connection, name.text)
    if found is None:
        raise RepositoryUnknown(name.text)
    return found


class Repositories:
    """The catalog."""

    def __init__(self, database: Database, *, most: int) -> None:
        self._database = database
        self._most = most

    async def is_known(self, name: RepositoryName) -> bool:
        """Whether the repository exists."""
        return await self._database.read(lambda c: repositories.find_repository(c, name.text)) is not None

    async def catalog(self, page: Page, visible: Callable[[Sequence[str]], Awaitable[list[str]]]) -> Listing:
        """Names of the repositories that `visible` leaves of a run of names, by bytes."""
        limit = self._most if page.limit is None else min(page.limit, self._most)
        found: list[str] = []
        after = page.last
        wanted = limit + 1
        while limit and len(found) <= limit:
            names = await self._names(after, wanted)
            found += await visible(names)
            if len(names) < wanted:
                break
            after = names[-1]
            wanted = self._most + 1  # what is hidden is passed over by the page
        return Listing(found[:limit], more=len(found) > limit)

    async def _names(self, after: str, limit: int) -> list[str]:
        return await self._database.scan(lambda c: repositories.list_repositories(c, after=after, limit=limit))
