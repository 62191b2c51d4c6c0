"""Writers that lost their upload, or that wait for each other."""

import asyncio
from copy import deepcopy

import pytest

from storage.blobs.s3.parts import PartSizes
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, StagedBytesBusy, StoreUnavailable
from tests.contracts.blob_access import UPLOAD, at, read
from tests.storage.blobs.s3.corner import Corner, stage_on

CONTENT = bytes(range(200))


async def test_a_contested_upload_is_read_again(corner: Corner) -> None:
    """Where a writer may still be at work that was taken for dead, no digest is believed."""
    await stage_on(corner.store(), CONTENT[:40])
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as zombie:
        corner.bury()
        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
            with pytest.raises(DigestMismatch):
                await writer.commit(Digest.of(b"other"), known=Digest.of(b"other"))
        await zombie.write([b"more"])
        with pytest.raises(StagedBytesBusy):
            await zombie.keep()
    await corner.sweep()

    assert corner.copies() == []
    assert corner.leftovers() == []


async def test_a_copy_that_another_writer_made_is_not_taken_for_ones_own(corner: Corner) -> None:
    """Records may come back from before it was made: whoever goes on from them does not delete it."""
    await stage_on(corner.store(), CONTENT[:32])
    records = deepcopy(corner.records.rows)
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(32)) as writer:
        copy = await writer.commit(Digest.of(CONTENT[:32]))
    corner.records.rows = records

    for named in (CONTENT[:32], b"other"):
        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(32)) as writer:
            with pytest.raises(StoreUnavailable):
                await writer.commit(Digest.of(named))
    await corner.sweep()

    assert await read(corner.store(), copy.key, 0, 32) == CONTENT[:32]


async def test_a_writer_that_lost_its_upload_drops_nothing_of_the_next_one(corner: Corner) -> None:
    """Whoever was taken for dead and gives up leaves what its successor goes on with."""
    await stage_on(corner.store(), CONTENT[:40])
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as zombie:
        corner.bury()
        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
            await zombie.abort()
            await writer.write([CONTENT[40:]])
            await writer.commit(Digest.of(CONTENT))

    assert corner.copies() == [CONTENT]
    assert corner.leftovers() == []


async def test_an_upload_is_dropped_in_the_records_first(corner: Corner) -> None:
    """A process that dies while it drops one leaves none that looks whole and is not."""
    await stage_on(corner.store(), CONTENT[:40])
    corner.server.denied = {"AbortMultipartUpload"}
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.abort()
    corner.server.denied = set()

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
        assert writer.offset == 0
    await corner.sweep()
    assert corner.leftovers() == []


async def test_uploads_whose_clients_pause_do_not_wait_for_each_other(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds less than a part, all of them nearly all memory, and none can take its next bytes."""
    monkeypatch.setattr("storage.blobs.s3.store._IDLE_SECONDS", 0.01)
    monkeypatch.setattr("storage.budget._PRESS_SECONDS", 0.02)
    store = corner.store(budget_bytes=100, sizes=PartSizes(part=1000, smallest=500))
    budget = store._budget
    begun = asyncio.Barrier(4)

    async def push_slowly(number: int) -> None:
        content = bytes([number]) * 65
        async with store.stage(f"{number:032x}", Algorithm.SHA256, at(0)) as writer:
            for position in range(24):
                await budget.take(1)
                await writer.write([content[position : position + 1]])
                budget.give(1)
            await begun.wait()
            await budget.take(41)
            await writer.write([content[24:]])
            budget.give(41)
            await writer.commit(Digest.of(content))

    async with asyncio.timeout(5):
        await asyncio.gather(*map(push_slowly, range(4)))

    assert sorted(corner.copies()) == [bytes([number]) * 65 for number in range(4)]
    assert budget.held_bytes == 0
