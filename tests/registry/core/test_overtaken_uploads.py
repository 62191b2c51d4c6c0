"""Uploads that another writer took over meanwhile."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from registry.core.errors import (
    UploadBusy,
)
from registry.core.incoming import Chunk
from storage.blobs.interface import BlobWriter, Opening
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm
from storage.errors import StagedBytesBusy
from storage.metadata.uploads import move_upload
from tests.contracts.database_places import Place
from tests.registry.core.services import ALICE, Body, Clock, Core, chunk, offset, open_core, start


class Taken(MemoryStore):
    """A store that tells a writer at its end that another one has the upload by now, once it `is_taken`."""

    is_taken = False
    aborted = 0

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        store = self

        class Writer:
            def __init__(self, writer: BlobWriter) -> None:
                self._writer = writer

            def __getattr__(self, name: str) -> object:
                return getattr(self._writer, name)

            async def keep(self) -> None:
                if store.is_taken:
                    raise StagedBytesBusy(upload_id)

            async def abort(self) -> None:
                store.aborted += 1
                await self._writer.abort()

        async with super().stage(upload_id, algorithm, committed, opening=opening) as writer:
            yield cast("BlobWriter", Writer(writer))


@pytest.mark.parametrize("moved", [None, 3])
async def test_a_writer_that_was_overtaken_neither_moves_nor_drops_the_upload(
    place: Place, clock: Clock, moved: int | None
) -> None:
    """Its client is told to ask for the offset; what the next writer promised stands."""
    store = Taken(new_suffix=lambda: "0", now=clock)
    async with open_core(place, clock, store=store) as core:
        upload_id = await start(core)
        await core.uploads.append(ALICE, upload_id, chunk(b"he"))

        async def overtake() -> None:
            store.is_taken = True
            if moved is not None:
                await core.activity.write(lambda c: move_upload(c, upload_id, before=2, after=moved, now=1))

        with pytest.raises(UploadBusy):
            await core.uploads.append(ALICE, upload_id, Chunk(Body([b"llo"], meanwhile=overtake)))

        assert await offset(core, upload_id) == (moved or 2)
        assert store.aborted == 0


async def test_an_upload_that_was_moved_meanwhile_is_not_dropped(core: Core) -> None:
    """By a writer of another process, which has it by now."""
    upload_id = await start(core)

    async def move() -> None:
        await core.activity.write(lambda c: move_upload(c, upload_id, before=0, after=1, now=1))

    with pytest.raises(UploadBusy):
        await core.uploads.append(ALICE, upload_id, Chunk(Body([b"hello"], meanwhile=move)))

    assert await offset(core, upload_id) == 1
    assert await core.stored() == {(upload_id, 5)}
