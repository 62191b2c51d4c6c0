"""Making another copy of what is stored, in the same store or another."""

from contextlib import aclosing
from typing import Final

from storage.blobs.interface import BlobStore, Expected, Span, StoredCopy

_BATCH_BYTES: Final = 1024 * 1024


async def copy_into(
    target: BlobStore, source: BlobStore, key: str, expected: Expected, *, upload_id: str
) -> StoredCopy:
    """Store the bytes of a copy in `source` again in `target`, if they are what is expected; tells of the new one.

    They are staged under an upload id that nobody else uses. Raises what reading, and what `BlobWriter.commit` raise.
    """
    async with target.stage(upload_id, expected.digest.algorithm, _nothing) as writer:
        try:
            batch: list[bytes] = []
            async with aclosing(source.read(key, Span(0, expected.size), expected=expected)) as chunks:
                async for chunk in chunks:
                    batch.append(chunk)
                    if sum(map(len, batch)) >= _BATCH_BYTES:
                        await writer.write(batch)
                        batch = []
            if batch:
                await writer.write(batch)
            return await writer.commit(expected.digest)
        except BaseException:
            await writer.abort()
            raise


async def _nothing() -> int:
    return 0
