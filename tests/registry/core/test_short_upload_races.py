"""Short blobs of sessions that somebody else is at meanwhile: there is one outcome, and nobody is told another."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from registry.core.errors import BlobUnknown, RepositoryUnknown, UploadBusy, UploadOutOfOrder, UploadUnknown
from registry.core.incoming import Chunk
from registry.core.upload_sessions import Owner
from registry.core.uploads import Uploads
from storage.errors import DigestMismatch, NoSpace
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import MemoryKeys
from tests.registry.core.services import ALICE, ALPHA, BETA, LIMITS, Body, Clock, Core, chunk, open_core, start
from tests.registry.core.test_upload_shortcuts import FullDatabase
from tests.registry.core.visited import HELLO, Visited, finish, is_open


@pytest.fixture
def core(visited_core: Core) -> Core:
    """Every service, on a store that tells how it was visited."""
    return visited_core


async def outcome(attempt: Awaitable[object]) -> type[BaseException] | None:
    """What an attempt raised, None where it succeeded."""
    (done,) = await asyncio.gather(attempt, return_exceptions=True)
    return type(done) if isinstance(done, BaseException) else None


async def test_a_short_blob_that_others_push_meanwhile_is_stored_once(core: Core, visited: Visited) -> None:
    visited.before = lambda: core.push_blob(b"hello", Owner(BETA, "arn:bob"))

    await finish(core, await start(core))

    assert [await core.read(HELLO, each) for each in (ALPHA, BETA)] == [b"hello", b"hello"]
    assert len([found async for found in visited.walk()]) == 1


async def test_a_short_blob_that_comes_while_another_request_writes_is_refused(core: Core) -> None:
    """The one that writes loses nothing, and the blob can be pushed afterwards."""
    upload_id = await start(core)
    refused: list[object] = []

    async def finish_too() -> None:
        refused.append(await outcome(finish(core, upload_id)))

    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"hel"], meanwhile=finish_too)))

    assert refused == [UploadBusy]
    await finish(core, upload_id, chunk(b"lo", 3))
    assert await core.read(HELLO) == b"hello"


@pytest.mark.parametrize("moment", ["body", "before", "after"])
async def test_a_session_that_is_cancelled_while_its_blob_comes_is_unknown(
    core: Core, visited: Visited, moment: str
) -> None:
    """Finishing and cancelling have one outcome, whatever the moment."""
    upload_id = await start(core)
    body = Body([b"hello"], announced=5)

    async def cancel() -> None:
        await core.uploads.cancel(ALICE, upload_id)

    if moment == "body":
        body = replace(body, meanwhile=cancel)
    else:
        setattr(visited, moment, cancel)

    with pytest.raises(UploadUnknown):
        await finish(core, upload_id, Chunk(body))

    assert await core.stored() == set()
    with pytest.raises(RepositoryUnknown):
        await core.blobs.find(ALPHA, HELLO)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_appended_while_a_short_blob_comes_is_not_lost_unsaid(
    core: Core, visited: Visited, moment: str
) -> None:
    """Either the session goes on behind what was promised, or nothing was promised: bytes have one place."""
    upload_id = await start(core)
    promised: list[int] = []

    async def append() -> None:
        promised.append((await core.uploads.append(ALICE, upload_id, chunk(b"he"))).offset)

    setattr(visited, moment, append)

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id)

    assert promised == [2]
    assert await core.stored() == set()
    assert not await is_open(core, upload_id)


async def test_an_offset_that_was_said_is_held_against_what_came_meanwhile(core: Core, visited: Visited) -> None:
    """The one who says where its bytes belong is told where to go on, and nothing is lost."""
    upload_id = await start(core)
    visited.after = lambda: core.uploads.append(ALICE, upload_id, chunk(b"he"))

    assert await outcome(finish(core, upload_id, chunk(b"hello", 0))) is UploadOutOfOrder

    await finish(core, upload_id, chunk(b"llo", 2))
    assert await core.read(HELLO) == b"hello"
    assert await core.stored() == {(None, 5)}


async def test_a_session_that_is_swept_while_its_blob_comes_leaves_nothing(core: Core, visited: Visited) -> None:
    visited.after = lambda: core.uploads.sweep(idle_since=9000.0)

    with pytest.raises(UploadUnknown):
        await finish(core, await start(core))

    assert await core.stored() == set()


async def test_of_two_that_finish_a_session_at_once_one_does(core: Core) -> None:
    """The other is told that it is over, or that it is being written."""
    upload_id = await start(core)

    done = await asyncio.gather(*(outcome(finish(core, upload_id)) for _ in range(5)))

    assert done.count(None) == 1
    assert set(done) <= {None, UploadUnknown, UploadBusy}
    assert await core.read(HELLO) == b"hello"
    assert await core.stored() == {(None, 5)}


async def test_a_session_is_over_before_its_short_blob_appears(core: Core, visited: Visited) -> None:
    upload_id = await start(core)
    seen: list[object] = []

    async def look() -> None:
        seen.append(await outcome(core.blobs.find(ALPHA, HELLO)))
        await core.push_blob(b"other")
        seen.append(await outcome(core.blobs.find(ALPHA, HELLO)))

    visited.after = look
    await finish(core, upload_id)

    assert seen == [RepositoryUnknown, BlobUnknown]
    assert not await is_open(core, upload_id)


async def test_a_session_that_cannot_be_ended_keeps_no_copy(core: Core, clock: Clock) -> None:
    """The same request succeeds once the database takes it."""
    upload_id = await start(core)
    uploads = Uploads(
        FullDatabase(core.activity),
        core.places,
        core.blobs,
        core.repositories,
        limits=LIMITS,
        now=clock,
        new_id=lambda: "unused",
    )

    with pytest.raises(NoSpace):
        await uploads.finish(ALICE, upload_id, HELLO, chunk(b"hello"), hint=None, create=True)

    assert await core.stored() == set()
    await finish(core, upload_id)
    assert await core.read(HELLO) == b"hello"


async def test_a_short_blob_of_a_repository_that_changes_its_domain_meanwhile_is_let_go_of(
    place: Place, clock: Clock, visited: Visited, domain_keys: MemoryKeys
) -> None:
    """It was sealed for the domain of before; the same content can be pushed again."""
    async with open_core(place, clock, store=visited, keys=domain_keys) as sealed:
        await sealed.push_blob(b"other")
        upload_id = await start(sealed)

        async def make_anew() -> None:
            await sealed.repositories.delete(ALPHA, force=True, now=1.0)
            await sealed.repositories.create(ALPHA, "{}", 1.0, "team")

        visited.before = make_anew
        with pytest.raises(UploadUnknown):
            await finish(sealed, upload_id)

        assert len(await sealed.stored()) == 1  # the other one
        await finish(sealed, await start(sealed))
        assert await sealed.read(HELLO) == b"hello"
        assert "team" in domain_keys.versions


async def test_a_short_blob_is_sealed_for_its_repository_as_it_is_once_its_body_is_there(
    place: Place, clock: Clock, visited: Visited, domain_keys: MemoryKeys
) -> None:
    async with open_core(place, clock, store=visited, keys=domain_keys) as sealed:

        async def make() -> None:
            await sealed.repositories.create(ALPHA, "{}", 1.0, "team")

        await finish(sealed, await start(sealed), Chunk(Body([b"hello"], announced=5, meanwhile=make)))

        assert visited.visits == ["store"]
        assert set(domain_keys.versions) == {"team"}
        assert await sealed.read(HELLO) == b"hello"
