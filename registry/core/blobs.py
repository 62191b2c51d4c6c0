"""Blobs of a repository: finding, deleting, mounting, and recording what was pushed.

- A blob exists in a repository only if it was pushed or mounted there, whatever else is stored.
- Whoever is told that a blob exists may build on it: a candidate of collection starts its grace again first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from sqlalchemy import Connection

from registry.core.damage import HearOfDamage, unheard
from registry.core.errors import BlobUnknown, CopyReplaced, RepositoryUnknown
from registry.core.names import RepositoryName
from registry.core.reading import OpenBlob, Reading
from registry.core.repositories import locked_repository
from storage.blobs.interface import BlobStore, StoredCopy
from storage.digest import Digest
from storage.errors import StoreUnavailable
from storage.metadata import blobs, repositories
from storage.metadata.database import Database

# A mount that names no source looks at this many repositories before it gives up and asks for an upload.
_SOURCES_TRIED = 100


class Blobs:
    """Blobs as the repositories see them; with `redirects`, clients fetch them from the store if it can be asked.

    `damaged` hears of copies that turn out to be bad.
    """

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        now: Callable[[], float],
        *,
        damaged: HearOfDamage = unheard,
        redirects: bool = False,
    ) -> None:
        self._database = database
        self._store = store
        self._now = now
        self._reading = Reading(database, store, damaged, redirects=redirects)

    async def find(self, repository: RepositoryName, digest: Digest) -> blobs.StoredBlob:
        """The blob of a repository; raises BlobUnknown or RepositoryUnknown."""
        found = await self._database.read(lambda c: blobs.find_blob(c, repository.text, str(digest)))
        if found is None:
            raise await self._unknown(repository, digest)
        return found

    async def vouch(self, repository: RepositoryName, digest: Digest) -> int:
        """Size of a blob that the caller may rely on from here on; raises BlobUnknown or RepositoryUnknown."""
        try:
            found = await self._seen(repository, digest)
        except CopyReplaced:
            found = await self._seen(repository, digest)
        if found.candidate:
            now = self._now()
            kept = await self._database.write(
                lambda c: blobs.renew_candidate(c, repository_name=repository.text, digest=str(digest), now=now)
            )
            if not kept:
                raise BlobUnknown(str(digest))
        return found.size

    @asynccontextmanager
    async def open(self, repository: RepositoryName, digest: Digest) -> AsyncIterator[OpenBlob]:
        """A blob ready to be sent; a copy that turns out to be bad is quarantined, and unknown from then on.

        Raises BlobUnknown or RepositoryUnknown, and CopyReplaced where the same, asked again, may succeed at once.
        """
        found = await self.find(repository, digest)
        async with self._reading.open(repository, found) as opened:
            yield opened

    async def _seen(self, repository: RepositoryName, digest: Digest) -> blobs.StoredBlob:
        """The blob of a repository, its copy being there."""
        found = await self.find(repository, digest)
        await self._reading.look_at(repository, found)
        return found

    async def _see_to_stored(self, repository: RepositoryName, digest: Digest) -> None:
        """Have the copy that serves a digest quarantined if its bytes are gone."""
        stored = await self._database.read(lambda c: blobs.find_stored_copy(c, str(digest), "", hold=False))
        if stored is not None:
            with suppress(BlobUnknown, CopyReplaced):
                await self._reading.look_at(repository, stored)

    async def delete(self, repository: RepositoryName, digest: Digest) -> None:
        """Take a blob out of a repository at once; raises BlobUnknown or RepositoryUnknown."""
        now = self._now()

        def change(connection: Connection) -> bool:
            repository_id = locked_repository(connection, repository, create=False, now=now)
            return blobs.unlink_blob(connection, repository_id=repository_id, digest=str(digest), now=now)

        if not await self._database.write(change):
            raise BlobUnknown(str(digest))

    async def mount(
        self,
        target: RepositoryName,
        digest: Digest,
        *,
        source: RepositoryName | None,
        choose: Callable[[Sequence[RepositoryName]], Awaitable[RepositoryName | None]],
        create: bool,
    ) -> bool:
        """Let `target` read a blob that the caller may pull elsewhere; False when there is none to mount.

        `choose` picks, of the repositories that may have the blob, one that the caller may pull. Raises
        RepositoryUnknown for a target that is not there and may not be created.
        """
        readable = await choose(await self._sources(digest, source))
        if readable is None:
            return False
        now = self._now()

        def change(connection: Connection) -> None:
            # The repository first, then the copy, as every change does: no two can wait for each other. The copy is
            # held, so that it cannot be on its way out while it is linked.
            repository_id = locked_repository(connection, target, create=create, now=now)
            served = blobs.find_stored_copy(connection, str(digest), "")
            found = blobs.find_blob(connection, readable.text, str(digest))
            if served is None or found is None or served.id != found.id:
                raise BlobUnknown(str(digest))
            blobs.link_blob(connection, repository_id=repository_id, digest=str(digest), blob_id=found.id, now=now)

        try:
            await self._database.write(change)
        except BlobUnknown:
            return False
        return True

    async def record(
        self, repository: RepositoryName, digest: Digest, copy: StoredCopy | None, *, create: bool
    ) -> bool:
        """Let a repository read a blob whose bytes its pusher has shown to have.

        With `copy` None an existing copy is linked, False when there is none. A new copy that another push has made
        superfluous meanwhile is removed. An existing copy whose bytes are gone does not count: this push repairs it.
        """
        await self._see_to_stored(repository, digest)
        now = self._now()

        def change(connection: Connection) -> tuple[bool, bool]:
            repository_id = locked_repository(connection, repository, create=create, now=now)
            blob_id, is_served = _serving_copy(connection, digest, copy, now)
            if blob_id is None:
                return False, False
            blobs.link_blob(connection, repository_id=repository_id, digest=str(digest), blob_id=blob_id, now=now)
            return True, not is_served

        linked, superfluous = await self._database.write(change)
        if superfluous and copy is not None:
            await self._store.delete(copy.key)
        return linked

    async def drop_unrecorded(self, copy: StoredCopy) -> None:
        """Remove a copy that a push could not record, unless some row names it all the same."""
        if not await self._database.read(lambda c: blobs.is_recorded(c, copy.key)):
            await self._store.delete(copy.key)

    async def _sources(self, digest: Digest, source: RepositoryName | None) -> list[RepositoryName]:
        if source is not None:
            return [source]
        names = await self._database.scan(lambda c: blobs.list_readers(c, str(digest), domain="", limit=_SOURCES_TRIED))
        return [RepositoryName(name) for name in names]

    async def _unknown(self, repository: RepositoryName, digest: Digest) -> BlobUnknown | RepositoryUnknown:
        known = await self._database.read(lambda c: repositories.find_repository(c, repository.text))
        return RepositoryUnknown(repository.text) if known is None else BlobUnknown(str(digest))


def _serving_copy(
    connection: Connection, digest: Digest, copy: StoredCopy | None, now: float
) -> tuple[int | None, bool]:
    """The id of the copy that serves a digest, and whether that is the new one, or was recorded as such before."""
    served = blobs.find_stored_copy(connection, str(digest), "")
    if served is not None or copy is None:
        is_recorded = served is not None and copy is not None and served.storage_key == copy.key
        return (served.id if served else None), is_recorded
    added = blobs.add_copy(connection, blobs.NewCopy(str(digest), copy.size, copy.key), now)
    if added is not None:
        blobs.repair_readers(connection, digest=str(digest), domain="", blob_id=added, now=now)
        return added, True
    # Another push of the same bytes was faster; its row is visible since add_copy waited for it.
    served = blobs.find_stored_copy(connection, str(digest), "")
    if served is None:
        message = "the blob was pushed and removed by others meanwhile: push it again"
        raise StoreUnavailable(message)
    return served.id, False
