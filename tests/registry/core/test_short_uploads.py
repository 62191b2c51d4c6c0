"""Short blobs that come whole: stored with one visit to the store, unless something is unusual."""

import asyncio
import tracemalloc

import pytest

from registry.core.errors import BlobTooLarge, RepositoryUnknown
from registry.core.incoming import Chunk, gathered
from registry.core.upload_sessions import Owner
from registry.core.uploads import UploadLimits
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, KeyUnavailable, NoSpace, StoreUnavailable
from tests.contracts.blob_access import at
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import MemoryKeys
from tests.registry.core.services import ALICE, ALPHA, BETA, Body, Broken, Clock, Core, chunk, open_core, start
from tests.registry.core.visited import HELLO, SHORT, Visited, finish, is_open


@pytest.fixture
def core(visited_core: Core) -> Core:
    """Every service, on a store that tells how it was visited."""
    return visited_core


@pytest.mark.parametrize("start_at", [None, 0])
@pytest.mark.parametrize("size", [0, 5, SHORT])
async def test_a_short_blob_is_stored_with_one_visit(
    core: Core, visited: Visited, size: int, start_at: int | None
) -> None:
    content = bytes(size)
    upload_id = await start(core)

    await finish(core, upload_id, chunk(content, start_at), Digest.of(content))

    assert visited.visits == ["store"]
    assert await core.read(Digest.of(content)) == content
    assert not await is_open(core, upload_id)
    assert await core.stored() == {(None, size)}


async def test_a_blob_that_is_longer_is_staged(core: Core, visited: Visited) -> None:
    """One byte more than is held in memory."""
    content = bytes(SHORT + 1)

    await finish(core, await start(core), chunk(content), Digest.of(content))

    assert visited.visits == ["stage"]
    assert len(await core.read(Digest.of(content))) == SHORT + 1


async def test_a_blob_whose_length_nobody_announced_is_staged(core: Core, visited: Visited) -> None:
    await finish(core, await start(core), Chunk(Body([b"hello"])))

    assert visited.visits == ["stage"]
    assert await core.read(HELLO) == b"hello"


async def test_a_short_blob_may_come_in_many_pieces(core: Core, visited: Visited) -> None:
    await finish(core, await start(core), Chunk(Body([b"he", b"", b"llo"], announced=5)))

    assert visited.visits == ["store"]
    assert await core.read(HELLO) == b"hello"


async def test_a_short_blob_is_named_by_any_algorithm(core: Core, visited: Visited) -> None:
    digest = Digest.of(b"hello", Algorithm.SHA512)

    await finish(core, await start(core), digest=digest)

    assert visited.visits == ["store"]
    assert await core.read(digest) == b"hello"


async def test_a_short_body_that_breaks_off_counts_as_far_as_it_came(core: Core) -> None:
    upload_id = await start(core)

    with pytest.raises(Broken):
        await finish(core, upload_id, Chunk(Body([b"h", b"el"], Broken(), announced=5)))

    assert (await core.uploads.status(ALICE, upload_id)).offset == 3
    await finish(core, upload_id, chunk(b"lo", 3))
    assert await core.read(HELLO) == b"hello"


async def test_a_whole_blob_whose_request_breaks_off_is_not_stored(core: Core) -> None:
    """Its client asks where to resume, and closes the upload then."""
    upload_id = await start(core)

    with pytest.raises(Broken):
        await finish(core, upload_id, Chunk(Body([b"hello"], Broken(), announced=5)))

    assert await core.stored() == {(upload_id, 5)}
    await finish(core, upload_id, chunk(b"", 5))
    assert await core.read(HELLO) == b"hello"


async def test_who_is_cancelled_while_a_short_body_comes_is_cancelled(core: Core) -> None:
    """What came until then counts."""

    async def wait() -> None:
        if is_waiting.is_set():
            await asyncio.Event().wait()
        is_waiting.set()

    is_waiting = asyncio.Event()
    upload_id = await start(core)
    finishing = asyncio.create_task(finish(core, upload_id, Chunk(Body([b"hel", b"lo"], announced=5, meanwhile=wait))))
    await is_waiting.wait()
    await asyncio.sleep(0)
    finishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(finishing, 5)

    assert (await core.uploads.status(ALICE, upload_id)).offset == 3


async def test_other_bytes_than_the_digest_names_end_the_session(core: Core) -> None:
    upload_id = await start(core)

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, chunk(b"hellO"))

    assert await core.stored() == set()
    assert not await is_open(core, upload_id)
    assert await core.repositories.is_known(ALPHA) is False


async def test_a_short_blob_that_finds_no_room_ends_the_session(place: Place, clock: Clock) -> None:
    async with open_core(place, clock, capacity_bytes=4) as small:
        upload_id = await start(small)

        with pytest.raises(NoSpace):
            await finish(small, upload_id)

        assert await small.stored() == set()
        assert not await is_open(small, upload_id)


async def test_a_store_that_is_unavailable_keeps_the_session(core: Core, visited: Visited) -> None:
    """The same request succeeds when it is back."""
    upload_id = await start(core)
    visited.failure = StoreUnavailable("its disk is away")
    with pytest.raises(StoreUnavailable):
        await finish(core, upload_id)
    visited.failure = None

    await finish(core, upload_id)

    assert visited.visits == ["store"]
    assert await core.read(HELLO) == b"hello"


async def test_a_short_blob_that_is_stored_already_is_linked(core: Core, visited: Visited) -> None:
    await core.push_blob(b"hello", Owner(BETA, "arn:bob"))

    await finish(core, await start(core))

    assert await core.read(HELLO) == b"hello"
    assert len([found async for found in visited.walk()]) == 1


async def test_a_short_blob_whose_bytes_are_gone_is_repaired_with_one_visit(core: Core, visited: Visited) -> None:
    """For every repository that reads it."""
    await core.push_blob(b"hello", Owner(BETA, "arn:bob"))
    async for found in visited.walk():
        await visited.delete(str(found.key))
    visited.visits = []

    await finish(core, await start(core))

    assert visited.visits == ["store"]
    assert [await core.read(HELLO, each) for each in (ALPHA, BETA)] == [b"hello", b"hello"]
    assert len(core.damaged) == 1


async def test_a_session_in_which_something_is_committed_goes_on(core: Core, visited: Visited) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"hel"))
    visited.visits = []

    await finish(core, upload_id, chunk(b"lo"))

    assert visited.visits == ["stage"]
    assert await core.read(HELLO) == b"hello"


async def test_bytes_that_follow_others_are_not_taken_for_the_whole_blob(core: Core, visited: Visited) -> None:
    """The store is not even asked."""
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"hel"))
    visited.failure = StoreUnavailable("it was asked")

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id)

    assert await core.stored() == set()


async def test_a_session_in_which_something_was_staged_and_not_promised_starts_over(core: Core) -> None:
    """A server that died in the middle of a request told nobody of its bytes."""
    upload_id = await start(core)
    async with core.store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"XXXXXXXX"])

    await finish(core, upload_id)

    assert await core.read(HELLO) == b"hello"
    assert await core.stored() == {(None, 5)}


async def test_a_short_blob_that_may_not_make_its_repository_is_refused(core: Core) -> None:
    upload_id = await start(core)

    with pytest.raises(RepositoryUnknown):
        await core.uploads.finish(ALICE, upload_id, HELLO, chunk(b"hello"), hint=None, create=False)

    assert await core.stored() == set()
    assert not await is_open(core, upload_id)
    assert await core.repositories.is_known(ALPHA) is False


@pytest.mark.parametrize("last", [chunk(b"hello!"), Chunk(Body([], announced=6))])
async def test_a_short_blob_past_the_bound_leaves_nothing(place: Place, clock: Clock, last: Chunk) -> None:
    """It is refused before it is read."""
    async with open_core(place, clock, limits=UploadLimits(5, 3)) as small:
        upload_id = await start(small)

        with pytest.raises(BlobTooLarge):
            await finish(small, upload_id, last, Digest.of(b"hello!"))

        assert await small.stored() == set()
        await finish(small, await start(small))
        assert await small.read(HELLO) == b"hello"


async def test_a_short_body_takes_little_more_than_its_bytes() -> None:
    """However small the pieces it comes in: nobody counts what so many of them take."""
    pieces = [b"%d" % (number % 90 + 10) for number in range(SHORT // 2)]
    tracemalloc.start()
    try:
        body = await gathered(Body(pieces, announced=SHORT))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(body.content) == SHORT
    assert peak < 4 * SHORT


async def test_a_short_blob_is_sealed_with_one_visit(
    place: Place, clock: Clock, visited: Visited, domain_keys: MemoryKeys
) -> None:
    async with open_core(place, clock, store=visited, keys=domain_keys) as sealed:
        await finish(sealed, await start(sealed))

        assert visited.visits == ["store"]
        assert await sealed.read(HELLO) == b"hello"
        (size,) = [found.size async for found in visited.walk()]
        assert size > 5


async def test_a_key_that_is_away_keeps_the_session_of_a_short_blob(
    place: Place, clock: Clock, domain_keys: MemoryKeys
) -> None:
    """The same request succeeds when it is back."""
    async with open_core(place, clock, keys=domain_keys) as sealed:
        upload_id = await start(sealed)
        domain_keys.failure = KeyUnavailable("away")
        with pytest.raises(KeyUnavailable):
            await finish(sealed, upload_id)
        assert await sealed.stored() == set()
        domain_keys.failure = None

        await finish(sealed, upload_id)

        assert await sealed.read(HELLO) == b"hello"
