"""The content store that the settings name, opened in the process that uses it."""

import os
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from registry.config_storage import StorageSettings
from registry.databases import Databases
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, Examined, Owned, Restores
from storage.budget import BufferBudget
from storage.metadata.staging import StagingRows

if TYPE_CHECKING:
    from storage.blobs.s3.client import S3Place

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""What all streams of a process may hold in memory."""

# Measured with 64 pushes at once: more threads only fight for the interpreter.
_DISK_THREADS: Final = 16
_STREAMING_THREADS: Final = 8
# A thread of S3's waits for the network most of the time; each has a connection.
_CONNECTIONS: Final = 32
_PROBES: Final = 2
_HASHING_THREADS: Final = 4


class ContentStore(BlobStore, Owned, Restores, Examined, Protocol):
    """What the application asks of a store besides keeping blobs."""

    async def probe(self) -> None:
        """Prove that bytes can be stored, by storing some; raises NoSpace or StoreUnavailable."""


def open_store(
    settings: StorageSettings,
    databases: Databases,
    *,
    registry_id: str | None = None,
    budget: BufferBudget | None = None,
) -> AbstractAsyncContextManager[ContentStore]:
    """The store of these settings; with an id, it must be the one of this registry. `budget` bounds what it holds."""
    if settings.backend == "filesystem":
        return _filesystem(settings, registry_id)
    return _s3(settings, databases, registry_id, budget or BufferBudget(BUFFER_BYTES))


@asynccontextmanager
async def _filesystem(settings: StorageSettings, registry_id: str | None) -> AsyncIterator[ContentStore]:
    disk = os.statvfs(settings.root)
    with (
        ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="store") as threads,
        ThreadPoolExecutor(_STREAMING_THREADS, thread_name_prefix="stream") as streaming,
    ):
        yield FilesystemStore(
            settings.root,
            durability=settings.durability,
            reserve_bytes=settings.reserve_bytes(disk.f_blocks * disk.f_frsize),
            new_suffix=lambda: secrets.token_hex(8),
            executor=threads,
            streaming=streaming,
            registry_id=registry_id,
        )


@asynccontextmanager
async def _s3(
    settings: StorageSettings, databases: Databases, registry_id: str | None, budget: BufferBudget
) -> AsyncIterator[ContentStore]:
    from storage.blobs.s3.bucket import Bucket  # noqa: PLC0415  boto3 is loaded only where it is used
    from storage.blobs.s3.client import Patience, new_session  # noqa: PLC0415  the same
    from storage.blobs.s3.parts import PartSizes  # noqa: PLC0415  the same
    from storage.blobs.s3.store import S3Store  # noqa: PLC0415  the same
    from storage.blobs.s3.tools import Tools  # noqa: PLC0415  the same

    haste = Patience(connect=2, read=3, attempts=1)
    session, place, part = new_session(), s3_place(settings), settings.part_bytes
    with (
        ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="s3") as threads,
        ThreadPoolExecutor(_PROBES, thread_name_prefix="s3-probe") as probes,
        ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="hash") as hashing,
    ):
        tools = Tools(
            bucket=Bucket(session, place, threads, connections=_CONNECTIONS, patience=Patience()),
            records=StagingRows(databases.activity, process=secrets.token_hex(8), now=time.time),
            budget=budget,
            hashing=hashing,
            new_suffix=lambda: secrets.token_hex(16),
            sizes=PartSizes() if part is None else PartSizes(part=part, equal=True),
        )
        probing = Bucket(session, place, probes, connections=_PROBES, patience=haste)
        store = S3Store(tools, probing=probing, registry_id=registry_id)
        async with store.running():
            yield store


def s3_place(settings: StorageSettings) -> "S3Place":
    """Where in S3 the settings say that content is."""
    from storage.blobs.s3.client import S3Place  # noqa: PLC0415  boto3 is loaded only where it is used

    region = settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return S3Place(
        bucket=settings.bucket or "",
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        region=region or ("us-east-1" if settings.endpoint_url else None),
        addressing=settings.addressing,
        ca_bundle=settings.ca_bundle,
        sse=settings.sse,
        checksum=settings.checksum,
        requester_pays=settings.requester_pays,
    )
