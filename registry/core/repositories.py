"""Repositories: they appear on first push or are made ahead, list by name, and go with all they hold."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.core.errors import RepositoryExists, RepositoryNotEmpty, RepositoryUnknown
from registry.core.listing import SHORT_NAMES, read_run
from registry.core.names import RepositoryName
from storage.domain_records import DEFAULT_DOMAIN
from storage.metadata import repositories
from storage.metadata.database import Database
from storage.metadata.repositories import StoredRepository


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


def require_repository(connection: Connection, name: RepositoryName) -> StoredRepository:
    """A repository as it is in this transaction; raises RepositoryUnknown."""
    found = repositories.describe_repository(connection, name.text)
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

    async def create(self, name: RepositoryName, tags: str, now: float, domain: str = DEFAULT_DOMAIN) -> None:
        """Make an empty repository of an encryption domain; `tags` is a JSON object. Raises RepositoryExists."""

        def change(connection: Connection) -> None:
            if not repositories.add_repository(connection, name.text, now, domain):
                raise RepositoryExists(name.text)
            repositories.put_tags(connection, name.text, tags)

        await self._database.write(change)

    async def put_tags(self, name: RepositoryName, tags: str) -> None:
        """Give a repository these tags, a JSON object, in place of others; raises RepositoryUnknown."""
        if not await self._database.write(lambda c: repositories.put_tags(c, name.text, tags)):
            raise RepositoryUnknown(name.text)

    async def delete(self, name: RepositoryName, *, force: bool, now: float) -> None:
        """Remove a repository with its policy; raises RepositoryUnknown, or RepositoryNotEmpty unless forced."""

        def change(connection: Connection) -> None:
            repository_id = locked_repository(connection, name, create=False, now=now)
            if not force and repositories.has_manifests(connection, repository_id):
                raise RepositoryNotEmpty(name.text)
            repositories.delete_repository(connection, repository_id, now)

        await self._database.write(change)

    async def _names(self, after: str, limit: int) -> list[str]:
        return await read_run(
            self._database,
            limit,
            lambda c, most: repositories.list_repositories(c, after=after, limit=most),
            short=SHORT_NAMES,
        )
