"""Blobs of a repository: finding, deleting, mounting, and recording what was pushed.

- A blob exists in a repository only if it was pushed or mounted there, whatever else is stored.
- Whoever is told that a blob exists may build on it: a candidate of collection starts its grace again first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import NamedTuple

from sqlalchemy import Connection

from registry.core.damage import HearOfDamage, unheard
from registry.core.errors import BlobUnknown, CopyReplaced, RepositoryUnknown, UploadUnknown
from registry.core.names import RepositoryName
from registry.core.places import Places
from registry.core.reading import OpenBlob, Reading
from registry.core.repositories import locked_repository
from storage.blobs.interface import BlockingReader, StoredCopy
from storage.digest import Digest
from storage.errors import StoreUnavailable
from storage.metadata import blobs, repositories
from storage.metadata.database import Database
from storage.metadata.remembered import Remembered

# A mount that names no source looks at this many repositories before it gives up and asks for an upload.
_SOURCES_TRIED = 100

_Sought = tuple[str, str, int]
"""A repository, a digest, and the generation in which who asks may see it."""


class Blobs:
    """Blobs as the repositories see them; with `redirects`, clients fetch them from the store if it can be asked.

    `damaged` hears of copies that turn out to be bad.
    """

    def __init__(
        self,
        database: Database,
        places: Places,
        now: Callable[[], float],
        *,
        damaged: HearOfDamage = unheard,
        redirects: bool = False,
    ) -> None:
        self._database = database
        self._found = Remembered[_Sought, blobs.StoredBlob | None](
            database, lambda c, sought: blobs.find_blob_while(c, *sought)
        )
        self._places = places
        self._now = now
        self._reading = Reading(database, places, damaged, redirects=redirects)

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

    async def find_while(self, repository: RepositoryName, digest: Digest, generation: int) -> blobs.StoredBlob | None:
        """The blob of a repository; None where it is unknown, or who may do what has changed since then."""
        return await self._found.read((repository.text, str(digest), generation))

    def vouch_now(self, found: blobs.StoredBlob) -> bool:
        """Whether the caller may rely on a blob that was found just then; False where it takes more than a look.

        Raises StoredBytesMissing, which is left to who asks again.
        """
        return not found.candidate and self._reading.look_now(found)

    async def content_now(self, found: blobs.StoredBlob) -> bytes | None:
        """All of a small blob that was found just then; None where a store has to be waited for. Raises the same."""
        return await self._reading.content_now(found)

    async def reader_now(self, found: blobs.StoredBlob) -> BlockingReader | None:
        """What reads a blob that was found just then, the caller's to close; None where a store has to be waited for.

        Raises StoredBytesMissing or SealBroken, which is left to who asks again.
        """
        return await self._reading.reader_now(found)

    def reading(
        self, repository: RepositoryName, found: blobs.StoredBlob, reader: BlockingReader
    ) -> AbstractAsyncContextManager[None]:
        """Use what `reader_now` gave in the block: it is closed then, and damage that it meets counts as in `open`."""
        return self._reading.minding(repository, found, reader)

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

    async def is_stored(self, repository: RepositoryName, digest: Digest, domain: str) -> bool:
        """Whether a copy serves a digest in a domain, whoever reads it; never to be told to a caller.

        One whose bytes are gone does not, and is quarantined: `repository` is where that was noticed.
        """
        stored = await self._database.read(lambda c: blobs.find_stored_copy(c, str(digest), domain, hold=False))
        if stored is None:
            return False
        try:
            with suppress(CopyReplaced):
                await self._reading.look_at(repository, stored)
        except BlobUnknown:
            return False
        return True

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

        Where `target` is of another encryption domain, its bytes are stored again for it. `choose` picks, of the
        repositories that may have the blob, one that the caller may pull. Raises RepositoryUnknown for a target that is
        not there and may not be created.
        """
        domain = await self._places.domain_of(target)
        readable = await choose(await self._sources(digest, source, domain))
        if readable is None:
            return False
        found = await self._database.read(lambda c: blobs.find_blob(c, readable.text, str(digest)))
        if found is None:
            return False
        if found.domain != domain:
            return await self._mount_across(target, digest, readable, found, create=create)
        return await self._link(target, digest, readable, domain, create=create)

    async def _link(
        self, target: RepositoryName, digest: Digest, readable: RepositoryName, domain: str, *, create: bool
    ) -> bool:
        """Let a repository read the copy that another one of its domain reads."""
        now = self._now()

        def change(connection: Connection) -> None:
            # The repository first, then the copy, as every change does: no two can wait for each other. The copy is
            # held, so that it cannot be on its way out while it is linked.
            repository_id = locked_repository(connection, target, create=create, now=now)
            served = blobs.find_stored_copy(connection, str(digest), domain)
            found = blobs.find_blob(connection, readable.text, str(digest))
            if served is None or found is None or served.id != found.id:
                raise BlobUnknown(str(digest))
            blobs.link_blob(connection, repository_id=repository_id, digest=str(digest), blob_id=found.id, now=now)

        try:
            await self._database.write(change)
        except BlobUnknown:
            return False
        return True

    async def _mount_across(
        self,
        target: RepositoryName,
        digest: Digest,
        readable: RepositoryName,
        found: blobs.StoredBlob,
        *,
        create: bool,
    ) -> bool:
        """Store what another repository reads again for one of another domain, unless that has a copy already."""
        if await self.record(target, digest, None, create=create):
            return True
        try:
            copy = await self._reading.copy(readable, found, await self._places.domain_of(target))
        except (BlobUnknown, CopyReplaced):
            return False
        return await self.record(target, digest, copy, create=create)

    async def record(
        self,
        repository: RepositoryName,
        digest: Digest,
        copy: StoredCopy | None,
        *,
        create: bool,
        is_first: bool = False,
    ) -> bool:
        """Let a repository read a blob whose bytes its pusher has shown to have.

        With `copy` None an existing copy is linked, False when there is none. A new copy that another push has made
        superfluous meanwhile is removed. An existing copy whose bytes are gone does not count: this push repairs it.
        `is_first` says that a moment ago there was none. Raises UploadUnknown for a copy in a domain that is not the
        repository's any more: it was made anew meanwhile.
        """
        domain = await self._places.domain_of(repository) if copy is None else copy.domain
        if not is_first and not await self.is_stored(repository, digest, domain) and copy is None:
            return False
        now = self._now()

        def change(connection: Connection) -> tuple[bool, bool]:
            repository_id = locked_repository(connection, repository, create=create, now=now)
            if domain and repositories.domain_of(connection, repository.text) != domain:
                raise UploadUnknown
            served = _serving_copy(connection, digest, domain, copy, now)
            if served is None:
                return False, False
            blobs.link_blob(
                connection,
                repository_id=repository_id,
                digest=str(digest),
                blob_id=served.id,
                now=now,
                is_new=served.is_new,
            )
            return True, served.is_superfluous

        linked, superfluous = await self._database.write(change)
        if superfluous and copy is not None:
            await self._places.every.delete(copy.key)
        return linked

    async def drop_unrecorded(self, copy: StoredCopy) -> None:
        """Remove a copy that a push could not record, unless some row names it all the same."""
        if not await self._database.read(lambda c: blobs.is_recorded(c, copy.key)):
            await self._places.every.delete(copy.key)

    async def _sources(self, digest: Digest, source: RepositoryName | None, domain: str) -> list[RepositoryName]:
        if source is not None:
            return [source]
        names = await self._database.scan(
            lambda c: blobs.list_readers(c, str(digest), domain=domain, limit=_SOURCES_TRIED)
        )
        return [RepositoryName(name) for name in names]

    async def _unknown(self, repository: RepositoryName, digest: Digest) -> BlobUnknown | RepositoryUnknown:
        known = await self._database.read(lambda c: repositories.find_repository(c, repository.text))
        return RepositoryUnknown(repository.text) if known is None else BlobUnknown(str(digest))


class _Serving(NamedTuple):
    """The copy that serves a digest: recorded just now or before; in the latter case the new one may be superfluous."""

    id: int
    is_new: bool
    is_superfluous: bool


def _serving_copy(
    connection: Connection, digest: Digest, domain: str, copy: StoredCopy | None, now: float
) -> _Serving | None:
    """The copy that serves a digest, which is the new one if none did before."""
    served = blobs.find_stored_copy(connection, str(digest), domain)
    if served is not None:
        return _Serving(served.id, is_new=False, is_superfluous=copy is not None and served.storage_key != copy.key)
    if copy is None:
        return None
    new = blobs.NewCopy(str(digest), copy.size, copy.key, domain, copy.key_version)
    added = blobs.add_copy(connection, new, now)
    if added is not None:
        blobs.repair_readers(connection, digest=str(digest), domain=domain, blob_id=added, now=now)
        return _Serving(added, is_new=True, is_superfluous=False)
    # Another push of the same bytes was faster; its row is visible since add_copy waited for it.
    served = blobs.find_stored_copy(connection, str(digest), domain)
    if served is None:
        message = "the blob was pushed and removed by others meanwhile: push it again"
        raise StoreUnavailable(message)
    return _Serving(served.id, is_new=False, is_superfluous=True)
