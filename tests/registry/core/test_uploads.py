"""Upload sessions: appending, finishing, and whose they are."""

from dataclasses import replace

import pytest

from registry.core.errors import (
    BlobTooLarge,
    BlobUnknown,
    RepositoryUnknown,
    SizeInvalid,
    TooManyUploads,
    UploadBusy,
    UploadOutOfOrder,
    UploadUnknown,
)
from registry.core.incoming import Chunk
from registry.core.upload_hints import UploadHint
from registry.core.upload_sessions import Owner
from registry.core.uploads import Progress
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch
from tests.contracts.blob_access import at
from tests.registry.core.services import ALICE, ALPHA, BETA, NOTHING, Body, Broken, Core, chunk, offset, start

HELLO = Digest.of(b"hello")
BOB = Owner(ALPHA, "arn:bob")


async def finish(core: Core, upload_id: str, last: Chunk = NOTHING, digest: Digest = HELLO) -> None:
    await core.uploads.finish(ALICE, upload_id, digest, last, hint=None, create=True)


async def test_a_session_begins_empty(core: Core) -> None:
    started = await core.uploads.start(ALICE, Algorithm.SHA256, create=True)

    assert started == Progress("00000001-0000-4000-8000-000000000000", 0)
    assert await core.uploads.status(ALICE, started.upload_id) == started


async def test_a_session_makes_no_repository(core: Core) -> None:
    await start(core)

    assert await core.repositories.is_known(ALPHA) is False


async def test_a_session_needs_a_repository_that_may_be_made(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.uploads.start(ALICE, Algorithm.SHA256, create=False)

    await core.push_blob(b"other")
    await core.uploads.start(ALICE, Algorithm.SHA256, create=False)


async def test_a_blob_can_be_pushed_in_one_go(core: Core) -> None:
    await finish(core, await start(core), chunk(b"hello"))

    assert await core.read(HELLO) == b"hello"


async def test_a_blob_can_be_pushed_in_chunks(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he", 0))
    await core.uploads.append(ALICE, upload_id, chunk(b"ll", 2))

    await finish(core, upload_id, chunk(b"o", 4))

    assert await core.read(HELLO) == b"hello"


async def test_a_blob_can_be_pushed_as_a_stream(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"he", b"", b"llo"])))

    await finish(core, upload_id)

    assert await core.read(HELLO) == b"hello"


async def test_an_empty_blob_can_be_pushed(core: Core) -> None:
    await finish(core, await start(core), NOTHING, Digest.of(b""))

    assert await core.read(Digest.of(b"")) == b""


async def test_a_blob_can_be_named_by_another_algorithm(core: Core) -> None:
    digest = Digest.of(b"hello", Algorithm.SHA512)

    await finish(core, await start(core), chunk(b"hello"), digest)

    assert await core.read(digest) == b"hello"


async def test_appending_tells_how_far_it_came(core: Core) -> None:
    upload_id = await start(core)

    first = await core.uploads.append(ALICE, upload_id, chunk(b"he"))
    second = await core.uploads.append(ALICE, upload_id, chunk(b"llo"))

    assert first == Progress(upload_id, 2, UploadHint(2, Digest.of(b"he")))
    assert (second.upload_id, second.offset) == (upload_id, 5)
    assert await offset(core, upload_id) == 5


@pytest.mark.parametrize("start_at", [0, 1, 3, 100])
async def test_a_chunk_that_is_out_of_order_is_refused_with_the_offset(core: Core, start_at: int) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    with pytest.raises(UploadOutOfOrder) as caught:
        await core.uploads.append(ALICE, upload_id, chunk(b"xx", start_at))

    assert (caught.value.upload_id, caught.value.offset) == (upload_id, 2)
    assert await offset(core, upload_id) == 2


async def test_an_upload_goes_on_after_a_chunk_that_was_refused(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))
    with pytest.raises(UploadOutOfOrder):
        await core.uploads.append(ALICE, upload_id, chunk(b"xx", 0))

    await finish(core, upload_id, chunk(b"llo", 2))

    assert await core.read(HELLO) == b"hello"


@pytest.mark.parametrize("announced", [2, 4])
async def test_a_chunk_of_another_length_than_announced_does_not_count(core: Core, announced: int) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    with pytest.raises(SizeInvalid):
        await core.uploads.append(ALICE, upload_id, Chunk(Body([b"xxx"]), 2, announced))

    assert await offset(core, upload_id) == 2
    await finish(core, upload_id, chunk(b"llo", 2))
    assert await core.read(HELLO) == b"hello"


async def test_what_arrived_before_a_body_broke_off_counts(core: Core) -> None:
    upload_id = await start(core)

    with pytest.raises(Broken):
        await core.uploads.append(ALICE, upload_id, Chunk(Body([b"h", b"el"], Broken())))

    assert await offset(core, upload_id) == 3


async def test_an_upload_goes_on_where_a_body_broke_off(core: Core) -> None:
    upload_id = await start(core)
    with pytest.raises(Broken):
        await core.uploads.append(ALICE, upload_id, Chunk(Body([b"h", b"el"], Broken()), 0, 5))

    await finish(core, upload_id, chunk(b"lo", 3))

    assert await core.read(HELLO) == b"hello"


async def test_an_upload_goes_on_after_the_last_chunk_broke_off(core: Core) -> None:
    upload_id = await start(core)
    with pytest.raises(Broken):
        await finish(core, upload_id, Chunk(Body([b"hel"], Broken())))

    await finish(core, upload_id, chunk(b"lo", 3))

    assert await core.read(HELLO) == b"hello"


@pytest.mark.parametrize("owner", [BOB, replace(ALICE, repository=BETA)], ids=["principal", "repository"])
async def test_a_session_does_not_exist_for_another(core: Core, owner: Owner) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    with pytest.raises(UploadUnknown):
        await core.uploads.status(owner, upload_id)
    with pytest.raises(UploadUnknown):
        await core.uploads.append(owner, upload_id, chunk(b"llo"))
    with pytest.raises(UploadUnknown):
        await core.uploads.finish(owner, upload_id, HELLO, NOTHING, hint=None, create=True)
    with pytest.raises(UploadUnknown):
        await core.uploads.cancel(owner, upload_id)

    assert await offset(core, upload_id) == 2


@pytest.mark.parametrize("upload_id", ["", "x", "../../etc/passwd", "00000001-0000-4000-8000-000000000000"])
async def test_an_unknown_session_leaves_nothing(core: Core, upload_id: str) -> None:
    with pytest.raises(UploadUnknown):
        await core.uploads.append(ALICE, upload_id, chunk(b"x"))

    assert await core.stored() == set()


async def test_a_session_is_gone_when_it_is_finished(core: Core) -> None:
    upload_id = await start(core)
    await finish(core, upload_id, chunk(b"hello"))

    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)
    with pytest.raises(UploadUnknown):
        await finish(core, upload_id)


async def test_a_cancelled_session_leaves_nothing(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    await core.uploads.cancel(ALICE, upload_id)

    assert await core.stored() == set()
    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)
    with pytest.raises(UploadUnknown):
        await core.uploads.cancel(ALICE, upload_id)


async def test_a_wrong_digest_leaves_nothing(core: Core) -> None:
    """Nothing is stored, nothing is staged, and the session is gone."""
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, chunk(b"LLO"))

    assert await core.stored() == set()
    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)
    assert await core.repositories.is_known(ALPHA) is False


async def test_two_writers_of_a_session_cannot_both_write(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))
    refused: list[int] = []

    async def write_too() -> None:
        for attempt in (
            core.uploads.append(ALICE, upload_id, chunk(b"xx")),
            core.uploads.finish(ALICE, upload_id, HELLO, NOTHING, hint=None, create=True),
            core.uploads.cancel(ALICE, upload_id),
        ):
            with pytest.raises(UploadBusy) as caught:
                await attempt
            refused.append(caught.value.offset)

    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"llo"], meanwhile=write_too)))

    assert refused == [2, 2, 2]
    await finish(core, upload_id)
    assert await core.read(HELLO) == b"hello"


async def test_the_status_can_be_asked_while_another_request_writes(core: Core) -> None:
    upload_id = await start(core)
    seen: list[int] = []

    async def ask() -> None:
        seen.append(await offset(core, upload_id))

    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"he", b"llo"], meanwhile=ask)))

    assert seen == [0, 0]


async def test_bytes_that_were_not_promised_are_cut(core: Core) -> None:
    """A server that died in the middle of a chunk told nobody of its bytes."""
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))
    async with core.store.stage(upload_id, Algorithm.SHA256, at(2)) as writer:
        await writer.write([b"XXX"])

    await finish(core, upload_id, chunk(b"llo", 2))

    assert await core.read(HELLO) == b"hello"


async def test_promised_bytes_that_a_power_cut_took_are_asked_for_again(core: Core) -> None:
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(b"hello"))
    async with core.store.stage(upload_id, Algorithm.SHA256, at(2)):
        pass

    with pytest.raises(UploadOutOfOrder) as caught:
        await core.uploads.append(ALICE, upload_id, chunk(b"!", 5))

    assert caught.value.offset == 2
    assert await offset(core, upload_id) == 2
    await finish(core, upload_id, chunk(b"llo", 2))


async def test_a_look_up_that_is_stale_cuts_no_promised_bytes(core: Core) -> None:
    """What was promised between a look-up and the lock is kept."""
    upload_id = await start(core)
    stale = await core.uploads._sessions.find(ALICE, upload_id)
    await core.uploads.append(ALICE, upload_id, chunk(b"he"))

    async with core.uploads._sessions.held(stale) as (row, writer):
        assert (row.committed, writer.offset) == (2, 2)


async def test_a_session_that_was_finished_since_the_look_up_is_unknown(core: Core) -> None:
    upload_id = await start(core)
    stale = await core.uploads._sessions.find(ALICE, upload_id)
    await finish(core, upload_id, chunk(b"hello"))

    with pytest.raises(UploadUnknown):
        async with core.uploads._sessions.held(stale):
            pytest.fail("it was closed")

    assert await core.stored() == {(None, 5)}


async def test_a_principal_has_only_so_many_sessions(core: Core) -> None:
    for _ in range(3):
        await start(core)

    with pytest.raises(TooManyUploads):
        await start(core)

    await start(core, BOB)


async def test_a_finished_session_makes_room_for_another(core: Core) -> None:
    ids = [await start(core) for _ in range(3)]
    await finish(core, ids[0], chunk(b"hello"))
    await core.uploads.cancel(ALICE, ids[1])

    await start(core)
    await start(core)


@pytest.mark.parametrize(
    "last", [Chunk(Body([b"x"] * 1001)), Chunk(Body([b"x" * 1001])), Chunk(Body([], announced=1001))]
)
async def test_a_blob_past_the_bound_leaves_nothing(core: Core, last: Chunk) -> None:
    upload_id = await start(core)

    with pytest.raises(BlobTooLarge):
        await core.uploads.append(ALICE, upload_id, last)

    assert await core.stored() == set()
    with pytest.raises(UploadUnknown):
        await core.uploads.status(ALICE, upload_id)


async def test_a_blob_may_be_as_long_as_the_bound(core: Core) -> None:
    content = b"x" * 1000
    upload_id = await start(core)
    await core.uploads.append(ALICE, upload_id, chunk(content[:999]))

    await finish(core, upload_id, chunk(content[999:]), Digest.of(content))

    assert len(await core.read(Digest.of(content))) == 1000


async def test_a_push_that_may_not_make_its_repository_is_refused(core: Core) -> None:
    upload_id = await start(core)

    with pytest.raises(RepositoryUnknown):
        await core.uploads.finish(ALICE, upload_id, HELLO, chunk(b"hello"), hint=None, create=False)

    with pytest.raises(RepositoryUnknown):
        await core.blobs.find(ALPHA, HELLO)


async def test_nothing_is_readable_before_an_upload_is_finished(core: Core) -> None:
    await core.push_blob(b"other")
    upload_id = await start(core)

    await core.uploads.append(ALICE, upload_id, chunk(b"hello"))

    with pytest.raises(BlobUnknown):
        await core.blobs.find(ALPHA, HELLO)
