"""All stored copies that somebody may read, or could before they were quarantined."""

from collections.abc import AsyncIterator
from typing import Final

from storage.metadata import verification
from storage.metadata.database import Database
from storage.metadata.verification import CheckedCopy

_PAGE: Final = 200


async def all_copies(database: Database) -> AsyncIterator[CheckedCopy]:
    """Every copy, by id, a page at a time."""
    after = 0
    while page := await _page(database, after):
        for copy in page:
            yield copy
        after = page[-1].id


async def _page(database: Database, after: int) -> list[CheckedCopy]:
    return await database.scan(lambda c: verification.list_copies(c, after=after, limit=_PAGE))
