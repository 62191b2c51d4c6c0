"""One corner of a bucket: a store there, and what lies there."""

from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from storage.blobs.s3.bucket import Bucket, PartCopies
from storage.blobs.s3.parts import PartSizes
from storage.blobs.s3.store import S3Store
from storage.digest import Algorithm
from tests.contracts.blob_access import UPLOAD, at
from tests.contracts.s3_places import BUCKET, MemoryRecords, S3Stores
from tests.s3.server import S3Server

SMALL = PartSizes(part=16, smallest=8, direct=4, group=2)


@dataclass
class Corner:
    """A prefix that is a test's own; `sizes` are those of its stores."""

    server: S3Server
    stores: S3Stores
    prefix: str
    buckets: dict[tuple[Any, ...], Bucket]
    """Those of all corners, by their settings: a client takes a while to make, and knows nothing of prefixes."""
    records: MemoryRecords = field(default_factory=MemoryRecords)
    sizes: PartSizes = SMALL

    def bucket(self, **changes: Any) -> Bucket:
        """A bucket that copies parts as AWS does, and knows it already."""
        settings = tuple(sorted(changes.items()))
        if settings not in self.buckets:
            self.buckets[settings] = self.stores.bucket_at("", **changes)
        bucket = copy(self.buckets[settings])
        bucket.place = replace(bucket.place, prefix=self.prefix)
        bucket._copies, bucket._learning = PartCopies.ANNOUNCED, None
        return bucket

    def store(self, *, bucket: Bucket | None = None, **settings: Any) -> S3Store:
        """A store as one process sees it."""
        settings = {"records": self.records, "sizes": self.sizes, **settings}
        return self.stores.store(bucket=bucket or self.bucket(), **settings)

    def objects(self) -> dict[str, bytes]:
        """What is stored, by its key in the store."""
        found = self.server.bucket(BUCKET).objects
        return {
            key.removeprefix(self.prefix): stored.content
            for key, stored in found.items()
            if key.startswith(self.prefix)
        }

    def copies(self) -> list[bytes]:
        return [content for key, content in self.objects().items() if key.startswith("blobs/")]

    def multiparts(self) -> list[str]:
        """Keys of the multipart uploads under way."""
        uploads = self.server.bucket(BUCKET).uploads.values()
        return [upload.key.removeprefix(self.prefix) for upload in uploads if upload.key.startswith(self.prefix)]

    def leftovers(self) -> list[str]:
        """What is there besides stored copies: pieces, multipart uploads and records."""
        pieces = [key for key in self.objects() if key.startswith("uploads/")]
        return [*pieces, *self.multiparts(), *self.records.rows]

    def bury(self) -> None:
        """Have every writer's process be dead, as far as others can tell."""
        self.records.dead |= {row.writer for row in self.records.rows.values() if row.writer is not None}

    def counts(self) -> dict[str, int]:
        return self.server.requests.counts()

    async def sweep(self) -> None:
        """Drop whatever is staged, as the sweeper does, from another process."""
        store = self.store()
        found = {stored.upload_id async for stored in store.walk()}
        for upload_id in sorted(found - {None}, key=str):
            async with store.stage(str(upload_id), Algorithm.SHA256, at(0)) as writer:
                await writer.abort()


async def stage_on(store: S3Store, content: bytes, *, start: int = 0, upload_id: str = UPLOAD) -> None:
    """Go on with an upload, and leave it for later."""
    async with store.stage(upload_id, Algorithm.SHA256, at(start)) as writer:
        assert writer.offset == start
        await writer.write([content])
        await writer.keep()
