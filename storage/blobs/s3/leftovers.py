"""What only the bucket tells of: pieces and parts of uploads whose process died, or whose records were lost."""

from collections.abc import AsyncGenerator

from storage.blobs.interface import StoredObject
from storage.blobs.keys import is_upload_id, upload_of
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.parts import COPIES, STAGED, Naming
from storage.staging_records import StagingRecords


async def find_leftovers(bucket: Bucket, records: StagingRecords) -> AsyncGenerator[StoredObject, None]:
    """Uploads that the bucket holds something of and no record tells of; one may be found more than once."""
    last = ""
    async for found in bucket.objects(STAGED):
        upload_id = _upload_of(found.key)
        if upload_id != last and is_upload_id(upload_id) and not await records.have(upload_id):
            yield StoredObject(None, upload_id, found.size, found.modified_at)
        last = upload_id
    async for found in bucket.multiparts(""):
        upload_id = _upload_of(found.key)
        if is_upload_id(upload_id) and not await records.have(upload_id):
            yield StoredObject(None, upload_id, 0, found.modified_at)


async def drop_leftovers(bucket: Bucket, naming: Naming) -> None:
    """Drop whatever the bucket holds of an upload, its stored copy aside."""
    for prefix in naming.prefixes:
        async for found in bucket.multiparts(prefix):
            await bucket.abort(found.key, found.multipart_id)
    async for found in bucket.objects(naming.prefixes[0]):
        await bucket.delete(found.key)


def _upload_of(key: str) -> str:
    """The upload that the key of a piece, a group, or a copy that is under way, is named after."""
    return upload_of(key.removeprefix(COPIES)) or key.removeprefix(STAGED).partition("/")[0]
