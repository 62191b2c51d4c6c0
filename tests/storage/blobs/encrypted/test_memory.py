"""The memory of writers: tails are counted, put away when others wait, and found again."""

import asyncio
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Final

import pytest

from storage.blobs.encrypted.sealing import Seats
from storage.blobs.encrypted.store import EncryptedStore
from storage.budget import BufferBudget
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch
from tests.contracts.blob_access import UPLOAD, at, read
from tests.contracts.encrypted_places import MemorySealedUploads, encrypted_store
from tests.storage.blobs.encrypted.watched import BITS, SEGMENT, Watched

CONTENT: Final = random.Random(6).randbytes(3 * SEGMENT + 100)
DIGEST: Final = Digest.of(CONTENT)
ROOM: Final = 4 * SEGMENT


@pytest.fixture
def budget() -> BufferBudget:
    """Memory for four tails."""
    return BufferBudget(ROOM)


@pytest.fixture
def store(
    inner: Watched, records: MemorySealedUploads, budget: BufferBudget, executor: ThreadPoolExecutor
) -> EncryptedStore:
    """A store that shares this memory."""
    return encrypted_store(inner, executor, records=records, budget=budget, segment_bits=BITS)


async def test_the_tail_is_counted(store: EncryptedStore, budget: BufferBudget) -> None:
    """As a whole segment, which its buffer grows to; what is less than a quarter of one is not."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT // 4]])
        assert budget.held_bytes == 0
        await writer.write([CONTENT[SEGMENT // 4 : SEGMENT - 1]])
        assert budget.held_bytes == SEGMENT
        await writer.write([CONTENT[SEGMENT - 1 :]])

        assert budget.held_bytes == SEGMENT
        copy = await writer.commit(DIGEST)

    assert budget.held_bytes == 0
    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("end", ["leave", "abort", "commit", "mismatch", "failure"])
async def test_nothing_is_held_after_the_end(
    store: EncryptedStore, inner: Watched, budget: BufferBudget, end: str
) -> None:
    """Whichever it is."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:-100]])
        await writer.write([CONTENT[:-200]])
        assert budget.held_bytes == SEGMENT
        if end == "abort":
            await writer.abort()
        elif end == "commit":
            await writer.commit(Digest.of(CONTENT[:-100] + CONTENT[:-200]))
        elif end == "mismatch":
            with pytest.raises(DigestMismatch):
                await writer.commit(DIGEST)
        elif end == "failure":
            inner.failures["write"] = ConnectionResetError()
            with pytest.raises(ConnectionResetError):
                await writer.write([CONTENT])
            assert budget.held_bytes == 0

    assert budget.held_bytes == 0


async def test_without_room_the_tail_is_put_away(
    store: EncryptedStore, records: MemorySealedUploads, budget: BufferBudget
) -> None:
    """Nobody waits for it; and it is found again."""
    assert budget.try_take(ROOM)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        for start in range(0, len(CONTENT), SEGMENT // 2):
            await writer.write([CONTENT[start : start + SEGMENT // 2]])
            assert budget.held_bytes == ROOM
        assert records.rows[UPLOAD].latest == 2 * SEGMENT + SEGMENT // 2
        copy = await writer.commit(DIGEST)

    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


async def test_a_slow_client_gives_its_memory_to_who_waits(store: EncryptedStore, budget: BufferBudget) -> None:
    """Its upload goes on as if nothing had been."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT // 2]])
        assert budget.held_bytes == SEGMENT
        writer.free_if_idle(asyncio.get_running_loop().time() + 1)  # type: ignore[attr-defined]  # a second went by
        await asyncio.wait_for(budget.take(ROOM), timeout=5)
        budget.give(ROOM)
        assert (writer.offset, writer.kept) == (SEGMENT // 2, SEGMENT // 2)
        await writer.write([CONTENT[SEGMENT // 2 :]])
        copy = await writer.commit(DIGEST)

    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


async def test_a_client_that_writes_is_not_idle(store: EncryptedStore, budget: BufferBudget) -> None:
    """Who asks for memory does not take it from under a write."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT // 2]])
        budget.press()
        assert budget.held_bytes == SEGMENT
        writing = asyncio.create_task(writer.write([CONTENT[SEGMENT // 2 :]]))
        while not writing.done():
            writer.free_if_idle(float("inf"))  # type: ignore[attr-defined]  # of what the encrypted store makes
            await asyncio.sleep(0)

        assert writer.digest == DIGEST


async def test_many_slow_writers_hold_no_more_than_there_is(
    executor: ThreadPoolExecutor, inner: Watched, records: MemorySealedUploads
) -> None:
    """Two hundred uploads of half a segment each, and room for twenty: what they hold is counted, and bounded."""
    budget = BufferBudget(20 * SEGMENT)
    store = encrypted_store(inner, executor, records=records, budget=budget, segment_bits=BITS)
    async with AsyncExitStack() as stack:
        writers = []
        for number in range(200):
            stage = store.stage(f"{number:032x}", Algorithm.SHA256, at(0))
            writers.append(await stack.enter_async_context(stage))
        tracemalloc.start()
        for writer in writers:
            await writer.write([CONTENT[: SEGMENT // 2]])
            assert budget.held_bytes <= 20 * SEGMENT
        recorded = sum(len(tail or b"") for tails in records.tails.values() for tail in tails)
        assert tracemalloc.get_traced_memory()[0] - recorded < 30 * SEGMENT
        tracemalloc.stop()

        assert [writer.offset for writer in writers] == [SEGMENT // 2] * 200
    assert budget.held_bytes == 0


async def test_a_writer_that_goes_on_holds_no_tail_before_it_needs_it(
    store: EncryptedStore, budget: BufferBudget, records: MemorySealedUploads
) -> None:
    """Nor the record that it was found in; whoever asks only for the offset reads no tail."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT // 2]])
        await writer.keep()
    tails, records.tails = records.tails, {}

    async with store.stage(UPLOAD, Algorithm.SHA256, at(SEGMENT)) as writer:
        assert writer.offset == SEGMENT // 2
        assert budget.held_bytes == 0
        records.tails = tails
        await writer.write([CONTENT[SEGMENT // 2 :]])
        copy = await writer.commit(DIGEST, known=DIGEST)

    assert await read(store, copy.key, 0, len(CONTENT)) == CONTENT


async def test_few_seal_at_once() -> None:
    """The others wait for a seat, and buffers are used again."""
    seats, most, seen = Seats(2), 0, set()
    at_work = 0

    async def work() -> None:
        nonlocal at_work, most
        async with seats.one() as seat:
            at_work += 1
            most = max(most, at_work)
            seen.add(id(seat.buffers(100)[0].obj))
            await asyncio.sleep(0)
            at_work -= 1

    await asyncio.gather(*(work() for _ in range(10)))

    assert (most, len(seen)) == (2, 2)
