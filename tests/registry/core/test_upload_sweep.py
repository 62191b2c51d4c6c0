"""Sweeping uploads that nobody will finish."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from registry.core.errors import UploadUnknown
from registry.core.incoming import Chunk
from registry.core.uploads import Uploads
from storage.blobs.interface import BlobWriter, Opening
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from storage.errors import StoreUnavailable
from storage.metadata.database import Database
from tests.contracts.blob_access import at
from tests.registry.core.services import ALICE, LIMITS, NOTHING, Body, Broken, Clock, Core, chunk

T = TypeVar("T")
HELLO = Digest.of(b"hello")
ORPHAN = "99999999-9999-4999-8999-999999999999"


class LateScans:
    """A database whose scans come back late: something happens before their answer is used."""

    def __init__(self, database: Database, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._database = database
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        found = await self._database.scan(query)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(change)

    async def close(self) -> None:
        await self._database.close()


async def staged(core: Core, content: bytes = b"he") -> str:
    upload_id = (await core.uploads.start(ALICE, Algorithm.SHA256, create=True)).upload_id
    await core.uploads.append(ALICE, upload_id, chunk(content))
    return upload_id


async def test_an_idle_session_is_swept_with_its_bytes(core: Core) -> None:
    upload_id = await staged(core)

    assert await core.uploads.sweep(idle_since=1000.5) == 1

    assert await core.stored() == set()
    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)


@pytest.mark.parametrize("body", [Body([b""]), Body([b""], Broken())], ids=["empty", "broken off"])
async def test_a_body_without_a_byte_tells_that_the_client_is_there(core: Core, clock: Clock, body: Body) -> None:
    upload_id = await staged(core)
    clock.time = 2000.0
    with suppress(Broken):
        await core.uploads.append(ALICE, upload_id, Chunk(body))

    assert await core.uploads.sweep(idle_since=1500.0) == 0


async def test_a_session_that_was_touched_since_is_kept(core: Core, clock: Clock) -> None:
    upload_id = await staged(core)
    clock.time = 2000.0
    await core.uploads.append(ALICE, upload_id, chunk(b"l"))

    assert await core.uploads.sweep(idle_since=1500.0) == 0

    await core.uploads.finish(ALICE, upload_id, HELLO, chunk(b"lo", 3), hint=None, create=True)


async def test_a_session_that_is_touched_during_the_sweep_is_kept(core: Core, clock: Clock) -> None:
    """A client that comes back at the last moment was promised its bytes."""
    upload_id = await staged(core)
    clock.time = 2000.0
    late = LateScans(core.activity, lambda: core.uploads.append(ALICE, upload_id, chunk(b"l")))
    uploads = Uploads(
        late, core.places, core.blobs, core.repositories, limits=LIMITS, now=clock, new_id=lambda: "unused"
    )

    assert await uploads.sweep(idle_since=1500.0) == 0

    await core.uploads.finish(ALICE, upload_id, HELLO, chunk(b"lo", 3), hint=None, create=True)
    assert await core.read(HELLO) == b"hello"


async def test_a_session_that_is_being_written_is_kept(core: Core) -> None:
    upload_id = await staged(core)
    swept: list[int] = []

    async def sweep() -> None:
        swept.append(await core.uploads.sweep(idle_since=9000.0))

    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"llo"], meanwhile=sweep)))

    assert swept == [0]
    await core.uploads.finish(ALICE, upload_id, HELLO, NOTHING, hint=None, create=True)


async def test_a_session_that_never_got_a_byte_is_swept(core: Core) -> None:
    await core.uploads.start(ALICE, Algorithm.SHA256, create=True)

    assert await core.uploads.sweep(idle_since=1000.5) == 1

    assert await core.stored() == set()


async def test_staged_bytes_that_no_session_owns_are_swept(core: Core) -> None:
    async with core.store.stage(ORPHAN, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

    assert await core.uploads.sweep(idle_since=1000.5) == 1

    assert await core.stored() == set()


async def test_young_staged_bytes_are_kept(core: Core) -> None:
    """Their session may have been opened by another node a moment ago."""
    async with core.store.stage(ORPHAN, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

    assert await core.uploads.sweep(idle_since=1000.0) == 0

    assert await core.stored() == {(ORPHAN, 5)}


async def test_staged_bytes_that_are_being_written_are_kept(core: Core, clock: Clock) -> None:
    async with core.store.stage(ORPHAN, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

        assert await core.uploads.sweep(idle_since=9000.0) == 0


async def test_stored_blobs_are_never_swept(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.uploads.sweep(idle_since=9000.0) == 0

    assert await core.read(HELLO) == b"hello"


async def test_more_sessions_than_a_page_are_swept(core: Core) -> None:
    for number in range(101):
        owner = type(ALICE)(ALICE.repository, f"arn:{number}")
        await core.uploads.start(owner, Algorithm.SHA256, create=True)

    assert await core.uploads.sweep(idle_since=9000.0) == 101


async def test_a_session_that_ends_while_it_is_taken_up_leaves_nothing_staged(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes were dropped by whoever ended it; what was staged anew for it is nobody's."""
    upload_id = (await core.uploads.start(ALICE, Algorithm.SHA256, create=True)).upload_id
    await core.uploads.append(ALICE, upload_id, chunk(b"abc"))

    async def nothing() -> int:
        return 0

    async def ended(*_arguments: object) -> None:
        raise UploadUnknown

    async with core.store.stage(upload_id, Algorithm.SHA256, nothing) as writer:
        await writer.abort()
    monkeypatch.setattr(core.uploads._sessions, "move", ended)

    with pytest.raises(UploadUnknown):
        await core.uploads.append(ALICE, upload_id, chunk(b"def"))

    assert await core.stored() == set()


class Stuck(MemoryStore):
    """A store in which one upload cannot be dropped; all of it is away where the error says so."""

    error = StoreUnavailable("its pieces cannot be read")

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        if upload_id.startswith("00000001"):
            raise self.error
        async with super().stage(upload_id, algorithm, committed, opening=opening) as writer:
            yield writer


async def test_an_upload_that_cannot_be_dropped_does_not_keep_the_others(core: Core) -> None:
    for _ in range(3):
        await core.uploads.start(ALICE, Algorithm.SHA256, create=True)
    core.store.__class__ = Stuck

    assert await core.uploads.sweep(idle_since=9000.0) == 2


async def test_a_store_that_is_away_ends_the_sweep(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be done until it is back."""
    monkeypatch.setattr(Stuck, "error", StoreUnavailable("away", is_away=True))
    await core.uploads.start(ALICE, Algorithm.SHA256, create=True)
    core.store.__class__ = Stuck

    with pytest.raises(StoreUnavailable):
        await core.uploads.sweep(idle_since=9000.0)
