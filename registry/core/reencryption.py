"""Having everything stored as it should be: sealed with the newest key of its domain, or plain where nothing is sealed.

- It goes by what the database says is not so yet: a run that was stopped is gone on with by another.
- A copy is stored again under a key of its own, then takes the place of the old one in one transaction. The old bytes
  stay for a while, for who is reading them, and are removed while the run goes on: it needs little more room.
- Whatever is pushed meanwhile is as it should be already. Where something else changed what was being rewritten, that
  counts, and the new copy is dropped.
"""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.core.several import several
from storage.blobs.blocking import to_end
from storage.blobs.copying import copy_into
from storage.blobs.interface import Expected, LocalFiles
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
from storage.metadata import reencryption
from storage.metadata.blobs import NewCopy, StoredBlob
from storage.metadata.database import Database
from storage.metadata.reencryption import ManifestPlace, Wanted

_PAGE: Final = 100
_AT_ONCE: Final = 4
_REMOVED_EVERY_SECONDS: Final = 5.0
_BAD: Final = (DigestInvalid, DigestMismatch, DomainUnusable, SealBroken, StoredBytesMissing, WrongKey)

# An open file stays readable: this is for who has looked a copy up and not opened it yet.
_FILE_GRACE_SECONDS: Final = 60.0
# A bucket is asked for one part of a copy after another, for as long as a slow client takes.
_BUCKET_GRACE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One object that was dealt with, and its stored bytes; `problem` says why it stays as it was."""

    digest: str
    size: int
    problem: str = ""


def grace_of(places: Places) -> float:
    """Seconds that replaced bytes have to stay for those who may be reading them."""
    return _FILE_GRACE_SECONDS if isinstance(places.plain, LocalFiles) else _BUCKET_GRACE_SECONDS


class Reencryption:
    """Rewrites what is not as it is wanted; `now` gives seconds since the epoch.

    Replaced bytes stay for `grace_seconds`.
    """

    def __init__(
        self,
        database: Database,
        places: Places,
        seals: ManifestSeals,
        wanted: Wanted,
        now: Callable[[], float],
        *,
        grace_seconds: float,
    ) -> None:
        self._database = database
        self._places = places
        self._seals = seals
        self._wanted = wanted
        self._now = now
        self._grace_seconds = grace_seconds

    async def count(self) -> int:
        """How many objects are to be rewritten."""
        return await self._database.scan(lambda c: reencryption.count_stale(c, self._wanted))

    async def run(self) -> AsyncGenerator[Rewritten, None]:
        """Rewrite every object; raises StoreUnavailable, KeyUnavailable, DatabaseUnavailable or NoSpace.

        Nothing is lost then, and another run goes on from there.
        """
        removed_at = self._now()
        async with aclosing(self._rewritten()) as done:
            async for rewritten in done:
                yield rewritten
                if self._now() - removed_at >= _REMOVED_EVERY_SECONDS:
                    await self.remove_replaced()
                    removed_at = self._now()

    async def remove_replaced(self) -> int:
        """Remove the bytes of copies that were let go of and whose grace is over; returns how many are left."""
        before = self._now() - self._grace_seconds
        while page := await self._database.scan(lambda c: reencryption.list_replaced(c, before=before, limit=_PAGE)):
            for copy in page:
                await self._places.every.delete(copy.storage_key)
                await self._database.write(lambda c, copy=copy: reencryption.forget_replaced(c, copy.id))  # type: ignore[misc]  # mypy cannot infer it
        return await self._database.scan(reencryption.count_replaced)

    async def _rewritten(self) -> AsyncGenerator[Rewritten, None]:
        async with aclosing(several(self._copies(), self._rewrite, at_once=_AT_ONCE)) as done:
            async for copy in done:
                yield copy
        async with aclosing(several(self._manifests(), self._rewrite_manifest, at_once=_AT_ONCE)) as done:
            async for manifest in done:
                yield manifest

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
        """Have a copy replaced in every domain that reads it; where one cannot be, the others still are."""
        problems: list[str] = []
        targets = await self._targets(copy)
        for target in targets or ():
            problem = await _problem_of(self._replace(copy, target))
            if problem and await self._targets(copy) is not None:  # else it was replaced by others before it was read
                problems.append(problem)
        if not targets and targets is not None:
            now = self._now()
            await self._database.write(lambda c: reencryption.let_go_of_unread(c, copy, now))
        return Rewritten(copy.digest, copy.size, "; ".join(problems))

    async def _targets(self, copy: StoredBlob) -> list[str] | None:
        return await self._database.scan(lambda c: reencryption.targets_of(c, copy, self._wanted))

    async def _replace(self, copy: StoredBlob, target: str) -> None:
        if copy.domain != target and await self._replace_with(copy, None, target):
            return
        source, store = self._places.holding(copy.domain), self._places.staging(target)
        expected = Expected(copy.size, Digest.parse(copy.digest), copy.domain)
        stored = await copy_into(store, source, copy.storage_key, expected, upload_id=str(uuid.uuid4()))
        is_used = False
        try:
            new = NewCopy(copy.digest, stored.size, stored.key, stored.domain, stored.key_version)
            is_used = await self._replace_with(copy, new, target)
        finally:
            if not is_used:
                await to_end(self._drop_unless_named(copy, stored.key))

    async def _drop_unless_named(self, copy: StoredBlob, key: str) -> None:
        """Remove a new copy, unless it is used after all: who is cancelled or fails does not know."""
        if not await self._database.write(lambda c: reencryption.is_named(c, copy, key)):
            await self._places.every.delete(key)

    async def _replace_with(self, copy: StoredBlob, new: NewCopy | None, target: str) -> bool:
        now = self._now()
        return await self._database.write(lambda c: reencryption.replace_copy(c, copy, new, target, now))

    async def _manifests(self) -> AsyncIterator[ManifestPlace]:
        after = ManifestPlace(0, "")
        while page := await self._page_of_manifests(after):
            for place in page:
                yield place
            after = page[-1]

    async def _page_of_manifests(self, after: ManifestPlace) -> list[ManifestPlace]:
        return await self._database.scan(
            lambda c: reencryption.list_stale_manifests(c, self._wanted, after=after, limit=_PAGE)
        )

    async def _rewrite_manifest(self, place: ManifestPlace) -> Rewritten:
        found = await self._database.scan(lambda c: reencryption.find_stale_manifest(c, self._wanted, place))
        if found is None:
            return Rewritten(place.digest, 0)

        async def rewrite() -> None:
            new = await self._seals.again(found)
            await self._database.write(lambda c: reencryption.replace_manifest(c, found, new))

        return Rewritten(place.digest, len(found.payload), await _problem_of(rewrite()))


async def _problem_of(work: Awaitable[None]) -> str:
    """What is wrong with the object that was worked on, nothing where it was done; raises what concerns all objects."""
    try:
        await work
    except StoreUnavailable as error:
        if error.is_away:
            raise
        return f"its bytes cannot be read or written: {error.words or error}"
    except _BAD as error:
        return _told(error)
    return ""


def _told(error: StorageError) -> str:
    match error:
        case StoredBytesMissing():
            return "its bytes are missing"
        case DigestMismatch() | DigestInvalid():
            return "its bytes are not what its digest names"
        case SealBroken():
            return f"it does not open: {error.reason}"
    return f"it cannot be opened or sealed: {error}"
