"""Having everything stored as it should be: sealed with the newest key of its domain, or plain where nothing is sealed.

- It goes by what the database says is not so yet: a run that was stopped is gone on with by another.
- A copy is stored again under a key of its own, then takes the place of the old one in one transaction. The old bytes
  stay for a while, for who is reading them.
- Whatever is pushed meanwhile is as it should be already. Where something else changed what was being rewritten, that
  counts, and the new copy is dropped.
"""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.core.several import several
from storage.blobs.copying import copy_into
from storage.blobs.interface import Expected
from storage.digest import Digest
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
from storage.metadata import blobs, reencryption
from storage.metadata.blobs import NewCopy, StoredBlob
from storage.metadata.database import Database
from storage.metadata.reencryption import StaleManifest, Wanted

_PAGE: Final = 100
_MANIFEST_PAGE: Final = 20
_AT_ONCE: Final = 4
_BAD: Final = (DigestInvalid, DigestMismatch, DomainUnusable, SealBroken, StoredBytesMissing, WrongKey)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One object that was dealt with; `problem` says why it stays as it was."""

    digest: str
    size: int
    problem: str = ""


class Reencryption:
    """Rewrites what is not as it is wanted; `now` gives seconds since the epoch."""

    def __init__(
        self, database: Database, places: Places, seals: ManifestSeals, wanted: Wanted, now: Callable[[], float]
    ) -> None:
        self._database = database
        self._places = places
        self._seals = seals
        self._wanted = wanted
        self._now = now

    async def count(self) -> int:
        """How many objects are to be rewritten."""
        return await self._database.scan(lambda c: reencryption.count_stale(c, self._wanted))

    async def run(self) -> AsyncIterator[Rewritten]:
        """Rewrite every object; raises StoreUnavailable, KeyUnavailable or NoSpace, having lost nothing."""
        async with aclosing(several(self._copies(), self._rewrite, at_once=_AT_ONCE)) as done:
            async for rewritten in done:
                yield rewritten
        async for manifest in self._manifests():
            yield await self._rewrite_manifest(manifest)

    async def remove_replaced(self, *, before: float) -> int:
        """Remove the bytes of copies that were let go of before a time; returns how many are left for later."""
        while page := await self._database.scan(lambda c: reencryption.list_replaced(c, before=before, limit=_PAGE)):
            for copy in page:
                await self._places.every.delete(copy.storage_key)
                await self._database.write(lambda c, copy=copy: reencryption.forget_replaced(c, copy.id))  # type: ignore[misc]  # mypy cannot infer it
        return await self._database.scan(reencryption.count_replaced)

    async def _copies(self) -> AsyncIterator[StoredBlob]:
        after = 0
        while page := await self._page(after):
            for copy in page:
                yield copy
            after = page[-1].id

    async def _page(self, after: int) -> list[StoredBlob]:
        return await self._database.scan(
            lambda c: reencryption.list_stale_copies(c, self._wanted, after=after, limit=_PAGE)
        )

    async def _rewrite(self, copy: StoredBlob) -> Rewritten:
        problem = ""
        try:
            for target in await self._targets(copy):
                await self._replace(copy, target)
        except StoreUnavailable as error:
            if error.is_away:
                raise
            problem = f"its bytes cannot be read or written: {error.words or error}"
        except _BAD as error:
            problem = _told(error)
        return Rewritten(copy.digest, copy.size, problem)

    async def _targets(self, copy: StoredBlob) -> list[str]:
        """The domains that need a copy; one that nobody reads is let go of."""
        if not self._wanted.seals:
            return [""]
        if copy.domain:
            return [copy.domain]
        targets = await self._database.scan(lambda c: reencryption.targets_of(c, copy.id, self._wanted))
        if not targets:
            now = self._now()
            await self._database.write(lambda c: reencryption.let_go_of_unread(c, copy, now))
        return targets

    async def _replace(self, copy: StoredBlob, target: str) -> None:
        if copy.domain != target and await self._replace_with(copy, None, target):
            return
        source, store = self._places.holding(copy.domain), self._places.staging(target)
        expected = Expected(copy.size, Digest.parse(copy.digest), copy.domain)
        stored = await copy_into(store, source, copy.storage_key, expected, upload_id=str(uuid.uuid4()))
        new = NewCopy(copy.digest, stored.size, stored.key, stored.domain, stored.key_version)
        is_used = False
        try:
            is_used = await self._replace_with(copy, new, target)
        finally:
            if not is_used and not await self._database.read(lambda c: blobs.is_recorded(c, stored.key)):
                await self._places.every.delete(stored.key)

    async def _replace_with(self, copy: StoredBlob, new: NewCopy | None, target: str) -> bool:
        now = self._now()

        def change(connection: Connection) -> bool:
            return reencryption.replace_copy(connection, copy, new, target, now)

        return await self._database.write(change)

    async def _manifests(self) -> AsyncIterator[StaleManifest]:
        after = (0, "")
        while page := await self._page_of_manifests(after):
            for manifest in page:
                yield manifest
            after = page[-1].place

    async def _page_of_manifests(self, after: tuple[int, str]) -> list[StaleManifest]:
        return await self._database.scan(
            lambda c: reencryption.list_stale_manifests(c, self._wanted, after=after, limit=_MANIFEST_PAGE)
        )

    async def _rewrite_manifest(self, manifest: StaleManifest) -> Rewritten:
        size = len(manifest.payload)
        try:
            new = await self._seals.again(manifest)
        except _BAD as error:
            return Rewritten(manifest.digest, size, _told(error))
        await self._database.write(lambda c: reencryption.replace_manifest(c, manifest, new))
        return Rewritten(manifest.digest, size)


def _told(error: StorageError) -> str:
    match error:
        case StoredBytesMissing():
            return "its bytes are missing"
        case DigestMismatch() | DigestInvalid():
            return "its bytes are not what its digest names"
    return f"it cannot be opened: {error}"


async def begin(database: Database, domain: str) -> None:
    """Have everything in a domain that is not sealed with its newest key rewritten by a server, in the background."""
    await database.write(lambda c: reencryption.request(c, domain))
