"""Copying all content from one store into another, under the same keys, so that the other can take its place.

- Each copy is hashed on its way and stored only if it is what its digest names. What is in the target already, with the
  right length, is not copied again: a run that was stopped is gone on with by another.
- A sealed copy moves as it is sealed, and is opened on its way only to be hashed. One that nobody is to open, for the
  keys of its domain are being destroyed or were, moves unchecked, and is told of.
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
from storage.blobs.interface import BlobStore, Expected, Opening, Owned, Restores, Span
from storage.digest import Digest
from storage.encryption.header import HEADER_BYTES, Header, Layout
from storage.encryption.keys import DomainKeys
from storage.encryption.opening import OpeningHasher
from storage.errors import (
    DigestInvalid,
    DigestMismatch,
    DomainUnusable,
    SealBroken,
    StorageError,
    StoredBytesMissing,
    StoreUnavailable,
    WrongKey,
)
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
    UNCHECKED = auto()
    """Copied as it was, whatever that is."""
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Imported:
    """One copy that was dealt with; `problem` says why it failed, or could not be checked."""

    digest: str
    size: int
    outcome: Outcome
    problem: str = ""


def unfinished_mark(registry_id: str) -> str:
    """What a store is marked with while a registry's content is being copied into it."""
    return _UNFINISHED + registry_id


class _Unread:
    """Says of bytes that nobody can open that they are what they are taken for (a Hasher)."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest

    def update(self, chunk: bytes | bytearray | memoryview, /) -> None:
        """Look at nothing."""

    def hexdigest(self) -> str:
        """What was said before."""
        return self._digest.hex


class Import:
    """Copies what the database names from `source` into `target`, sealed copies as they are; `keys` open those."""

    def __init__(
        self, database: Database, source: BlobStore, target: Target, registry_id: str, keys: DomainKeys
    ) -> None:
        self._database = database
        self._source = source
        self._target = target
        self._registry_id = registry_id
        self._keys = keys

    async def count(self) -> int:
        """How many copies there are to deal with."""
        return await self._database.scan(verification.count_copies)

    async def run(self) -> AsyncIterator[Imported]:
        """Deal with every copy, several at once, and mark the target as this registry's when none failed.

        Raises StoreUnavailable for a target that holds another registry's content, and when either store is away, and
        KeyUnavailable when a key cannot be had.
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
        imported = await self._import_once(copy)
        if imported.outcome is Outcome.FAILED:
            current = await self._database.scan(lambda c: verification.find_copy(c, copy.id))
            if current is not None and current.storage_key != copy.storage_key:
                return await self._import_once(current)  # it was stored anew since its page was read
        return imported

    async def _import_once(self, copy: CheckedCopy) -> Imported:
        try:
            outcome, problem = await self._copy(copy)
        except StoreUnavailable as error:
            if error.is_away:
                raise
            outcome, problem = Outcome.FAILED, f"its bytes cannot be read or written: {error.words or error}"
        except (DigestMismatch, DigestInvalid, SealBroken, StoredBytesMissing, WrongKey) as error:
            outcome, problem = Outcome.FAILED, _problem(copy, error)
        return Imported(copy.digest, copy.size, outcome, problem)

    async def _copy(self, copy: CheckedCopy) -> tuple[Outcome, str]:
        if not copy.is_quarantined and await self._has(copy):
            return Outcome.THERE_ALREADY, ""
        digest = Digest.parse(copy.digest)
        length, opening, unread = copy.size, None, ""
        if copy.domain:
            header = await self._sealed_header(copy)
            length = header.layout.length(copy.size)
            opening, unread = await self._opening(copy, digest, header)
        expected = Expected(length, digest)
        async with aclosing(self._source.read(copy.storage_key, Span(0, length), expected=expected)) as chunks:
            await self._target.restore(copy.storage_key, digest, chunks, opening=opening)
        if copy.is_quarantined and not unread:
            await self._database.write(lambda c: verification.restore(c, copy.id))
        return (Outcome.UNCHECKED if unread else Outcome.COPIED), unread

    async def _sealed_header(self, copy: CheckedCopy) -> Header:
        """The header of a sealed copy in the source, which is as long as it says; raises SealBroken."""
        length = await self._source.size(copy.storage_key)
        header = await _header(self._source, copy.storage_key, length)
        if header.layout.length(copy.size) != length:
            raise SealBroken("it ends too early, or too late")
        return header

    async def _opening(self, copy: CheckedCopy, digest: Digest, header: Header) -> tuple[Opening, str]:
        """What opens a copy to hash it, and why that is nothing."""
        try:
            key = await self._keys.of(header.domain_id, header.key_version)
        except DomainUnusable as error:
            return (lambda _algorithm: _Unread(digest)), f"it was copied as it is, for it cannot be opened: {error}"
        if key.domain != copy.domain:
            raise SealBroken("it is sealed in another domain")
        return (lambda algorithm: OpeningHasher(key, algorithm)), ""

    async def _has(self, copy: CheckedCopy) -> bool:
        """Whether the target has a copy, by its length."""
        try:
            length = await self._target.size(copy.storage_key)
            if not copy.domain:
                return length == copy.size
            if length == Layout().length(copy.size):
                return True
            layout = (await _header(self._target, copy.storage_key, length)).layout
            return length == layout.length(copy.size)
        except (SealBroken, StoredBytesMissing):
            return False


async def _header(store: BlobStore, key: str, length: int) -> Header:
    """The header of a sealed copy of a length; raises SealBroken."""
    async with aclosing(store.read(key, Span(0, min(length, HEADER_BYTES)))) as chunks:
        return Header.parse(b"".join([chunk async for chunk in chunks]))


def _problem(copy: CheckedCopy, error: StorageError) -> str:
    match error:
        case StoredBytesMissing():
            return "its bytes are missing in the source"
        case SealBroken():
            return f"it is damaged in the source: {error.reason}"
        case WrongKey():
            return f"it cannot be opened: {error}"
    if copy.domain:
        return "it is damaged in the source, or is not what its digest names"
    return "its bytes in the source are not what its digest names"
