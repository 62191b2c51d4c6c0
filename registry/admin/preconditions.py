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
from registry.core.condition import Condition
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
    """What must hold of the document that `load` reads."""

    load: Callable[["Connection"], BaseModel]
    condition: Condition

    def check(self, connection: "Connection") -> None:
        """Return if the change may be made; raises PreconditionFailed."""
        header = self.condition.broken_by(self._tag(connection))
        if header is not None:
            raise PreconditionFailed(header)

    def _tag(self, connection: "Connection") -> str | None:
        """What names the document that is there; None where none is."""
        try:
            return entity_tag(self.load(connection))
        except (NotThere, RepositoryUnknown):
            return None


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
