"""A bucket is listed a page at a time, for whoever goes on asking."""

import time
from contextlib import aclosing

from tests.contracts.s3_places import S3Stores
from tests.s3.bucket import StoredObject, entity_tag
from tests.s3.server import S3Server


async def test_pages_are_asked_for_when_they_are_needed(server: S3Server, stores: S3Stores) -> None:
    """However many objects there are, one page of them is in memory."""
    bucket = stores.bucket_at("many/")
    keys = [f"blobs/{number:05}" for number in range(2_500)]
    one = StoredObject(b"x", entity_tag(b"x"), time.time())
    server.bucket(stores.bucket).objects.update({f"many/{key}": one for key in keys})

    async with aclosing(bucket.objects("blobs/")) as found:
        first = await anext(found)
        asked = server.requests.count("ListObjectsV2")
        rest = [listed.key async for listed in found]

    assert asked == 1
    assert [first.key, *rest] == keys
    assert server.requests.count("ListObjectsV2") == 3
