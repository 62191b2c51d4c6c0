"""A store that tells how it was visited, and sessions that are closed with a short blob."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from registry.core.errors import UploadUnknown
from registry.core.incoming import Chunk
from storage.blobs.interface import BlobWriter, Opening, StoredCopy
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from tests.registry.core.services import ALICE, Core, chunk

HELLO = Digest.of(b"hello")
SHORT = 64 * 1024
Act = Callable[[], Awaitable[object]]


class Visited(MemoryStore):
    """A store that tells how it was visited; `before` and `after` are what happens around a visit that stores."""

    def __init__(self, *, new_suffix: Callable[[], str], now: Callable[[], float]) -> None:
        super().__init__(new_suffix=new_suffix, now=now)
        self.visits: list[str] = []
        self.before: Act | None = None
        self.after: Act | None = None
        self.failure: Exception | None = None

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        self.visits.append("stage")
        async with super().stage(upload_id, algorithm, committed, opening=opening) as writer:
            yield writer

    async def store(
        self, upload_id: str, content: Sequence[bytes], digest: Digest, *, known: Digest | None = None
    ) -> StoredCopy | None:
        await self._happen("before")
        if self.failure is not None:
            raise self.failure
        copy = await super().store(upload_id, content, digest, known=known)
        if copy is not None:
            self.visits[-1] = "store"  # the store in memory stages by itself
        await self._happen("after")
        return copy

    async def _happen(self, moment: str) -> None:
        act = getattr(self, moment)
        setattr(self, moment, None)
        if act is not None:
            await act()


async def finish(core: Core, upload_id: str, last: Chunk | None = None, digest: Digest = HELLO) -> None:
    """Close a session with a blob, "hello" unless told otherwise."""
    await core.uploads.finish(ALICE, upload_id, digest, last or chunk(b"hello"), hint=None, create=True)


async def is_open(core: Core, upload_id: str) -> bool:
    """Whether a session is there."""
    try:
        await core.uploads.status(ALICE, upload_id)
    except UploadUnknown:
        return False
    return True
