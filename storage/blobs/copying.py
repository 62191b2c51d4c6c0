"""Making another copy of what is stored, in the same store or another."""

from contextlib import aclosing

from storage.blobs.batches import batches_of
from storage.blobs.blocking import to_end
from storage.blobs.interface import BlobStore, BlobWriter, Expected, Span, StoredCopy


async def copy_into(
    target: BlobStore, source: BlobStore, key: str, expected: Expected, *, upload_id: str
) -> StoredCopy:
    """Store the bytes of a copy in `source` again in `target`, if they are what is expected; tells of the new one.

    They are staged under an upload id that nobody else uses; who is cancelled leaves nothing. Raises what reading, and
    what `BlobWriter.commit` raise.
    """
    stored: list[StoredCopy] = []

    async def commit(writer: BlobWriter) -> None:
        stored.append(await writer.commit(expected.digest))

    try:
        async with target.stage(upload_id, expected.digest.algorithm, _nothing) as writer:
            try:
                async with aclosing(source.read(key, Span(0, expected.size), expected=expected)) as chunks:
                    async for batch in batches_of(chunks):
                        await writer.write(batch)
                await to_end(commit(writer))
            except BaseException:
                await writer.abort()
                raise
    except BaseException:
        for unheard in stored:  # nobody is told of it
            await to_end(target.delete(unheard.key))
        raise
    return stored[0]


async def _nothing() -> int:
    return 0
