"""Uploads in parts of 5 MiB, which is the least that S3 takes, on the server in memory and on real ones."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

import pytest

from storage.blobs.s3.parts import PartSizes
from storage.blobs.s3.store import S3Store
from storage.digest import Algorithm, Digest
from tests.contracts.blob_access import UPLOAD, at, read, walk
from tests.contracts.s3_places import REAL, MemoryRecords, S3Stores, s3_server

MIB: Final = 1024 * 1024
GROUPED: Final = PartSizes(part=5 * MIB, direct=1, group=2)
EQUAL: Final = PartSizes(part=5 * MIB, equal=True)
SIZE: Final = 21 * MIB + 12345
# Where requests end: in a part, a byte after one, and close to each other.
ENDS: Final = (0, 3 * MIB, 10 * MIB + 1, 10 * MIB + 101, 18 * MIB, SIZE)


@pytest.fixture(params=["memory", *REAL])
def stores(request: pytest.FixtureRequest) -> Iterator[S3Stores]:
    with ThreadPoolExecutor(16) as threads:
        if request.param != "memory":
            yield S3Stores(request.param, threads)
            return
        with s3_server() as server:
            yield S3Stores(server.url, threads)


async def _push(store: S3Store, content: bytes, *, is_known: bool) -> str:
    """Push in several requests, each by another writer."""
    for start, end in pairwise(ENDS):
        async with store.stage(UPLOAD, Algorithm.SHA256, at(start)) as writer:
            assert writer.offset == start
            for offset in range(start, end, MIB):
                await writer.write([content[offset : min(offset + MIB, end)]])
            await writer.keep()
    digest = Digest.of(content)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(SIZE)) as writer:
        return (await writer.commit(digest, known=digest if is_known else None)).key


@pytest.mark.parametrize("sizes", [PartSizes(), GROUPED, EQUAL], ids=["usual", "grouped", "equal"])
@pytest.mark.parametrize("is_known", [True, False])
async def test_an_upload_of_many_requests_is_stored_whole(
    stores: S3Stores, sizes: PartSizes, *, is_known: bool
) -> None:
    """Whatever its parts are made of, the copy has every byte, and nothing else is left."""
    content = await asyncio.to_thread(os.urandom, SIZE)
    store = stores.store(sizes=sizes, records=MemoryRecords())

    key = await _push(store, content, is_known=is_known)

    assert await read(store, key, 0, SIZE) == content
    assert await read(store, key, 4 * MIB, 9 * MIB) == content[4 * MIB : 13 * MIB]
    assert await walk(store) == {(key, None, SIZE)}
