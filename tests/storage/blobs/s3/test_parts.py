"""Parts: how many requests a blob costs, where parts become one, and what ends an upload."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from storage.blobs.s3.bucket import PartCopies
from storage.blobs.s3.parts import PartSizes
from storage.blobs.s3.staged import Staged
from storage.digest import Algorithm, Digest
from storage.errors import NoSpace, StoreUnavailable
from tests.contracts.blob_access import UPLOAD, at, push, read
from tests.contracts.s3_places import BUCKET
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner, stage_on

CONTENT = bytes(range(256))


async def test_a_small_blob_is_one_request(corner: Corner) -> None:
    """What fits into a part is stored as an object, and nothing else is asked."""
    copy = await push(corner.store(), b"hello")

    assert corner.counts() == {"PutObject": 1}
    assert corner.objects() == {f"blobs/{copy.key}": b"hello"}


async def test_a_small_blob_in_two_requests_is_copied_by_s3(corner: Corner) -> None:
    """What a first request left as a piece becomes the copy without being sent again."""
    await stage_on(corner.store(), b"hello")

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        await writer.commit(Digest.of(b"hello"), known=Digest.of(b"hello"))

    assert corner.counts() == {"PutObject": 1, "CopyObject": 1, "DeleteObject": 1}


async def test_a_large_blob_is_completed_in_place(corner: Corner) -> None:
    """Its bytes are sent once, and copied never."""
    copy = await push(corner.store(), CONTENT[:60])

    assert corner.counts() == {
        "CreateMultipartUpload": 1,
        "UploadPart": 4,
        "CompleteMultipartUpload": 1,
        "HeadObject": 1,
    }
    assert [entry.body_length for entry in corner.server.requests.of("UploadPart")] == [16, 16, 16, 12]
    assert await read(corner.store(), copy.key, 0, 60) == CONTENT[:60]


async def test_the_tail_of_a_large_blob_is_copied_by_s3(corner: Corner) -> None:
    """The piece that a first request left becomes the last part."""
    await stage_on(corner.store(), CONTENT[:40])

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
        copy = await writer.commit(Digest.of(CONTENT[:40]), known=Digest.of(CONTENT[:40]))

    assert corner.counts() == {
        "CreateMultipartUpload": 1,
        "UploadPart": 2,
        "PutObject": 1,
        "UploadPartCopy": 1,
        "CompleteMultipartUpload": 1,
        "HeadObject": 1,
        "DeleteObject": 1,
    }
    assert corner.copies() == [CONTENT[:40]]
    assert corner.leftovers() == []
    assert copy.size == 40


async def test_the_tail_survives_between_processes(corner: Corner) -> None:
    """Bytes short of a part are there for whoever goes on, and go into the next part."""
    for start in range(0, 100, 10):
        await stage_on(corner.store(), CONTENT[start : start + 10], start=start)
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(100)) as writer:
        await writer.commit(Digest.of(CONTENT[:100]))

    assert corner.copies() == [CONTENT[:100]]
    assert corner.leftovers() == []


async def test_parts_become_one_after_the_direct_ones(corner: Corner) -> None:
    """Four parts of 16 bytes, then groups of two such parts."""
    await push(corner.store(), CONTENT[:150])

    (completed,) = [entry for entry in corner.server.requests.of("CompleteMultipartUpload") if "blobs/" in entry.key]
    sizes = [entry.body_length for entry in corner.server.requests.of("UploadPart") if "blobs/" in entry.key]
    assert sizes == [16, 16, 16, 16]
    assert corner.counts()["UploadPartCopy"] == 3  # of 32, 32 and 22 bytes
    assert completed.key.endswith(corner.server.requests.of("HeadObject")[-1].key)
    assert corner.copies() == [CONTENT[:150]]
    assert corner.leftovers() == []


async def test_a_blob_has_at_most_ten_thousand_parts(corner: Corner) -> None:
    """One more is refused, with words that say what to do."""
    store = corner.store(sizes=PartSizes(part=1, smallest=1, equal=True))
    await stage_on(store, b"ab")
    staged = Staged.parse(corner.records.rows[UPLOAD].state)
    assert staged.multipart is not None
    part = staged.multipart.parts[0]
    staged.multipart.parts = [replace(part, number=number) for number in range(1, 10_001)]
    corner.records.rows[UPLOAD].state = staged.text()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(10_000)) as writer:
        assert writer.offset == 10_000
        with pytest.raises(NoSpace, match="push it in smaller layers, or raise"):
            await writer.write([b"c"])


@pytest.mark.parametrize("budget_bytes", [10_000, 24, 1])
async def test_equal_parts_are_what_a_strict_server_wants(corner: Corner, budget_bytes: int) -> None:
    """Where all parts must have one size they have, also while memory is short."""
    corner.server.equal_parts = True
    store = corner.store(sizes=PartSizes(part=16, smallest=8, equal=True), budget_bytes=budget_bytes)

    for start, end in itertools.pairwise([0, 5, 30, 31, 90]):
        async with store.stage(UPLOAD, Algorithm.SHA256, at(start)) as writer:
            for position in range(start, end, 7):
                await writer.write([CONTENT[position : min(end, position + 7)]])
            await writer.keep()
    async with store.stage(UPLOAD, Algorithm.SHA256, at(90)) as writer:
        await writer.commit(Digest.of(CONTENT[:90]))

    assert corner.copies() == [CONTENT[:90]]
    assert corner.leftovers() == []
    assert store._budget.held_bytes == 0


async def test_an_upload_goes_on_where_parts_have_become_smaller(corner: Corner) -> None:
    """Settings change between a client's requests."""
    await stage_on(corner.store(sizes=PartSizes(part=64, smallest=8)), CONTENT[:60])

    store = corner.store(sizes=PartSizes(part=16, smallest=8))
    await stage_on(store, CONTENT[60:63], start=60)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(63)) as writer:
        await writer.commit(Digest.of(CONTENT[:63]))

    assert corner.copies() == [CONTENT[:63]]


async def test_an_upload_goes_back_to_where_its_last_writer_began(corner: Corner) -> None:
    """Also where parts have become one meanwhile."""
    await stage_on(corner.store(), CONTENT[:90])
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(90)) as writer:
        await writer.write([CONTENT[90:190]])

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(90)) as writer:
        assert writer.offset == 90


async def test_a_lost_answer_of_a_completed_group_is_made_good(corner: Corner) -> None:
    """A commit that failed after a group was made one finds it so."""
    corner.server.faults.add(Fault("UploadPartCopy", FaultKind.ERROR, times=2))
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:80]])
        with pytest.raises(StoreUnavailable):
            await writer.commit(Digest.of(CONTENT[:80]))

        copy = await writer.commit(Digest.of(CONTENT[:80]))

    assert corner.server.bucket(BUCKET).objects[f"{corner.prefix}blobs/{copy.key}"].content == CONTENT[:80]


@pytest.mark.parametrize("died_after", range(1, 12))
async def test_an_upload_goes_on_whenever_its_process_died(corner: Corner, died_after: int) -> None:
    """Also between the end of a group and the next word of it in the records."""
    store = corner.store()
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        for position in range(0, 16 * died_after, 16):
            await writer.write([CONTENT[position : position + 16]])
        kept = writer.kept
        corner.bury()

        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(kept)) as other:
            assert other.offset >= kept // 32 * 32
            await other.write([CONTENT[other.offset :]])
            await other.commit(Digest.of(CONTENT))

    await corner.sweep()
    assert corner.copies() == [CONTENT]
    assert corner.leftovers() == []


async def test_what_another_worker_began_is_finished_where_nothing_can_be_copied_into_it(corner: Corner) -> None:
    """Each process finds out by itself what the server can, also one that began no upload."""
    corner.server.faults.add(Fault("UploadPartCopy", FaultKind.ERROR, times=None, code="NotImplemented", status=501))
    bucket = corner.bucket()
    bucket._copies = PartCopies.NONE
    await stage_on(corner.store(bucket=bucket), CONTENT[:20])
    bucket = corner.bucket()
    bucket._copies = None

    async with corner.store(bucket=bucket).stage(UPLOAD, Algorithm.SHA256, at(20)) as writer:
        await writer.commit(Digest.of(CONTENT[:20]))

    assert corner.copies() == [CONTENT[:20]]


async def test_uploads_that_find_out_together_wait_for_a_silent_server_once(corner: Corner) -> None:
    """Not each for the attempts of those before it."""
    bucket = corner.bucket()
    bucket._copies = None
    corner.server.faults.add(Fault("*", FaultKind.RESET, times=None, match=corner.prefix))

    results = await asyncio.gather(*(bucket.begin(f"key-{number}") for number in range(5)), return_exceptions=True)

    assert {type(result) for result in results} == {StoreUnavailable}
    assert corner.server.requests.count("PutObject") == 2
