"""Reading stored copies, and taking those out of service that turn out to be bad."""

import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NoReturn

from registry.core.damage import Damage, HearOfDamage
from registry.core.errors import BlobUnknown, CopyReplaced
from registry.core.names import RepositoryName
from registry.core.opened import Opened
from registry.core.places import Places
from storage.blobs.copying import copy_into
from storage.blobs.file_reader import FileReader, open_file, reader_of, whole
from storage.blobs.interface import (
    BlobStore,
    BlockingReader,
    Expected,
    LocalFiles,
    SealedFiles,
    SignedUrls,
    Span,
    Stamp,
    StoredCopy,
    offers,
)
from storage.digest import Digest
from storage.errors import SealBroken, StoredBytesMissing
from storage.metadata import blobs
from storage.metadata.blobs import StoredBlob
from storage.metadata.database import Database

# Long enough to begin: an answer that has begun is not cut off.
_URL_SECONDS: Final = 60
# Of what is remembered of a small copy beside its bytes.
_SMALL_ROW_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A blob ready to be sent.

    `read` gives any span. Where threads can read it by themselves there is a `reader`, and its open `file` where the
    kernel can send it. `signed_url`, where clients are sent to the store, gives a URL of it that answers with a media
    type.
    """

    size: int
    read: Callable[[Span], AsyncGenerator[bytes, None]]
    reader: BlockingReader | None = None
    file: int | None = None
    signed_url: Callable[[str], Awaitable[str]] | None = None


@dataclass(frozen=True, slots=True)
class _Small:
    """A small copy: of what, in which file, and what is in it."""

    digest: str
    stamp: Stamp
    content: bytes = b""


class Reading:
    """Reads stored copies; with `redirects`, clients fetch plain ones from the store if it can be asked.

    What both methods read may turn out to be bad: missing, of another length, or sealed and damaged. It is quarantined
    then, `damaged` hears of it, and they raise BlobUnknown; or CopyReplaced where another copy has taken its place.
    """

    def __init__(self, database: Database, places: Places, damaged: HearOfDamage, *, redirects: bool) -> None:
        self._database = database
        self._places = places
        self._damaged = damaged
        self._redirects = redirects
        self._small = Opened[_Small](lambda small: _SMALL_ROW_BYTES + len(small.content))

    @asynccontextmanager
    async def open(self, repository: RepositoryName, found: StoredBlob) -> AsyncIterator[OpenBlob]:
        """A copy ready to be sent to a reader of a repository; what the block raises of damage counts too."""
        store, expected = self._places.holding(found.domain), _expected(found)
        async with self._minding(repository, found):
            reader = await reader_of(store, found.storage_key, expected)
            try:
                yield OpenBlob(
                    found.size,
                    lambda span: store.read(found.storage_key, span, expected=expected),
                    reader,
                    reader.file if isinstance(reader, FileReader) else None,
                    self._signing(store, found),
                )
            finally:
                if reader is not None:
                    reader.close()

    async def look_at(self, repository: RepositoryName, found: StoredBlob) -> None:
        """See that a copy is there, and as long as it was."""
        store = self._places.holding(found.domain)
        async with self._minding(repository, found):
            if offers(store, LocalFiles):
                os.close(open_file(store, found.storage_key, found.size))
            else:
                await store.size(found.storage_key, expected=_expected(found))

    def look_now(self, found: StoredBlob) -> bool:
        """See that a copy is there, where that takes no waiting; False where it does.

        Raises StoredBytesMissing, and quarantines nothing.
        """
        store = self._places.holding(found.domain)
        if offers(store, LocalFiles):
            os.close(open_file(store, found.storage_key, found.size))
        elif offers(store, SealedFiles):
            store.look_now(found.storage_key, _expected(found))
        else:
            return False
        return True

    async def reader_now(self, found: StoredBlob) -> BlockingReader | None:
        """What reads a copy, the caller's to close; None where it cannot be had without waiting for a store.

        Raises StoredBytesMissing or SealBroken, and quarantines nothing.
        """
        store = self._places.holding(found.domain)
        if offers(store, LocalFiles):
            return FileReader(found.storage_key, open_file(store, found.storage_key, found.size))
        if offers(store, SealedFiles):
            return await store.reader_now(found.storage_key, _expected(found))
        return None

    async def content_now(self, found: StoredBlob) -> bytes | None:
        """All of a small copy, which is remembered until its file is touched; None and raises as `reader_now`."""
        stamp = await self._stamp_now(found)
        if stamp is None:
            return None
        asked = _Small(found.digest, stamp)
        kept = self._small.find(asked)
        if kept is None:
            reader = await self.reader_now(found)
            if reader is None:
                return None
            try:
                kept = replace(asked, content=whole(reader, Span(0, found.size)))
            finally:
                reader.close()
            self._small.keep(asked, kept)
        return kept.content

    async def _stamp_now(self, found: StoredBlob) -> Stamp | None:
        store = self._places.holding(found.domain)
        if offers(store, LocalFiles):
            return store.stamp(found.storage_key)
        if offers(store, SealedFiles):
            return await store.stamp_now(found.storage_key, _expected(found))
        return None

    @asynccontextmanager
    async def minding(
        self, repository: RepositoryName, found: StoredBlob, reader: BlockingReader
    ) -> AsyncIterator[None]:
        """Close what reads a copy at the end of the block; what the block raises of damage counts."""
        async with self._minding(repository, found):
            try:
                yield
            finally:
                reader.close()

    async def copy(self, repository: RepositoryName, found: StoredBlob, domain: str) -> StoredCopy:
        """Store the bytes of a copy that a repository reads again, in another domain."""
        source, target = self._places.holding(found.domain), self._places.staging(domain)
        async with self._minding(repository, found):
            return await copy_into(target, source, found.storage_key, _expected(found), upload_id=str(uuid.uuid4()))

    def _signing(self, store: BlobStore, found: StoredBlob) -> Callable[[str], Awaitable[str]] | None:
        if not self._redirects or not offers(store, SignedUrls):
            return None
        return partial(_signed_url, store, found.storage_key)

    @asynccontextmanager
    async def _minding(self, repository: RepositoryName, found: StoredBlob) -> AsyncIterator[None]:
        try:
            yield
        except (SealBroken, StoredBytesMissing) as error:
            await self._give_up(repository, found, error)

    async def _give_up(
        self, repository: RepositoryName, found: StoredBlob, error: SealBroken | StoredBytesMissing
    ) -> NoReturn:
        """Quarantine the copy that was read: it is unknown from then on, and a push repairs it."""
        if await self._database.write(lambda c: blobs.quarantine(c, found.id, found.storage_key)):
            await self._damaged(Damage.seen(repository, found.digest, error))
        served = await self._database.read(lambda c: blobs.find_blob(c, repository.text, found.digest))
        if served is not None and served.storage_key != found.storage_key:
            raise CopyReplaced(found.digest) from error
        raise BlobUnknown(found.digest) from error


def _expected(found: StoredBlob) -> Expected:
    return Expected(found.size, Digest.parse(found.digest), found.domain)


def _signed_url(store: SignedUrls, key: str, media_type: str) -> Awaitable[str]:
    return store.signed_url(key, lifetime_seconds=_URL_SECONDS, media_type=media_type)
