"""Checking everything that is stored: bytes against digests, manifests against what they name.

- Only content that would be served wrong, or not at all, is bad; bytes that nobody reads are left to the collector.
- A copy whose bytes are wrong is quarantined at once: it is never served again, and a push of its digest repairs it.
- A copy that cannot be seen proves little: those that are missing are quarantined at the end of a run that saw most of
  what it looked for, and one that cannot be read is reported alone.
- A quarantined copy stays bad for as long as somebody misses it; one whose bytes are good is served again.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from registry.core.copies import all_copies
from registry.core.several import several
from storage.blobs.interface import BlobStore, Span
from storage.digest import Digest, hasher
from storage.errors import DigestInvalid, StoredBytesMissing, StoreUnavailable
from storage.metadata import blobs, manifests, verification
from storage.metadata.database import Database
from storage.metadata.verification import CheckedCopy, CheckedManifest

_PAGE: Final = 200
_PAGE_BYTES: Final = 8 * 1024 * 1024
_MISSING_TOLERATED: Final = 10
# A bucket answers slowly, and many at once; hashing is done by one core all the same.
_AT_ONCE: Final = 8


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
                "mounted, or the bucket the right one? Nothing was given up"
            )
            raise StoreUnavailable(message, is_away=True)


class Verification:
    """Looks at every stored copy and every manifest."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        self._database = database
        self._store = store

    async def count(self) -> int:
        """How many objects there are to look at."""
        return await self._database.scan(lambda c: verification.count_copies(c) + manifests.count_manifests(c))

    async def run(self, *, chosen: Callable[[str], bool]) -> AsyncIterator[Checked]:
        """Look at the objects whose digest `chosen` accepts, in no particular order.

        Raises StoreUnavailable, having given up no missing copy, when the store as a whole seems to be away.
        """
        missing: list[CheckedCopy] = []
        tally = _Tally()
        copies = (copy async for copy in all_copies(self._database) if chosen(copy.digest))
        async with aclosing(several(copies, self._look_at, at_once=_AT_ONCE)) as findings:
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
                wrong = None if _names(manifest.digest, manifest.payload) else "its bytes are not what its digest names"
                yield Checked(manifest.digest, len(manifest.payload), wrong)

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
        try:
            problem = await self._compare(copy)
        except StoredBytesMissing:
            return _Finding(copy, _Sight.MISSING, "its bytes are missing")
        except StoreUnavailable as error:
            if error.is_away:
                raise
            return _Finding(copy, _Sight.UNREADABLE, f"its bytes cannot be read: {error.words or error}")
        except DigestInvalid:
            return _Finding(copy, _Sight.WRONG, "its digest cannot be read")
        return _Finding(copy, _Sight.GOOD) if problem is None else _Finding(copy, _Sight.WRONG, problem)

    async def _compare(self, copy: CheckedCopy) -> str | None:
        expected = Digest.parse(copy.digest)
        size = await self._store.size(copy.storage_key)
        if size != copy.size:
            return f"it has {size} bytes, not {copy.size}"
        running = hasher(expected.algorithm)
        async for chunk in self._store.read(copy.storage_key, Span(0, size)):
            running.update(chunk)
        return None if running.hexdigest() == expected.hex else "its bytes are not what its digest names"


def _names(digest: str, payload: bytes) -> bool:
    try:
        return Digest.parse(digest).matches(payload)
    except DigestInvalid:
        return False
