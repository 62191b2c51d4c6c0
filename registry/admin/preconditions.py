"""Lost updates: a change happens only while what it changes is still what its author saw (RFC 9110 section 13.1).

The comparison is made in the transaction of the change, so that nothing can come between them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from auth.errors import NotThere
from registry.admin.facts import PreconditionFailed
from registry.core.errors import RepositoryUnknown
from storage.metadata.database import Database
from storage.metadata.generation import hold_generation

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")
_TAG_CHARACTERS = 32


def entity_tag(document: BaseModel) -> str:
    """The strong entity tag of a document, its quotes included."""
    content = document.model_dump_json().encode()
    return f'"{hashlib.sha256(content).hexdigest()[:_TAG_CHARACTERS]}"'


@dataclass(frozen=True, slots=True)
class Precondition:
    """The entity tags of which one must be that of what `load` reads, and those of which none may be.

    `*` stands for any that is there. No tags set no condition.
    """

    load: Callable[["Connection"], BaseModel]
    wanted: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()

    def check(self, connection: "Connection") -> None:
        """Return if the change may be made; raises PreconditionFailed."""
        tags = self._tags(connection)
        if self.wanted and self.wanted.isdisjoint(tags):
            raise PreconditionFailed("If-Match")
        if not self.unwanted.isdisjoint(tags):
            raise PreconditionFailed("If-None-Match")

    def _tags(self, connection: "Connection") -> set[str]:
        """What names the document that is there; nothing where none is."""
        try:
            return {"*", entity_tag(self.load(connection))}
        except (NotThere, RepositoryUnknown):
            return set()


class ConditionalDatabase:
    """A database whose changes are made only while a precondition holds."""

    def __init__(self, database: Database, precondition: Precondition) -> None:
        self._database = database
        self._precondition = precondition

    async def read(self, query: Callable[["Connection"], T]) -> T:
        """Run a look-up."""
        return await self._database.read(query)

    async def scan(self, query: Callable[["Connection"], T]) -> T:
        """Run a longer query."""
        return await self._database.scan(query)

    async def write(self, change: Callable[["Connection"], T]) -> T:
        """Make a change; raises PreconditionFailed, and changes nothing, where the precondition does not hold."""

        def checked(connection: "Connection") -> T:
            hold_generation(connection)
            self._precondition.check(connection)
            return change(connection)

        return await self._database.write(checked)

    async def close(self) -> None:
        """Leave the database to whoever opened it."""
