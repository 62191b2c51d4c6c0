"""A core to test: its services, a clock that is set by hand, and bodies that do as they are told."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from registry.core.blobs import Blobs
from registry.core.damage import Damage
from registry.core.images import Images, Sparse
from registry.core.incoming import Chunk, Write
from registry.core.manifest import Manifest
from registry.core.manifest_seals import ManifestSeals
from registry.core.names import RepositoryName, Tag
from registry.core.places import Places
from registry.core.repositories import Repositories
from registry.core.upload_sessions import Owner
from registry.core.uploads import UploadLimits, Uploads
from registry.core.verification import Verification
from storage.blobs.interface import BlobStore, Span
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from storage.domain_records import DEFAULT_DOMAIN
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.migration import ACTIVITY_SCHEMA, REGISTRY_SCHEMA
from storage.metadata.repositories import domain_of
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import MemoryKeys, encrypted_store

ALPHA = RepositoryName("alpha")
BETA = RepositoryName("beta")
ALICE = Owner(ALPHA, "arn:alice")
MOST = 5
HASHING = ThreadPoolExecutor(2)
LIMITS = UploadLimits(blob_bytes=1000, sessions=3)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


class Broken(Exception):
    """The connection of a client broke."""


@dataclass
class Body:
    """A request body: chunks, then the error that breaks it off, if any; `meanwhile` runs before each chunk."""

    chunks: Sequence[bytes] = ()
    error: BaseException | None = None
    announced: int | None = None
    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def pour(self, write: Write, _write_from: object, /) -> None:
        for chunk in self.chunks:
            if self.meanwhile is not None:
                await self.meanwhile()
            await write([chunk])
        if self.error is not None:
            raise self.error


NOTHING = Chunk(Body())


def chunk(content: bytes, start: int | None = None) -> Chunk:
    """Bytes to append; with `start`, as Content-Range says it."""
    return Chunk(Body([content], announced=len(content)), start, None if start is None else len(content))


@dataclass
class StoredDomains:
    """The domains that repositories were made with (DomainOf)."""

    database: Database

    async def of(self, repository: RepositoryName) -> str:
        return await self.database.read(lambda c: domain_of(c, repository.text)) or DEFAULT_DOMAIN


@dataclass
class Core:
    """Every service, and what is under them."""

    database: Database
    activity: Database
    store: BlobStore
    clock: Clock
    limits: UploadLimits = LIMITS
    keys: MemoryKeys | None = None
    """With keys, what is pushed is sealed."""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    damaged: list[Damage] = field(default_factory=list)
    """What was heard of damage."""

    def __post_init__(self) -> None:
        self.places, self.seals = Places(self.store), ManifestSeals()
        if self.keys is not None:
            domains = StoredDomains(self.database)
            sealed = encrypted_store(self.store, HASHING, keys=self.keys, domain="")
            self.places, self.seals = Places(self.store, sealed, domains), ManifestSeals(self.keys, domains)
        self.blobs = Blobs(self.database, self.places, self.clock, damaged=self._hear)
        self.repositories = Repositories(self.database, most=MOST)
        self.images = self.images_with(Sparse.NONE)
        self.verification = Verification(self.database, self.places, HASHING, cores=2, seals=self.seals)
        self.uploads = Uploads(
            self.activity,
            self.places,
            self.blobs,
            self.repositories,
            limits=self.limits,
            now=self.clock,
            new_id=lambda: f"{next(self.ids):08x}-0000-4000-8000-000000000000",
        )

    async def _hear(self, damage: Damage) -> None:
        self.damaged.append(damage)

    def images_with(self, sparse: Sparse) -> Images:
        """Images that may be sparse."""
        return Images(self.database, sparse=sparse, most=MOST, now=self.clock, seals=self.seals, damaged=self._hear)

    async def push_blob(self, content: bytes, owner: Owner = ALICE) -> Digest:
        """Push a blob as a client does."""
        digest = Digest.of(content)
        started = await self.uploads.start(owner, Algorithm.SHA256, create=True)
        await self.uploads.finish(owner, started.upload_id, digest, chunk(content), hint=None, create=True)
        return digest

    async def push(self, manifest: Manifest, reference: str = "latest", repository: RepositoryName = ALPHA) -> Digest:
        """Push a manifest as a client does."""
        pushed = await self.images.push(repository, Tag(reference), manifest, more_tags=(), create=True)
        return pushed.digest

    async def read(self, digest: Digest, repository: RepositoryName = ALPHA) -> bytes:
        """Read a blob as a client does."""
        async with self.blobs.open(repository, digest) as opened:
            return b"".join([part async for part in opened.read(Span(0, opened.size))])

    async def stored(self) -> set[tuple[str | None, int]]:
        """What the store holds: the upload it is staged for, None for a copy, and how many bytes."""
        return {(found.upload_id, found.size) async for found in self.store.walk()}


async def start(core: Core, owner: Owner = ALICE) -> str:
    """Open a session."""
    return (await core.uploads.start(owner, Algorithm.SHA256, create=True)).upload_id


async def offset(core: Core, upload_id: str) -> int:
    """Where a session of Alice stands."""
    return (await core.uploads.status(ALICE, upload_id)).offset


@asynccontextmanager
async def open_core(
    place: Place,
    clock: Clock,
    *,
    store: BlobStore | None = None,
    capacity_bytes: int | None = None,
    limits: UploadLimits = LIMITS,
    keys: MemoryKeys | None = None,
) -> AsyncIterator[Core]:
    """A core whose account is made; its store is in memory unless another is given."""
    suffixes = itertools.count()
    memory = MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=clock, capacity_bytes=capacity_bytes)
    async with place.opened(REGISTRY_SCHEMA) as database, place.opened(ACTIVITY_SCHEMA) as activity:
        await database.write(lambda c: add_account(c, "123456789012", clock()))
        yield Core(database, activity, store or memory, clock, limits, keys)
