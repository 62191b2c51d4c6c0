"""Images and artifacts: manifests, the tags that name them, and the manifests that refer to them.

- A manifest is accepted only when what it names is in its repository; `Sparse` says what may be missing.
- The manifest, what it names, and its tags become visible in one transaction.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from registry.core.condition import NO_CONDITION, Condition
from registry.core.damage import Damage, HearOfDamage, unheard
from registry.core.errors import ManifestInvalid, ManifestNamesUnknown, ManifestUnknown, RepositoryUnknown
from registry.core.listing import SHORT_NAMES, read_run
from registry.core.manifest import Descriptor, Manifest
from registry.core.manifest_seals import ManifestSeals
from registry.core.names import RepositoryName, Tag
from registry.core.opened import Opened
from registry.core.repositories import Listing, Page, locked_repository
from storage.digest import Digest
from storage.errors import DigestMismatch, SealBroken, StoreUnavailable
from storage.metadata import blobs, manifests, repositories, tags
from storage.metadata.database import Database
from storage.metadata.manifests import NewManifest, Referrer, StoredManifest
from storage.metadata.remembered import Remembered

# Clients read a referrers list as a manifest, and many take 4 MiB of that at most.
_REFERRERS_PAGE_BYTES = 3 * 1024 * 1024
# Measured: 256 KiB take 0.2 ms.
_HASHED_ON_LOOP_BYTES = 256 * 1024
NO_SEALS = ManifestSeals()
# A list that is asked for whole is given whole up to this many pages of the bound.
_WHOLE_PAGES = 100
# Measured: the entries of 100 manifests take 0.2 ms.
_READ_ON_LOOP_BYTES = 128 * 1024
# Measured: the annotations of one take 50 µs to open.
_OPENED_AT_ONCE = 20
# So many damaged manifests are remembered to have been told of.
_TOLD = 1000
# What was found since the last commit; one that is not there counts as well.
_REMEMBERED_BYTES = 8 * 1024 * 1024
_ROW_BYTES = 512

_Sought = tuple[str, str, int]
"""A repository, a tag or digest, and the generation in which who asks may see it."""


class Sparse(StrEnum):
    """What a manifest may name without its being there."""

    NONE = "none"
    INDEX = "index"
    """Manifests of an index: an image for some platforms only."""
    ALL = "all"
    """Anything."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was accepted."""

    digest: Digest
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class Referrers:
    """A page of the manifests that refer to a subject, and whether more follow."""

    entries: list[Referrer]
    more: bool


class Images:
    """The manifests and tags of a registry."""

    def __init__(
        self,
        database: Database,
        *,
        sparse: Sparse,
        most: int,
        now: Callable[[], float],
        seals: ManifestSeals = NO_SEALS,
        damaged: HearOfDamage = unheard,
    ) -> None:
        self._database = database
        self._seals = seals
        self._damaged = damaged
        self._sparse = sparse
        self._most = most
        self._now = now
        self._told: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._found = Remembered[_Sought, StoredManifest | None](
            database, lambda c, sought: manifests.find_while(c, *sought), weight=_bytes_of, most=_REMEMBERED_BYTES
        )
        self._known = Opened[StoredManifest](lambda manifest: len(manifest.payload))
        self._known_entries = Opened[Referrer](lambda entry: len(entry.digest) + len(entry.annotations or ""))

    async def find(self, repository: RepositoryName, reference: Tag | Digest) -> StoredManifest:
        """The manifest under a tag or digest; raises ManifestUnknown or RepositoryUnknown."""
        look_up = manifests.find_manifest if isinstance(reference, Digest) else manifests.find_tagged
        found = await self._database.read(lambda c: look_up(c, repository.text, str(reference)))
        opened = None if found is None else await self._opened(repository, found)
        if opened is None:
            await self._require(repository)
            raise ManifestUnknown(str(reference))
        return opened

    async def find_while(self, repository: RepositoryName, reference: str, generation: int) -> StoredManifest | None:
        """The manifest under a tag or digest; None where it is unknown, or who may do what has changed since then."""
        found = await self._found.read((repository.text, reference, generation))
        return None if found is None else await self._opened(repository, found)

    async def _opened(self, repository: RepositoryName, found: StoredManifest) -> StoredManifest | None:
        """A manifest whose bytes are what its digest names; else it is unknown, so that a push gives them back."""
        try:
            await self._seals.require_key_of(found.payload, found.domain)
            opened = self._known.find(found)
            if opened is None:
                opened = await self._open(found)
                self._known.keep(found, opened)
        except SealBroken as error:
            await self._tell(repository, found.digest, error)
            return None
        return opened

    async def _open(self, found: StoredManifest) -> StoredManifest:
        if not found.domain:
            await _require_intact(found)
            return found
        payload = await self._seals.payload(found.digest, found.payload, found.domain)
        return StoredManifest(found.digest, found.media_type, payload)

    async def _tell(self, repository: RepositoryName, digest: str, error: SealBroken) -> None:
        """Tell of a manifest that is damaged: once, for it is read again and again until it is pushed.

        Whoever comes meanwhile waits until it is told, also where the first did not stay.
        """
        place = (repository.text, digest)
        telling = self._told.get(place)
        if telling is None:
            if len(self._told) >= _TOLD:
                self._told.clear()
            telling = self._told[place] = asyncio.ensure_future(self._damaged(Damage.seen(repository, digest, error)))
        await asyncio.shield(telling)

    async def push(
        self,
        repository: RepositoryName,
        reference: Tag | Digest,
        manifest: Manifest,
        *,
        more_tags: Sequence[Tag],
        create: bool,
        condition: Condition = NO_CONDITION,
    ) -> Pushed:
        """Accept a manifest under a tag or its digest, and under more tags.

        Raises DigestMismatch, ManifestInvalid, ManifestNamesUnknown, ConditionFailed, or RepositoryUnknown where a push
        may not create the repository.
        """
        digest = manifest.digest
        if isinstance(reference, Digest) and reference != digest:
            raise DigestMismatch(str(reference), str(digest))
        named = (reference,) if isinstance(reference, Tag) else ()
        every_tag = tuple(dict.fromkeys((*named, *more_tags)))
        new = await self._seals.seal(repository, _row(manifest))
        now = self._now()

        def change(connection: Connection) -> None:
            repository_id = locked_repository(connection, repository, create=create, now=now)
            if new.domain and repositories.domain_of(connection, repository.text) != new.domain:
                message = "the repository was made anew at this moment: push again"
                raise StoreUnavailable(message)
            self._check_named(connection, repository_id, manifest)
            if condition:
                condition.check(str(reference), _named_by(connection, repository_id, reference))
            stored_type = manifests.type_of_the_same(connection, repository_id, new)
            if stored_type is None and not manifests.put_manifest(connection, repository_id, new, now):
                stored_type = manifests.mend_manifest(connection, repository_id, new)
            _check_type(new, stored_type)
            for tag in every_tag:
                tags.put_tag(connection, repository_id, tag.text, new.digest, now)

        await self._database.write(change)
        self._told.pop((repository.text, new.digest), None)
        return Pushed(digest, every_tag)

    async def delete(
        self, repository: RepositoryName, reference: Tag | Digest, condition: Condition = NO_CONDITION
    ) -> None:
        """Delete a tag, or a manifest with every tag that names it.

        Raises ManifestUnknown or RepositoryUnknown, and ConditionFailed for what is there.
        """
        now = self._now()

        def change(connection: Connection) -> bool:
            repository_id = locked_repository(connection, repository, create=False, now=now)
            if condition:
                named = _named_by(connection, repository_id, reference)
                if named is None:
                    return False
                condition.check(str(reference), named)
            if isinstance(reference, Tag):
                return tags.delete_tag(connection, repository_id, reference.text)
            return manifests.delete_manifest(connection, repository_id, str(reference), now)

        if not await self._database.write(change):
            raise ManifestUnknown(str(reference))

    async def tags(self, repository: RepositoryName, page: Page) -> Listing:
        """Tags of a repository by bytes; without a limit the whole list, or its first hundred pages."""
        limit = self._most * _WHOLE_PAGES if page.limit is None else min(page.limit, self._most)
        repository_id = await self._require(repository)
        if limit == 0:
            return Listing([], more=False)
        found = await read_run(
            self._database,
            limit + 1,
            lambda c, most: tags.list_tags(c, repository_id, after=page.last, limit=most),
            short=SHORT_NAMES,
        )
        return Listing(found[:limit], more=len(found) > limit)

    async def referrers(
        self, repository: RepositoryName, subject: Digest, *, artifact_type: str | None, page: Page
    ) -> Referrers:
        """Manifests whose subject is this digest, by digest; none where the repository or the subject is not there."""
        limit = self._most if page.limit is None else min(page.limit, self._most)
        repository_id = await self._database.read(lambda c: repositories.find_repository(c, repository.text))
        if repository_id is None or limit == 0:
            return Referrers([], more=False)

        asked = manifests.ReferrersOf(repository_id, str(subject), artifact_type)
        sizes = await read_run(
            self._database,
            limit + 1,
            lambda c, most: manifests.referrer_sizes(c, asked, after=page.last, limit=most),
        )
        fitting = _fitting(sizes[:limit])
        read = self._database.read if sum(sizes[:fitting]) <= _READ_ON_LOOP_BYTES else self._database.scan
        entries = await read(lambda c: manifests.list_referrers(c, asked, after=page.last, limit=fitting))
        return Referrers(await self._opened_entries(repository, entries), more=len(sizes) > fitting)

    async def _opened_entries(self, repository: RepositoryName, entries: Sequence[Referrer]) -> list[Referrer]:
        """Entries of a list with their annotations; others have their turn while many are opened.

        Those that were opened before need their keys all the same, each key once.
        """
        opened, work, keys = [], 0, set()
        for entry in entries:
            known = self._known_entries.find(entry)
            if not entry.domain or entry.annotations is None:
                known = entry
            elif known is None:
                work += 1
                if work % _OPENED_AT_ONCE == 0:
                    await asyncio.sleep(0)
                known = await self._opened_entry(repository, entry)
            elif (key := (entry.domain, entry.key_version)) not in keys:
                await self._seals.require_key_of_annotations(entry.annotations, entry.domain)
                keys.add(key)
            opened.append(known)
        return opened

    async def _opened_entry(self, repository: RepositoryName, entry: Referrer) -> Referrer:
        """An entry of a list with its annotations; without, where those are damaged."""
        try:
            annotations = await self._seals.annotations(entry.digest, entry.annotations, entry.domain)
        except SealBroken as error:
            await self._tell(repository, entry.digest, error)
            return entry._replace(annotations=None)
        opened = entry._replace(annotations=annotations)
        self._known_entries.keep(entry, opened)
        return opened

    async def _require(self, repository: RepositoryName) -> int:
        found = await self._database.read(lambda c: repositories.find_repository(c, repository.text))
        if found is None:
            raise RepositoryUnknown(repository.text)
        return found

    def _check_named(self, connection: Connection, repository_id: int, manifest: Manifest) -> None:
        """Require that what a manifest names is there and as long as it says."""
        stored = blobs.sizes_of(connection, repository_id, (str(blob.digest) for blob in manifest.blobs))
        documents = manifests.summaries_of(connection, repository_id, (str(d.digest) for d in manifest.documents))
        stored |= {digest: summary.size for digest, summary in documents.items()}
        may_miss = self._sparse is Sparse.ALL or (manifest.is_index and self._sparse is Sparse.INDEX)
        missing = []
        for descriptor in (*manifest.blobs, *manifest.documents):
            size = stored.get(str(descriptor.digest))
            if size is None:
                if descriptor.is_distributed and not may_miss:
                    missing.append(str(descriptor.digest))
            elif size != descriptor.size:
                raise _wrong_size(descriptor, size)
        if missing:
            raise ManifestNamesUnknown(tuple(dict.fromkeys(missing)))


def _bytes_of(found: StoredManifest | None) -> int:
    return _ROW_BYTES + (0 if found is None else len(found.payload))


def _named_by(connection: Connection, repository_id: int, reference: Tag | Digest) -> str | None:
    """The digest of the manifest that a tag or digest names, or None."""
    if isinstance(reference, Tag):
        return tags.digest_of(connection, repository_id, reference.text)
    return next(iter(manifests.summaries_of(connection, repository_id, (str(reference),))), None)


async def _require_intact(found: StoredManifest) -> None:
    """Raise SealBroken unless the bytes of a plain manifest are what their digest names."""
    digest = Digest.parse(found.digest)
    if len(found.payload) <= _HASHED_ON_LOOP_BYTES:
        is_intact = digest.matches(found.payload)
    else:
        is_intact = await asyncio.to_thread(digest.matches, found.payload)
    if not is_intact:
        raise SealBroken("its bytes are not what its digest names")


def _check_type(new: NewManifest, stored_type: str | None) -> None:
    """A document that names no type of its own has one meaning: that of its first push."""
    if stored_type not in {None, new.media_type}:
        raise ManifestInvalid(f"the same bytes were pushed as {stored_type}, not {new.media_type}", "mediaType")


def _wrong_size(descriptor: Descriptor, size: int) -> ManifestInvalid:
    return ManifestInvalid(f"{descriptor.digest} has {size} bytes, the manifest says {descriptor.size}")


def _row(manifest: Manifest) -> NewManifest:
    config = manifest.config
    return NewManifest(
        digest=str(manifest.digest),
        size=len(manifest.payload),
        media_type=manifest.media_type,
        artifact_type=manifest.referrer_type,
        subject=str(manifest.subject.digest) if manifest.subject else None,
        config_digest=str(config.digest) if config else None,
        # The database counts in 63 bits; sizes of content that is not here may be anything.
        total_size=min(sum(descriptor.size for descriptor in manifest.blobs), 2**63 - 1),
        annotations=manifest.annotations,
        payload=manifest.payload,
        blobs=frozenset(str(descriptor.digest) for descriptor in manifest.blobs),
        children=frozenset(str(descriptor.digest) for descriptor in manifest.documents),
    )


def _fitting(sizes: list[int]) -> int:
    """How many entries one answer may hold, at least one: none is larger than the manifest that it describes."""
    total = 0
    for index, size in enumerate(sizes):
        total += size
        if index and total > _REFERRERS_PAGE_BYTES:
            return index
    return len(sizes)
