"""What tests of content in a bucket share: a registry that keeps it there, and what lies there."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.contracts.s3_places import BUCKET
from tests.http.client import Registry, Start
from tests.http.documents import sha256
from tests.http.uploading import with_query
from tests.s3.bucket import StoredObject, entity_tag
from tests.s3.server import S3Server

MARK: Final = "registry/blobs/.store"
LARGE: Final = bytes(range(256)) * 4 * 1024 * 9  # 9 MiB: a part and a tail


def storage(server: S3Server, **changes: Any) -> dict[str, Any]:
    """Settings that name a place in the bucket."""
    place = {"backend": "s3", "bucket": BUCKET, "endpoint_url": server.url, "addressing": "path", "prefix": "registry"}
    return {**place, **changes}


@asynccontextmanager
async def serving_from_bucket(start: Start, server: S3Server, mode: str, **changes: Any) -> AsyncIterator[Registry]:
    """Serve with a mode of encryption."""
    log = {"access": False, "level": "error"}
    async with start(storage=storage(server, **changes), log=log, encryption={"mode": mode}) as registry:
        mark = (registry.root / "blobs/.store").read_bytes()  # as the first start with a bucket would
        server.bucket(BUCKET).objects[MARK] = StoredObject(mark, entity_tag(mark), time.time())
        server.requests.clear()
        yield registry


def copies(server: S3Server) -> dict[str, bytes]:
    """The stored copies."""
    found = server.bucket(BUCKET).objects
    return {
        key: stored.content
        for key, stored in found.items()
        if key.startswith("registry/blobs/") and not key.endswith("/.store")
    }


def staged_in(server: S3Server) -> list[str]:
    """What belongs to unfinished uploads."""
    bucket = server.bucket(BUCKET)
    pieces = [key for key in bucket.objects if key.startswith("registry/uploads/") and not key.endswith("/.probe")]
    return pieces + [upload.key for upload in bucket.uploads.values()]


async def push_in_chunks(registry: Registry, content: bytes, size: int) -> int:
    """Push with PATCH and an empty PUT; the status of the latter."""
    location = await registry.start_upload("a")
    for start in range(0, len(content), size):
        answer = await registry.patch(location, content[start : start + size])
        assert answer.status == 202
        location = answer.location
    return (await registry.put(with_query(location, f"digest={sha256(content)}"))).status
