"""Whole operations on a blob store, for tests that need one before or after the one they are about."""

from collections.abc import Awaitable, Callable, Sequence

from storage.blobs.interface import BlobStore, BlobWriter, Domains, Span, StoredCopy
from storage.digest import Algorithm, Digest
from storage.encryption.header import Layout

UPLOAD = "11111111-1111-4111-8111-111111111111"
OTHER_UPLOAD = "22222222-2222-4222-8222-222222222222"
LAYOUT = Layout()


def at(offset: int) -> Callable[[], Awaitable[int]]:
    """What `stage` asks when this many bytes are committed."""

    async def committed() -> int:
        return offset

    return committed


async def push(store: BlobStore, content: bytes, upload_id: str = UPLOAD) -> StoredCopy:
    """Store some bytes in one go."""
    async with store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([content])
        return await writer.commit(Digest.of(content))


async def write_taken(writer: BlobWriter, pieces: Sequence[bytes]) -> None:
    """Have a thread take bytes piece by piece, in a buffer that is used again, as it would from a socket."""
    left = [memoryview(piece) for piece in pieces]
    buffer = memoryview(bytearray(max((len(piece) for piece in pieces), default=0)))

    def take(limit: int) -> memoryview:
        buffer[:] = bytes(len(buffer))  # what was given before is gone
        if not left:
            return buffer[:0]
        taken, left[0] = left[0][:limit], left[0][limit:]
        if not left[0]:
            del left[0]
        buffer[: len(taken)] = taken
        return buffer[: len(taken)]

    assert writer.write_from is not None
    await writer.write_from(take, sum(map(len, pieces)))


async def stage(store: BlobStore, content: bytes, upload_id: str = UPLOAD) -> None:
    """Stage some bytes and leave them for later."""
    async with store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([content])
        await writer.keep()


async def read(store: BlobStore, key: str, offset: int, length: int) -> bytes:
    """Read a span as a whole."""
    return b"".join([chunk async for chunk in store.read(key, Span(offset, length))])


async def walk(store: BlobStore, layout: Layout = LAYOUT) -> set[tuple[str | None, str | None, int]]:
    """Everything in the store, without the times; a sealed copy with the size of what it is a copy of."""
    sealed = isinstance(store, Domains)
    return {
        (found.key, found.upload_id, layout.size(found.size) if sealed and found.key else found.size)
        async for found in store.walk()
    }
