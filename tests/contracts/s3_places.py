"""Where tests keep blobs in S3: a server in memory, and real ones where the environment names some.

`LADING_TEST_S3` names real servers, one or more URLs with commas; their credentials are in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, and each must have a bucket `lading-tests`.
"""

import itertools
import os
import uuid
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import boto3
import botocore.session
import pytest
from botocore.loaders import Loader, create_loader

from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.client import Patience, S3Place, new_session
from storage.blobs.s3.parts import PartSizes
from storage.blobs.s3.store import S3Store
from storage.blobs.s3.tools import Tools
from storage.budget import BufferBudget
from storage.errors import StagedBytesBusy
from storage.staging_records import StagingRecord, Taken
from tests.s3.server import S3Server

REAL: Final = [url for url in os.environ.get("LADING_TEST_S3", "").split(",") if url]
CREDENTIALS: Final = {
    name: os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}  # of the real ones: a server in memory puts its own in their place
BUCKET: Final = "lading-tests"
HASTY: Final = Patience(connect=1, read=2, attempts=2)


@dataclass
class _Record:
    writer: str | None
    state: str | None = None
    size: int = 0


@dataclass
class MemoryRecords:
    """Staging records of stores in one process; `dead` are writers whose process is taken for dead."""

    rows: dict[str, _Record] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    async def take(self, upload_id: str, writer: str) -> Taken:
        row = self.rows.setdefault(upload_id, _Record(None))
        if row.writer is not None and row.writer not in self.dead:
            raise StagedBytesBusy(upload_id)
        taken = Taken(row.state, was_held=row.writer is not None)
        row.writer = writer
        return taken

    async def save(self, upload_id: str, writer: str, state: str, size: int) -> None:
        if upload_id not in self.rows or self.rows[upload_id].writer != writer:
            raise StagedBytesBusy(upload_id)
        self.rows[upload_id] = _Record(writer, state, size)

    async def release(self, upload_id: str, writer: str) -> None:
        if upload_id in self.rows and self.rows[upload_id].writer == writer:
            self.rows[upload_id].writer = None

    async def remove(self, upload_id: str, writer: str) -> bool:
        is_ours = upload_id in self.rows and self.rows[upload_id].writer == writer
        if is_ours:
            del self.rows[upload_id]
        return is_ours

    async def still_here(self) -> None:
        """Nobody is taken for dead unless a test says so."""

    async def have(self, upload_id: str) -> bool:
        return upload_id in self.rows

    async def all(self) -> AsyncGenerator[StagingRecord, None]:
        for upload_id, row in list(self.rows.items()):
            yield StagingRecord(upload_id, row.size, 1.0)


@dataclass
class S3Stores:
    """Makes stores on one server, each in a prefix of its own unless it gets one."""

    url: str
    threads: ThreadPoolExecutor
    bucket: str = BUCKET
    numbers: Iterator[int] = field(default_factory=itertools.count)
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    session: object = field(default_factory=new_session)

    def prefix(self) -> str:
        """A prefix that nobody uses."""
        return f"{self.run}/{next(self.numbers)}/"

    def bucket_at(self, prefix: str, patience: Patience = HASTY, **changes: Any) -> Bucket:
        """A way to the bucket; `changes` are those of the place."""
        place = S3Place(self.bucket, prefix, endpoint_url=self.url, region="us-east-1", addressing="path")
        place = replace(place, **changes)
        return Bucket(self.session, place, self.threads, connections=16, patience=patience)

    def store(
        self,
        *,
        records: MemoryRecords | None = None,
        prefix: str | None = None,
        sizes: PartSizes | None = None,
        budget_bytes: int = 64 * 1024 * 1024,
        registry_id: str | None = None,
        bucket: Bucket | None = None,
    ) -> S3Store:
        """An empty store, or another process's view of one: with the same records and prefix, or bucket."""
        bucket = bucket or self.bucket_at(prefix or self.prefix())
        tools = Tools(
            bucket=bucket,
            records=records or MemoryRecords(),
            budget=BufferBudget(budget_bytes),
            hashing=self.threads,
            new_suffix=lambda: uuid.uuid4().hex,
            sizes=sizes or PartSizes(),
        )
        return S3Store(tools, probing=bucket, registry_id=registry_id)


@cache
def _models() -> Loader:
    return create_loader()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server in memory that has the bucket, and whose credentials are in the environment meanwhile.

    All clients come from one session, and all sessions share the models that boto3 reads, for a third of a second.
    """
    with S3Server() as server, pytest.MonkeyPatch.context() as patch:
        server.create_bucket(BUCKET)
        patch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        core = botocore.session.Session()
        core.register_component("data_loader", _models())
        session = boto3.session.Session(botocore_session=core)
        patch.setattr(boto3.session, "Session", lambda: session)
        yield server


@contextmanager
def s3_stores(url: str) -> Iterator[S3Stores]:
    """Stores on the server at a URL."""
    with ThreadPoolExecutor(16) as threads:
        yield S3Stores(url, threads)
