"""Checking everything that is stored: bytes against digests, manifests against what they name.

- Only content that would be served wrong, or not at all, is bad; bytes that nobody reads are left to the collector.
- A bad copy is quarantined at once: it is never served again, and a push of the same digest repairs it.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from storage.blobs.interface import BlobStore, Span
from storage.digest import Digest, hasher
from storage.errors import DigestInvalid, StoredBytesMissing
from storage.metadata import blobs, manifests
from storage.metadata.blobs import StoredBlob
from storage.metadata.database import Database

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Checked:
    """One object that was looked at; `problem` is None when it is as it should be."""

    digest: str
    size: int
    problem: str | None


class Verification:
    """Looks at every stored copy and every manifest."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        self._database = database
        self._store = store

    async def count(self) -> int:
        """How many objects there are to look at."""
        return await self._database.scan(lambda c: blobs.count_copies(c) + manifests.count_manifests(c))

    async def run(self, *, chosen: Callable[[str], bool]) -> AsyncIterator[Checked]:
        """Look at the objects whose digest `chosen` accepts, one after another."""
        async for copy in self._copies():
            if chosen(copy.digest):
                problem = await self._problem_of(copy)
                if problem is not None:
                    await self._quarantine(copy)
                yield Checked(copy.digest, copy.size, problem)
        async for manifest in self._manifests():
            if chosen(manifest.digest):
                wrong = None if _names(manifest.digest, manifest.payload) else "its bytes are not what its digest names"
                yield Checked(manifest.digest, len(manifest.payload), wrong)

    async def _copies(self) -> AsyncIterator[StoredBlob]:
        after = 0
        while page := await self._page_of_copies(after):
            for copy in page:
                yield copy
            after = page[-1].id

    async def _page_of_copies(self, after: int) -> list[StoredBlob]:
        return await self._database.scan(lambda c: blobs.list_copies(c, after=after, limit=_PAGE))

    async def _manifests(self) -> AsyncIterator[manifests.CheckedManifest]:
        after = (0, "")
        while page := await self._page_of_manifests(after):
            for manifest in page:
                yield manifest
            after = (page[-1].repository_id, page[-1].digest)

    async def _page_of_manifests(self, after: tuple[int, str]) -> list[manifests.CheckedManifest]:
        return await self._database.scan(lambda c: manifests.list_manifests(c, after=after, limit=_PAGE))

    async def _quarantine(self, copy: StoredBlob) -> None:
        await self._database.write(lambda c: blobs.quarantine(c, copy.id))

    async def _problem_of(self, copy: StoredBlob) -> str | None:
        try:
            expected = Digest.parse(copy.digest)
            size = await self._store.size(copy.storage_key)
            if size != copy.size:
                return f"it has {size} bytes, not {copy.size}"
            running = hasher(expected.algorithm)
            async for chunk in self._store.read(copy.storage_key, Span(0, size)):
                running.update(chunk)
        except StoredBytesMissing:
            return "its bytes are missing"
        except DigestInvalid:
            return "its digest cannot be read"
        return None if running.hexdigest() == expected.hex else "its bytes are not what its digest names"


def _names(digest: str, payload: bytes) -> bool:
    try:
        return Digest.parse(digest).matches(payload)
    except DigestInvalid:
        return False
