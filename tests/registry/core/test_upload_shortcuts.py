"""Uploads that need not read staged bytes again, or store them twice; and uploads that find no room."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from registry.core.blobs import Blobs
from registry.core.errors import UploadUnknown
from registry.core.incoming import Chunk
from registry.core.upload_hints import UploadHint
from registry.core.upload_sessions import Owner
from registry.core.uploads import Uploads
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, NoSpace
from storage.metadata.database import Database
from tests.contracts.database_places import Place
from tests.registry.core.services import ALICE, BETA, LIMITS, NOTHING, Body, Clock, Core, chunk, open_core
from tests.storage.metadata.rows import candidates

T = TypeVar("T")
HELLO = Digest.of(b"hello")


class FullDatabase:
    """A database on a full disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self._database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        del change
        raise NoSpace

    async def close(self) -> None:
        await self._database.close()


async def staged(core: Core, *parts: bytes) -> str:
    """An upload whose bytes were appended one request after another."""
    upload_id = (await core.uploads.start(ALICE, Algorithm.SHA256, create=True)).upload_id
    for part in parts:
        await core.uploads.append(ALICE, upload_id, chunk(part))
    return upload_id


async def finish(core: Core, upload_id: str, *, hint: UploadHint | None, last: Chunk = NOTHING) -> None:
    await core.uploads.finish(ALICE, upload_id, HELLO, last, hint=hint, create=True)


async def test_a_hint_for_the_right_offset_is_believed(core: Core) -> None:
    upload_id = await staged(core, b"hello")

    await finish(core, upload_id, hint=UploadHint(5, HELLO))

    assert await core.read(HELLO) == b"hello"


@pytest.mark.parametrize("offset", [0, 4, 6])
async def test_a_hint_for_another_offset_counts_for_nothing(core: Core, offset: int) -> None:
    upload_id = await staged(core, b"he", b"LLO")

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, hint=UploadHint(offset, HELLO))


async def test_a_hint_counts_for_nothing_when_more_bytes_follow(core: Core) -> None:
    upload_id = await staged(core, b"hel", b"lo")

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, hint=UploadHint(5, HELLO), last=chunk(b"!"))


async def test_a_hint_of_other_bytes_is_no_way_to_store_them(core: Core) -> None:
    """A hint that names another digest makes the push fail rather than store the wrong bytes."""
    upload_id = await staged(core, b"hel", b"lo")

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, hint=UploadHint(5, Digest.of(b"other")))


async def test_an_upload_without_a_hint_is_served_too(core: Core) -> None:
    await finish(core, await staged(core, b"he", b"l", b"lo"), hint=None)

    assert await core.read(HELLO) == b"hello"


async def test_bytes_that_are_stored_already_are_linked(core: Core) -> None:
    await core.push_blob(b"hello", Owner(BETA, "arn:bob"))

    await finish(core, await staged(core, b"hello"), hint=UploadHint(5, HELLO))

    assert await core.read(HELLO) == b"hello"
    assert await core.stored() == {(None, 5)}


async def test_a_digest_alone_links_nothing(core: Core) -> None:
    """Whoever pushes must show the bytes: knowing the digest of another's blob is not enough."""
    await core.push_blob(b"hello", Owner(BETA, "arn:bob"))
    upload_id = await staged(core)

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, hint=None)


async def test_pushing_a_candidate_again_restarts_its_clock(core: Core, clock: Clock) -> None:
    await core.push_blob(b"hello")
    clock.time = 5000.0

    await core.push_blob(b"hello")

    assert [since for _, _, since in await core.database.read(candidates)] == [5000.0]


@pytest.fixture
async def small(place: Place, clock: Clock) -> AsyncIterator[Core]:
    """A core whose store takes ten bytes."""
    async with open_core(place, clock, capacity_bytes=10) as core:
        yield core


async def test_an_upload_that_finds_no_room_leaves_nothing(small: Core) -> None:
    upload_id = await staged(small, b"hello")

    with pytest.raises(NoSpace):
        await small.uploads.append(ALICE, upload_id, Chunk(Body([b"1234", b"5678"])))

    assert await small.stored() == set()
    with pytest.raises(UploadUnknown):
        await small.uploads.status(ALICE, upload_id)


async def test_an_upload_that_finds_no_room_makes_room_for_another(small: Core) -> None:
    upload_id = await staged(small, b"hello")
    with pytest.raises(NoSpace):
        await small.uploads.append(ALICE, upload_id, chunk(b"123456"))

    await small.push_blob(b"0123456789")

    assert await small.stored() == {(None, 10)}


async def test_the_last_chunk_that_finds_no_room_leaves_nothing(small: Core) -> None:
    upload_id = await staged(small, b"hello")

    with pytest.raises(NoSpace):
        await finish(small, upload_id, hint=None, last=chunk(b"123456"))

    assert await small.stored() == set()


@pytest.mark.parametrize("parts", [(), (b"hello",)], ids=["seen whole", "read again"])
async def test_metadata_that_finds_no_room_leaves_no_session(
    core: Core, clock: Clock, parts: tuple[bytes, ...]
) -> None:
    """The disk may be too full for the row of a blob whose bytes were taken."""
    upload_id = await staged(core, *parts)
    blobs = Blobs(FullDatabase(core.database), core.places, clock)
    uploads = Uploads(
        core.activity, core.places, blobs, core.repositories, limits=LIMITS, now=clock, new_id=lambda: "unused"
    )

    with pytest.raises(NoSpace):
        await uploads.finish(ALICE, upload_id, HELLO, chunk(b"" if parts else b"hello"), hint=None, create=True)

    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)
    assert {upload for upload, _ in await core.stored()} <= {None}


class Reached(Exception):
    """The store was asked to make the bytes durable."""


@pytest.mark.parametrize("parts", [(b"hello",), (b"hel", b"lo")], ids=["at once", "in parts"])
async def test_a_session_is_over_for_everybody_before_its_blob_appears(
    core: Core, monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    """Finishing, cancelling and continuing at the same moment have one outcome."""
    upload_id = await staged(core, *parts)
    seen: list[str] = []

    async def publish(*_arguments: object, **_more: object) -> None:
        acts: dict[str, Awaitable[object]] = {
            "status": core.uploads.status(ALICE, upload_id),
            "cancel": core.uploads.cancel(ALICE, upload_id),
            "append": core.uploads.append(ALICE, upload_id, chunk(b"x")),
            "finish": finish(core, upload_id, hint=None),
        }
        for name, act in acts.items():
            with pytest.raises(UploadUnknown):
                await act
            seen.append(name)
        raise Reached

    monkeypatch.setattr(core.uploads, "_publish", publish)
    with pytest.raises(Reached):
        await core.uploads.finish(ALICE, upload_id, HELLO, NOTHING, hint=None, create=True)

    assert seen == ["status", "cancel", "append", "finish"]
    assert await core.stored() == set()
