"""Copying all content from one store into another, under the same keys, so that the other can take its place.

- Each copy is hashed on its way and stored only if it is what its digest names. What is in the target already, with the
  right length, is not copied again: a run that was stopped is gone on with by another.
- Until a run has ended without a problem, a new target is marked as being imported into, and no registry starts on it.
- The source may be in use meanwhile: what is pushed during a run is copied by the next one.
- A copy that was found bad is served again once the source had good bytes for it.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from registry.core.copies import all_copies
from registry.core.several import several
from storage.blobs.interface import BlobStore, Expected, Owned, Restores, Span
from storage.digest import Digest
from storage.errors import DigestInvalid, DigestMismatch, StoredBytesMissing, StoreUnavailable
from storage.metadata import verification
from storage.metadata.database import Database
from storage.metadata.verification import CheckedCopy

_AT_ONCE: Final = 8
_UNFINISHED: Final = "importing "


class Target(BlobStore, Owned, Restores, Protocol):
    """A store that content can be copied into."""


class Outcome(Enum):
    """What became of one copy."""

    COPIED = auto()
    THERE_ALREADY = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Imported:
    """One copy that was dealt with; `problem` says why it failed."""

    digest: str
    size: int
    outcome: Outcome
    problem: str = ""


def unfinished_mark(registry_id: str) -> str:
    """What a store is marked with while a registry's content is being copied into it."""
    return _UNFINISHED + registry_id


class Import:
    """Copies what the database names from `source` into `target`."""

    def __init__(self, database: Database, source: BlobStore, target: Target, registry_id: str) -> None:
        self._database = database
        self._source = source
        self._target = target
        self._registry_id = registry_id

    async def count(self) -> int:
        """How many copies there are to deal with."""
        return await self._database.scan(verification.count_copies)

    async def run(self) -> AsyncIterator[Imported]:
        """Deal with every copy, several at once, and mark the target as this registry's when none failed.

        Raises StoreUnavailable for a target that holds another registry's content, and when either store is away.
        """
        await self._begin()
        failed = 0
        async with aclosing(several(all_copies(self._database), self._import, at_once=_AT_ONCE)) as done:
            async for imported in done:
                failed += imported.outcome is Outcome.FAILED
                yield imported
        if not failed and await self._target.owner() != self._registry_id:
            await self._target.claim(self._registry_id)

    async def _begin(self) -> None:
        owner = await self._target.owner()
        if owner is None:
            await self._target.claim(unfinished_mark(self._registry_id))
            owner = await self._target.owner()  # of two that claim at once, one does
        if owner not in {self._registry_id, unfinished_mark(self._registry_id)}:
            message = f"the target holds the content of another registry ({owner}): choose another place"
            raise StoreUnavailable(message, is_away=True)

    async def _import(self, copy: CheckedCopy) -> Imported:
        problem = ""
        outcome = Outcome.FAILED
        try:
            outcome = await self._copy(copy)
        except StoredBytesMissing:
            problem = "its bytes are missing in the source"
        except (DigestMismatch, DigestInvalid):
            problem = "its bytes in the source are not what its digest names"
        except StoreUnavailable as error:
            if error.is_away:
                raise
            problem = f"its bytes cannot be read or written: {error.words or error}"
        return Imported(copy.digest, copy.size, outcome, problem)

    async def _copy(self, copy: CheckedCopy) -> Outcome:
        if not copy.is_quarantined and await self._has(copy):
            return Outcome.THERE_ALREADY
        digest = Digest.parse(copy.digest)
        expected = Expected(copy.size, digest)
        async with aclosing(self._source.read(copy.storage_key, Span(0, copy.size), expected=expected)) as chunks:
            await self._target.restore(copy.storage_key, digest, chunks)
        if copy.is_quarantined:
            await self._database.write(lambda c: verification.restore(c, copy.id))
        return Outcome.COPIED

    async def _has(self, copy: CheckedCopy) -> bool:
        try:
            return await self._target.size(copy.storage_key) == copy.size
        except StoredBytesMissing:
            return False
