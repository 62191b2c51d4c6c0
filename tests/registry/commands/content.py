"""Content of a data directory, without a server."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from registry.commands.local import opened_registry
from registry.config import Settings
from registry.config_encryption import EncryptionSettings
from registry.config_storage import StorageSettings
from registry.content import Content, open_content
from registry.core.blobs import Blobs
from registry.core.images import Images, Sparse
from registry.core.names import RepositoryName, Tag
from registry.databases import Databases
from storage.blobs.interface import Span
from storage.digest import Algorithm, Digest
from tests.registry.core.documents import image, parsed

ALPHA: Final = RepositoryName("alpha")
TEAM: Final = RepositoryName("team/app")


@asynccontextmanager
async def opened(root: Path, *, seals: bool) -> AsyncIterator[tuple[Databases, Content]]:
    """The content as a process sees it that encrypts, or does not."""
    settings = Settings(
        storage=StorageSettings(root=root, reserve=0, durability="relaxed"),
        encryption=EncryptionSettings(mode="local" if seals else "off"),
    )
    async with (
        opened_registry(settings) as (databases, roots, prepared),
        open_content(settings, databases, prepared.registry_id, roots) as content,
    ):
        yield databases, content


async def push(root: Path, *blobs: bytes, to: RepositoryName = ALPHA, canary: str = "", seals: bool = False) -> None:
    """Push blobs, and a manifest whose annotations hold a canary if there is one."""
    async with opened(root, seals=seals) as (databases, content):
        places, store = content.places, Blobs(databases.registry, content.places, time.time)
        for number, blob in enumerate(blobs):
            upload_id = f"00000000-0000-4000-8000-{number:012d}"
            staging = places.staging(await places.domain_of(to))
            async with staging.stage(upload_id, Algorithm.SHA256, _nothing) as writer:
                await writer.write([blob])
                copy = await writer.commit(Digest.of(blob))
            await store.record(to, Digest.of(blob), copy, create=True)
        if canary:
            manifest = parsed(image(annotations={"canary": canary}))
            images = Images(databases.registry, sparse=Sparse.ALL, most=5, now=time.time, seals=content.seals)
            await images.push(to, Tag("latest"), manifest, more_tags=(), create=True)


async def read(root: Path, blob: bytes, repository: RepositoryName = ALPHA) -> bytes:
    """What a repository reads under the digest of a blob."""
    async with opened(root, seals=True) as (databases, content):
        store = Blobs(databases.registry, content.places, time.time)
        async with store.open(repository, Digest.of(blob)) as opened_blob:
            return b"".join([part async for part in opened_blob.read(Span(0, opened_blob.size))])


def copies(root: Path) -> list[bytes]:
    """The bytes of every stored copy."""
    return [path.read_bytes() for path in (root / "blobs").rglob("[!.]*") if path.is_file()]


def traces(root: Path, needle: bytes) -> list[str]:
    """The files below a data directory that hold some bytes."""
    return [path.name for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def _nothing() -> int:
    return 0
