"""A core whose content is sealed or plain, as it is told, and what happens at every step of its store and database."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from registry.core.blobs import Blobs
from registry.core.domains import Encryption, EncryptionDomains, EncryptionType
from registry.core.images import Images, Sparse
from registry.core.manifest_seals import ManifestSeals
from registry.core.names import RepositoryName, Tag
from registry.core.places import Places
from registry.core.reencryption import Reencryption, Rewritten
from registry.core.repositories import Repositories
from registry.core.uploads import UploadLimits
from storage.blobs.interface import BlobStore, BlobWriter
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.encryption.contexts import secrets_key_context
from storage.encryption.keyring import Keyring
from storage.metadata import schema
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.domain_keys import DomainKeyRows
from storage.metadata.migration import ACTIVITY_SCHEMA
from storage.metadata.reencryption import Wanted
from storage.metadata.secrets_key import add_secrets_key
from storage.metadata.sqlite import SqliteDatabase
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import MemorySealedUploads, encrypted_store
from tests.registry.core.documents import image, parsed
from tests.registry.core.services import ALICE, ALPHA, BETA, Clock, Core
from tests.storage.encryption.root_keys import FakeRootKeys

T = TypeVar("T")
GAMMA = RepositoryName("gamma")
TEAM = "alias/team"
THREADS = ThreadPoolExecutor(2)
GRACE = 60.0
SEGMENT_BITS = 14
Step = Callable[[str], Awaitable[None]]


async def nothing(_step: str) -> None:
    """What happens at every step, unless a test wants something else."""


def at_step(number: int, happen: Callable[[], Awaitable[None]]) -> Step:
    """Have something happen once, at the step of this number."""
    steps = itertools.count(1)

    async def step(_step: str) -> None:
        if next(steps) == number:
            await happen()

    return step


class SteppingDatabase:
    """A database that tells of every step."""

    def __init__(self, inner: Database, core: "SealingCore") -> None:
        self._inner = inner
        self._core = core

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._inner.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        found = await self._inner.scan(query)
        await self._core.step("after a scan")
        return found

    async def write(self, change: Callable[[Connection], T]) -> T:
        await self._core.step("before a change")
        result = await self._inner.write(change)
        await self._core.step("after a change")
        return result

    async def close(self) -> None:
        """Leave it open."""


class SteppingStore:
    """A store that tells of every step of what is staged and removed."""

    def __init__(self, inner: BlobStore, core: "SealingCore") -> None:
        self._inner = inner
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @asynccontextmanager
    async def stage(self, *arguments: Any, **named: Any) -> AsyncIterator[BlobWriter]:
        async with self._inner.stage(*arguments, **named) as writer:
            await self._core.step("staged")
            commit = writer.commit

            async def stepping(*arguments: Any, **named: Any) -> Any:
                await self._core.step("before a commit")
                copy = await commit(*arguments, **named)
                await self._core.step("after a commit")
                return copy

            writer.commit = stepping  # type: ignore[method-assign]
            yield writer

    async def delete(self, key: str) -> None:
        await self._core.step("before a removal")
        await self._inner.delete(key)


class SealingCore(Core):
    """Every service; repositories alpha and beta are of the default domain, gamma of one of its own."""

    def __post_init__(self) -> None:
        self.step: Step = nothing
        self.roots, self.records = FakeRootKeys(), MemorySealedUploads()
        self.keyring = Keyring(DomainKeyRows(self.database), self.roots, "registry", self.clock)
        super().__post_init__()
        self.turn(seals=False)

    def turn(self, *, seals: bool) -> None:
        """Seal what is pushed from now on, or keep it plain."""
        self.encrypts = seals
        self.domains = EncryptionDomains(self.database, self.roots, "registry", self.clock, seals=seals)
        sealed = encrypted_store(
            self.store, THREADS, keys=self.keyring, records=self.records, domain="", segment_bits=SEGMENT_BITS
        )
        self.places = Places(self.store, sealed, self.domains)
        self.seals = ManifestSeals(self.keyring, self.domains)
        self.blobs = Blobs(self.database, self.places, self.clock, damaged=self._hear)
        self.images = Images(
            self.database, sparse=Sparse.ALL, most=5, now=self.clock, seals=self.seals, damaged=self._hear
        )
        self.uploads._places, self.uploads._blobs = self.places, self.blobs

    async def found(self) -> None:
        """Make keys and repositories."""
        await self.database.write(lambda c: add_account(c, "123456789012", 1.0))
        secrets_key = await self.roots.wrap(bytes(32), secrets_key_context("registry"))
        await self.database.write(lambda c: add_secrets_key(c, secrets_key))
        await self.domains.found()
        team = await self.domains.make(Encryption(EncryptionType.KMS, TEAM))
        made = Repositories(self.database, most=5)
        for name, domain in ((ALPHA, "AES256"), (BETA, "AES256"), (GAMMA, team)):
            await made.create(name, "{}", 1.0, domain)

    def work(self, domain: str | None = None) -> Reencryption:
        """What brings everything to the mode, telling of its steps."""
        stepping = Places(SteppingStore(self.places.plain, self), self._stepping_sealed(), self.domains)
        return Reencryption(
            SteppingDatabase(self.database, self),
            stepping,
            self.seals,
            Wanted(self.encrypts, domain),
            self.clock,
            grace_seconds=GRACE,
        )

    def _stepping_sealed(self) -> Any:
        return encrypted_store(
            SteppingStore(self.places.plain, self),
            THREADS,
            keys=self.keyring,
            records=self.records,
            domain="",
            segment_bits=SEGMENT_BITS,
        )

    async def convert(self, domain: str | None = None, *, most: int = 10_000) -> list[Rewritten]:
        """Bring everything to the mode, or as many objects as are given."""
        done = []
        async with aclosing(self.work(domain).run()) as rewritten:
            async for each in rewritten:
                done.append(each)
                if len(done) >= most:
                    break
        return done

    async def settle(self) -> None:
        """Let every grace be over, and remove what was replaced."""
        self.clock.time += 2 * GRACE
        assert await self.work().remove_replaced() == 0

    async def push_to(self, content: bytes, *repositories: RepositoryName) -> str:
        """Push a blob to repositories."""
        for repository in repositories:
            await self.push_blob(content, type(ALICE)(repository, "arn:alice"))
        return str(Digest.of(content))

    async def push_image(self, name: str, repository: RepositoryName = ALPHA) -> bytes:
        """Push a manifest with annotations under a tag; its bytes."""
        manifest = parsed(image(annotations={"canary": name}))
        await self.images.push(repository, Tag(name), manifest, more_tags=(), create=True)
        return manifest.payload

    async def rows(self) -> list[tuple[str, str, int, str]]:
        """Every copy that there is a row of: its domain, and the version and state."""
        blob = schema.blob.c
        query = select(blob.storage_key, blob.domain, blob.key_version, blob.state).order_by(blob.id)
        return [tuple(row) for row in await self.database.read(lambda c: c.execute(query).all())]

    async def served(self) -> list[tuple[str, int]]:
        """Domain and version of every served copy, sorted."""
        return sorted((domain, version) for _, domain, version, state in await self.rows() if state == "stored")

    async def manifests(self) -> list[tuple[str, int]]:
        """Domain and version of every manifest, sorted."""
        manifest = schema.manifest.c
        query = select(manifest.domain, manifest.key_version)
        return sorted((row[0], row[1]) for row in await self.database.read(lambda c: c.execute(query).all()))

    async def assert_nothing_else_is_stored(self) -> None:
        """What is in the store is what there are rows of; where an upload was about to begin, the sweep removes it."""
        keys = {key for key, *_ in await self.rows()}
        stored = [found async for found in self.store.walk()]
        assert {found.key for found in stored if found.key} == keys
        assert [found for found in stored if found.upload_id and found.size] == []
        assert self.records.rows == {}


@asynccontextmanager
async def open_sealing_core(
    place: Place, clock: Clock, *, store: BlobStore | None = None
) -> AsyncGenerator[SealingCore, None]:
    """A core with keys, which keeps content plain at first."""
    suffixes = itertools.count()
    memory = MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=clock)
    async with place.opened(ACTIVITY_SCHEMA) as activity:
        database = SqliteDatabase(Path(place.address) / "registry.db", durable=False)  # no power is cut here
        try:
            core = SealingCore(database, activity, store or memory, clock, UploadLimits(None, 1000))
            await core.found()
            yield core
        finally:
            await database.close()
