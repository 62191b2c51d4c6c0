"""Chunks of a stream gathered into batches, so that a hop to a thread costs little beside the work on each."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

_BATCH_BYTES: Final = 1024 * 1024


async def batches_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[bytes], None]:
    """All chunks, in order, in batches of 1 MiB or a chunk more; the last may be smaller, and none is empty."""
    batch: list[bytes] = []
    size = 0
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
