"""The store: its mark, what a walk finds, and what a sweep leaves."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from storage.blobs.interface import BlobStore, Owned, Restores, SignedUrls, Span
from storage.digest import Algorithm, Digest
from storage.errors import DatabaseUnavailable, StagedBytesMissing, StoredBytesMissing, StoreUnavailable
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at, push, read, walk
from tests.contracts.s3_places import BUCKET, MemoryRecords
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner, stage_on

CONTENT = bytes(range(200))


async def test_it_can_be_owned_restored_and_signed(corner: Corner) -> None:
    """What the application asks for with isinstance."""
    store = corner.store()

    assert all(isinstance(store, ability) for ability in (Owned, Restores, SignedUrls))


async def test_a_walk_finds_nothing_outside_the_prefix(corner: Corner) -> None:
    """Nor what is no copy: the mark, the probe, and objects of others."""
    store = corner.store()
    await store.claim("me")
    await store.probe()
    copy = await push(store, CONTENT[:40])
    await stage_on(store, CONTENT[:40])
    bucket = corner.server.bucket(BUCKET)
    for key in ("blobs/other", "blobs/sha256/aa/bb/x", "uploads/other/x", "other"):
        bucket.objects[corner.prefix + key] = bucket.objects[f"{corner.prefix}blobs/.store"]
    bucket.objects[f"blobs/{copy.key}"] = bucket.objects[f"{corner.prefix}blobs/{copy.key}"]
    corner.server.requests.clear()

    assert await walk(store) == {(copy.key, None, 40), (None, UPLOAD, 40)}

    assert all(entry.query["prefix"].startswith(corner.prefix) for entry in corner.server.requests)
    del bucket.objects[f"blobs/{copy.key}"]


async def test_a_walk_goes_on_page_by_page(corner: Corner) -> None:
    """However little a page tells."""
    store = corner.store()
    keys = {(await push(store, bytes([number]))).key for number in range(5)}
    for number in range(5):
        await stage_on(store, CONTENT[:40], upload_id=f"{number:032x}")
    corner.records.rows.clear()
    corner.server.page_keys = 2

    found = [stored async for stored in store.walk()]

    assert {stored.key for stored in found} - {None} == keys
    assert {stored.upload_id for stored in found} - {None} == {f"{number:032x}" for number in range(5)}


@pytest.mark.parametrize("upload_id", ["", "../x", "A" * 32, f"{UPLOAD}/", f"{UPLOAD}\n"])
async def test_what_is_no_upload_id_is_not_looked_up(corner: Corner, upload_id: str) -> None:
    """No text from outside becomes a key."""
    with pytest.raises(StagedBytesMissing):
        async with corner.store().stage(upload_id, Algorithm.SHA256, at(0)):
            pass

    assert corner.counts() == {}
    assert corner.records.rows == {}


@pytest.mark.parametrize("key", ["", ".store", "../x", "sha256/aa/bb/aabb.x"])
async def test_what_is_no_key_is_missing(corner: Corner, key: str) -> None:
    """Without asking S3."""
    store = corner.store()

    with pytest.raises(StoredBytesMissing):
        await store.size(key)
    with pytest.raises(StoredBytesMissing):
        await read(store, key, 0, 1)
    with pytest.raises(StoredBytesMissing):
        await read(store, key, 0, 0)
    with pytest.raises(StoredBytesMissing):
        await store.signed_url(key, lifetime_seconds=1, media_type="text/plain")
    await store.delete(key)

    assert corner.counts() == {}


@pytest.mark.parametrize("is_lost", [False, True], ids=["records-kept", "records-lost"])
@pytest.mark.parametrize("fault_after", range(9))
async def test_a_sweep_leaves_nothing_of_a_process_that_died(
    corner: Corner, fault_after: int, *, is_lost: bool
) -> None:
    """At whichever request to S3 it died, and whether or not the records were lost too."""
    async with AsyncExitStack() as zombie:
        writer = await zombie.enter_async_context(corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)))
        corner.server.faults.add(Fault("*", FaultKind.ANSWER_LOST, after=fault_after, times=None, match=corner.prefix))
        try:
            await writer.write([CONTENT[:40]])
            await writer.keep()
            await writer.write([CONTENT[40:150]])
            await writer.keep()
        except StoreUnavailable:
            pass
        corner.server.faults.clear()
        corner.bury()
        if is_lost:
            corner.records.rows.clear()

        await corner.sweep()

        assert corner.leftovers() == []
        assert corner.copies() == []


@pytest.mark.parametrize("size", [0, 10, 40])
async def test_a_commit_that_lost_its_way_is_swept(corner: Corner, size: int) -> None:
    """Pieces and records that could not be removed are found later, and the copy stays."""
    await stage_on(corner.store(), CONTENT[:size])
    corner.server.denied = {"DeleteObject"}
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(size)) as writer:
        await writer.commit(Digest.of(CONTENT[:size]))
    corner.server.denied = set()

    await corner.sweep()

    assert corner.copies() == [CONTENT[:size]]
    assert corner.leftovers() == []


async def test_a_sweep_leaves_other_uploads_alone(corner: Corner) -> None:
    """Also where one's records are lost."""
    await stage_on(corner.store(), CONTENT[:40])
    await stage_on(corner.store(), CONTENT[:40], upload_id=OTHER_UPLOAD)
    del corner.records.rows[UPLOAD]

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.abort()

    async with corner.store().stage(OTHER_UPLOAD, Algorithm.SHA256, at(40)) as writer:
        await writer.commit(Digest.of(CONTENT[:40]))
    assert corner.copies() == [CONTENT[:40]]


async def test_a_missing_copy_is_missing_in_the_bucket_of_the_registry(corner: Corner) -> None:
    """Where the mark is right, nothing else can be meant."""
    store = corner.store(registry_id="me")
    await store.claim("me")
    copy = await push(store, b"hello")
    await store.delete(copy.key)

    with pytest.raises(StoredBytesMissing):
        await store.size(copy.key)
    with pytest.raises(StoredBytesMissing):
        await read(store, copy.key, 0, 5)


@pytest.mark.parametrize("trouble", ["another", None, "NoSuchBucket", "AccessDenied", "ExpiredToken", "TRUNCATE"])
async def test_nothing_counts_as_missing_elsewhere(corner: Corner, trouble: str | None) -> None:
    """Whatever is wrong with the bucket, no copy is given up."""
    store = corner.store(registry_id="me")
    if trouble == "another":
        await store.claim("another")
    elif trouble == "TRUNCATE":
        await store.claim("me")
        corner.server.faults.add(Fault("GetObject", FaultKind.TRUNCATE, times=None, match=f"{corner.prefix}blobs/.s"))
    elif trouble is not None:
        corner.server.faults.add(Fault("*", FaultKind.ERROR, times=None, code=trouble, status=400))
    key = f"sha256/00/00/{'0' * 64}.a"

    with pytest.raises(StoreUnavailable) as raised:
        await store.size(key)
    with pytest.raises(StoreUnavailable):
        await anext(store.read(key, Span(0, 1)))

    assert raised.value.is_away
    assert raised.value.words


@pytest.mark.parametrize("ignores_conditions", [False, True])
async def test_the_mark_is_what_was_claimed(corner: Corner, *, ignores_conditions: bool) -> None:
    """Also where S3 knows no conditions."""
    corner.server.ignores_conditions = ignores_conditions
    store = corner.store()

    assert await store.owner() is None
    await store.claim("me")
    assert await store.owner() == "me"
    await store.claim("other")
    assert await store.owner() == "other"


async def test_a_mark_that_another_made_meanwhile_stays(corner: Corner) -> None:
    """Of two that claim a bucket at once, one has it."""
    store, other = corner.store(), corner.store()
    hanging = corner.server.faults.add(Fault("PutObject", FaultKind.HANG, match=corner.prefix))

    claiming = asyncio.create_task(store.claim("me"))
    while not hanging.reached.is_set():  # noqa: ASYNC110  another thread sets it
        await asyncio.sleep(0.001)
    await other.claim("other")
    hanging.release()
    await claiming

    assert await store.owner() == "other"


async def test_a_server_that_refuses_conditions_is_claimed_without(corner: Corner) -> None:
    """Not every S3 knows them."""
    corner.server.faults.add(Fault("PutObject", FaultKind.ERROR, code="NotImplemented", match=corner.prefix))

    await corner.store().claim("me")

    assert await corner.store().owner() == "me"


@pytest.mark.parametrize("size", [5, 100])
async def test_a_restored_copy_has_the_key_it_had(corner: Corner, size: int) -> None:
    """Small ones and large ones; wrong bytes leave what was there."""
    store, key = corner.store(), f"sha256/00/00/{'0' * 64}.a"

    async def chunks() -> AsyncIterator[bytes]:
        for position in range(0, size, 7):
            yield CONTENT[position : min(size, position + 7)]

    copy = await store.restore(key, Digest.of(CONTENT[:size]), chunks())
    with pytest.raises(Exception, match="not sha256"):
        await store.restore(key, Digest.of(b"other"), chunks())

    assert (copy.key, copy.size) == (key, size)
    assert corner.objects() == {f"blobs/{key}": CONTENT[:size]}
    assert corner.leftovers() == []


async def test_a_probe_fails_where_the_bucket_takes_nothing(corner: Corner) -> None:
    """And leaves one small object where it does."""
    store = corner.store()
    await store.probe()
    corner.server.denied = {"PutObject"}

    with pytest.raises(StoreUnavailable):
        await store.probe()

    assert list(corner.objects()) == ["uploads/.probe"]


async def test_a_process_says_that_it_lives_while_it_writes(corner: Corner, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for nothing."""
    monkeypatch.setattr("storage.blobs.s3.store._RENEW_SECONDS", 0.01)

    class Counting(MemoryRecords):
        said = 0

        async def still_here(self) -> None:
            self.said += 1

    records = Counting()
    store: BlobStore = corner.store(records=records)
    async with corner.store(records=records).running():
        await asyncio.sleep(0.05)
        assert records.said == 0
    running = store.running()  # type: ignore[attr-defined]  # of this store
    async with running, store.stage(str(uuid.uuid4()), Algorithm.SHA256, at(0)):
        while records.said < 2:  # noqa: ASYNC110  it is said now and then
            await asyncio.sleep(0.01)


class Forgetful(MemoryRecords):
    """Records that do not answer for a while when they are told that an upload is free or over."""

    is_away = True

    async def release(self, upload_id: str, writer: str) -> None:
        if self.is_away:
            raise DatabaseUnavailable
        await super().release(upload_id, writer)

    async def remove(self, upload_id: str, writer: str) -> bool:
        if self.is_away:
            raise DatabaseUnavailable
        return await super().remove(upload_id, writer)


async def test_an_upload_that_could_not_be_let_go_is_let_go_later(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lives on and says so, for all that it holds: it would hold this one for as long."""
    monkeypatch.setattr("storage.blobs.s3.store._RENEW_SECONDS", 0.01)
    records = corner.records = Forgetful()
    store = corner.store()
    async with store.running():
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"hello"])
        with pytest.raises(DatabaseUnavailable):  # nobody can tell whether the upload was this writer's to the end
            await push(store, b"hello", OTHER_UPLOAD)
        await asyncio.sleep(0.05)
        records.is_away = False
        await asyncio.sleep(0.05)

        async with asyncio.timeout(5):
            await corner.sweep()
    assert corner.leftovers() == []
