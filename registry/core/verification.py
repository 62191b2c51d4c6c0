"""Checking everything that is stored: bytes against digests, manifests against what they name.

- Only content that would be served wrong, or not at all, is bad; bytes that nobody reads are left to the collector.
- A copy whose bytes are wrong is quarantined at once: it is never served again, and a push of its digest repairs it.
- A copy that cannot be seen proves little: those that are missing are quarantined at the end of a run that saw most of
  what it looked for, and one that cannot be read is reported alone.
- A copy whose key is destroyed, or is not the one at hand, is reported and kept. A key that cannot be had ends the run.
- A quarantined copy stays bad for as long as somebody misses it; one whose bytes are good is served again.
"""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from registry.core.copies import all_copies
from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.core.rehashing import Rehashing
from registry.core.several import several
from storage.blobs.interface import Expected
from storage.digest import Digest
from storage.errors import (
    DigestInvalid,
    DomainUnusable,
    SealBroken,
    StorageError,
    StoredBytesMissing,
    StoreUnavailable,
    WrongKey,
)
from storage.metadata import blobs, manifests, verification
from storage.metadata.database import Database
from storage.metadata.verification import CheckedCopy, CheckedManifest

NO_SEALS: Final = ManifestSeals()
_PAGE: Final = 200
_PAGE_BYTES: Final = 8 * 1024 * 1024
_MISSING_TOLERATED: Final = 10
# A bucket answers slowly, and many at once.
_LEAST_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Checked:
    """One object that was looked at; `problem` is None when it is as it should be."""

    digest: str
    size: int
    problem: str | None


class _Sight(Enum):
    """What was seen of a copy."""

    GOOD = auto()
    WRONG = auto()
    MISSING = auto()
    UNREADABLE = auto()
    LOCKED = auto()
    """Nobody is to read it: its key is being destroyed, or was."""


@dataclass(frozen=True, slots=True)
class _Finding:
    copy: CheckedCopy
    sight: _Sight
    problem: str | None = None


@dataclass(slots=True)
class _Tally:
    """How much of what was looked for could not be seen."""

    looked_at: int = 0
    unseen: int = 0

    def count(self, finding: _Finding) -> None:
        """Count a copy; raises StoreUnavailable when more is away than a store loses by itself."""
        self.looked_at += 1
        self.unseen += finding.sight in {_Sight.MISSING, _Sight.UNREADABLE}
        if self.unseen > _MISSING_TOLERATED and 2 * self.unseen > self.looked_at:
            message = (
                f"{self.unseen} of the first {self.looked_at} objects cannot be found or read: is the content's disk "
                "mounted, the bucket the right one, and the database the one that goes with it? Nothing was given up"
            )
            raise StoreUnavailable(message, is_away=True)


class Verification:
    """Looks at every stored copy and every manifest; `cores` of `threads` are kept busy with hashing."""

    def __init__(
        self, database: Database, places: Places, threads: Executor, *, cores: int, seals: ManifestSeals = NO_SEALS
    ) -> None:
        self._database = database
        self._places = places
        self._seals = seals
        self._rehashing = Rehashing(places, threads)
        self._at_once = max(_LEAST_AT_ONCE, 2 * cores)

    async def count(self) -> int:
        """How many objects there are to look at."""
        return await self._database.scan(lambda c: verification.count_copies(c) + manifests.count_manifests(c))

    async def run(self, *, chosen: Callable[[str], bool]) -> AsyncIterator[Checked]:
        """Look at the objects whose digest `chosen` accepts, in no particular order.

        Raises StoreUnavailable, having given up no missing copy, when the store as a whole seems to be away, and
        KeyUnavailable when a key cannot be had.
        """
        missing: list[CheckedCopy] = []
        tally = _Tally()
        copies = (copy async for copy in all_copies(self._database) if chosen(copy.digest))
        async with aclosing(several(copies, self._look_at, at_once=self._at_once)) as findings:
            async for finding in findings:
                copy = finding.copy
                if not copy.is_quarantined:
                    tally.count(finding)
                if finding.sight is _Sight.MISSING:
                    missing.append(copy)
                yield Checked(copy.digest, copy.size, await self._settle(finding))
        for copy in missing:
            await self._quarantine(copy)
        async for manifest in self._manifests():
            if chosen(manifest.digest):
                yield Checked(manifest.digest, manifest.size, await self._wrong(manifest))

    async def _wrong(self, manifest: CheckedManifest) -> str | None:
        """What is wrong with a manifest."""
        try:
            payload = await self._seals.payload(manifest.digest, manifest.payload, manifest.domain)
            await self._seals.annotations(manifest.digest, manifest.annotations, manifest.domain)
        except (DigestInvalid, DomainUnusable, SealBroken, WrongKey) as error:
            return _seen(error)[1]
        return None if _names(manifest.digest, payload) else "its bytes are not what its digest names"

    async def _settle(self, finding: _Finding) -> str | None:
        """Do what follows at once from what was seen; returns the problem that is left."""
        copy = finding.copy
        if finding.sight is _Sight.WRONG:
            await self._quarantine(copy)
        if finding.sight is _Sight.GOOD and copy.is_quarantined:
            restored = await self._database.write(lambda c: verification.restore(c, copy.id))
            return None if restored else "it was found bad before"
        return finding.problem

    async def _manifests(self) -> AsyncIterator[CheckedManifest]:
        after = (0, "")
        while page := await self._page_of_manifests(after):
            for manifest in page:
                yield manifest
            after = (page[-1].repository_id, page[-1].digest)

    async def _page_of_manifests(self, after: tuple[int, str]) -> list[CheckedManifest]:
        return await self._database.scan(
            lambda c: verification.list_manifests(c, after=after, limit=_PAGE, limit_bytes=_PAGE_BYTES)
        )

    async def _quarantine(self, copy: CheckedCopy) -> None:
        await self._database.write(lambda c: blobs.quarantine(c, copy.id, copy.storage_key))

    async def _look_at(self, copy: CheckedCopy) -> _Finding:
        finding = await self._look_once(copy)
        if finding.sight in {_Sight.MISSING, _Sight.WRONG}:
            current = await self._database.scan(lambda c: verification.find_copy(c, copy.id))
            if current is not None and current.storage_key != copy.storage_key:
                return await self._look_once(current)  # it was stored anew since its page was read
        return finding

    async def _look_once(self, copy: CheckedCopy) -> _Finding:
        try:
            problem = await self._compare(copy)
        except StoreUnavailable as error:
            if error.is_away:
                raise
            return _Finding(copy, _Sight.UNREADABLE, f"its bytes cannot be read: {error.words or error}")
        except (DigestInvalid, DomainUnusable, SealBroken, StoredBytesMissing, WrongKey) as error:
            return _Finding(copy, *_seen(error))
        return _Finding(copy, _Sight.GOOD if problem is None else _Sight.WRONG, problem)

    async def _compare(self, copy: CheckedCopy) -> str | None:
        expected = Expected(copy.size, Digest.parse(copy.digest), copy.domain)
        if not copy.domain:
            size = await self._places.plain.size(copy.storage_key)
            if size != copy.size:
                return f"it has {size} bytes, not {copy.size}"
        digest = await self._rehashing.digest(copy.storage_key, expected)
        return None if digest == expected.digest else "its bytes are not what its digest names"


def _seen(error: StorageError) -> tuple[_Sight, str]:
    match error:
        case StoredBytesMissing():
            return _Sight.MISSING, "its bytes are missing"
        case SealBroken():
            return _Sight.WRONG, f"it does not open: {error.reason}"
        case DomainUnusable():
            return _Sight.LOCKED, f"it cannot be opened: {error}"
        case WrongKey():
            return _Sight.UNREADABLE, f"it cannot be opened: {error}"
    return _Sight.WRONG, "its digest cannot be read"


def _names(digest: str, payload: bytes) -> bool:
    try:
        return Digest.parse(digest).matches(payload)
    except DigestInvalid:
        return False
