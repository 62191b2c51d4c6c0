"""Reading spans: broken answers are continued, memory is bounded, and whoever stops leaves nothing behind."""

import asyncio
from contextlib import aclosing

import pytest

from storage.blobs.interface import Expected, Span
from storage.blobs.s3.reader import WINDOW_BYTES
from storage.blobs.s3.store import S3Store
from storage.digest import Digest
from storage.errors import StoredBytesMissing, StoreUnavailable
from tests.contracts.blob_access import push, read
from tests.contracts.s3_places import BUCKET
from tests.s3.bucket import StoredObject, entity_tag
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner

MIB = 2**20
LARGE = bytes(range(256)) * (25 * MIB // 256)


def _put(corner: Corner, content: bytes) -> str:
    """Store a copy past the store, for it is large."""
    key = f"sha256/00/00/{'0' * 64}.a"
    stored = StoredObject(content, entity_tag(b""), 0)
    corner.server.bucket(BUCKET).objects[f"{corner.prefix}blobs/{key}"] = stored
    return key


def _ranges(corner: Corner) -> list[str]:
    return [entry.headers["range"].removeprefix("bytes=") for entry in corner.server.requests.of("GetObject")]


async def test_a_large_span_is_read_in_windows(corner: Corner) -> None:
    """8 MiB each, and no byte more than was asked for."""
    store, key = corner.store(), _put(corner, LARGE)

    assert await read(store, key, 100, 20 * MIB) == LARGE[100 : 100 + 20 * MIB]

    assert sorted(_ranges(corner), key=lambda text: int(text.split("-")[0])) == [
        f"100-{8 * MIB + 99}",
        f"{8 * MIB + 100}-{16 * MIB + 99}",
        f"{16 * MIB + 100}-{20 * MIB + 99}",
    ]
    assert store._budget.held_bytes == 0


@pytest.mark.parametrize(("budget_bytes", "windows"), [(64 * MIB, 3), (12 * MIB, 2), (8 * MIB, 1), (1, 1)])
async def test_no_more_is_read_ahead_than_there_is_memory_for(corner: Corner, budget_bytes: int, windows: int) -> None:
    """A slow client holds a chunk, and windows while at most half of the memory is taken."""
    store, key = corner.store(budget_bytes=budget_bytes), _put(corner, LARGE)

    async with aclosing(store.read(key, Span(0, len(LARGE)))) as chunks:
        await anext(chunks)
        while len(_ranges(corner)) < windows:  # noqa: ASYNC110  another thread notes them
            await asyncio.sleep(0.001)
        assert store._budget.held_bytes <= budget_bytes

    assert len(_ranges(corner)) == windows
    assert store._budget.held_bytes == 0


async def test_a_reader_that_stops_early_leaves_nothing(corner: Corner) -> None:
    """Neither memory nor a thread nor a connection is held, wherever it stops."""
    store, key = corner.store(), _put(corner, LARGE)

    for count in (1, 15, 17, 20, 33):
        async with aclosing(store.read(key, Span(0, len(LARGE)))) as chunks:
            for _ in range(count):
                await anext(chunks)
        assert store._budget.held_bytes == 0
        assert corner.stores.threads._work_queue.empty()


async def test_many_slow_readers_hold_no_thread(corner: Corner) -> None:
    """There are sixteen threads; the twenty-first reader is served as well."""
    store, key = corner.store(budget_bytes=1), _put(corner, LARGE)
    slow = [store.read(key, Span(0, len(LARGE))) for _ in range(20)]
    for chunks in slow:
        await anext(chunks)

    async with asyncio.timeout(5):
        assert await read(store, key, 0, 10) == LARGE[:10]

    for chunks in slow:
        await chunks.aclose()


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATE, FaultKind.RESET, FaultKind.ERROR, FaultKind.ANSWER_LOST])
async def test_an_answer_that_breaks_off_is_continued(corner: Corner, kind: FaultKind) -> None:
    """From where it stopped, in whichever window."""
    store, key = corner.store(), _put(corner, LARGE[: 10 * MIB])
    corner.server.faults.add(Fault("GetObject", kind, at_byte=3 * MIB))

    assert await read(store, key, 0, 10 * MIB) == LARGE[: 10 * MIB]

    assert store._budget.held_bytes == 0


async def test_what_is_given_before_a_failure_is_right(corner: Corner) -> None:
    """Then the store is away, and everything is given back."""
    store, key = corner.store(), _put(corner, LARGE)
    got = []

    async def consume() -> None:
        async for chunk in store.read(key, Span(0, len(LARGE))):
            got.append(chunk)
            corner.server.faults.clear()
            corner.server.faults.add(Fault("GetObject", FaultKind.ERROR, times=None, code="AccessDenied"))

    corner.server.faults.add(Fault("GetObject", FaultKind.TRUNCATE, at_byte=MIB, times=None))
    with pytest.raises(StoreUnavailable):
        await consume()

    whole = b"".join(got)
    assert 0 < len(whole) < len(LARGE)
    assert whole == LARGE[: len(whole)]
    assert store._budget.held_bytes == 0


async def test_a_flipped_bit_is_not_seen_by_the_store(corner: Corner) -> None:
    """Content is plain: whoever reads compares it with its digest, as clients and `lading verify` do."""
    store = corner.store()
    copy = await push(store, b"hello")
    corner.server.faults.add(Fault("GetObject", FaultKind.FLIP, at_byte=1))

    assert await read(store, copy.key, 0, 5) == b"hdllo"


@pytest.mark.parametrize("size", [4, 6])
async def test_a_copy_of_another_length_is_missing(corner: Corner, size: int) -> None:
    """Also where the span lies within it."""
    store = corner.store()
    copy = await push(store, b"hello")

    with pytest.raises(StoredBytesMissing):
        await _consume(store, copy.key, size)


async def _consume(store: S3Store, key: str, size: int) -> None:
    async for _ in store.read(key, Span(0, 2), expected=Expected(size, Digest.of(b""))):
        pass


async def test_a_reader_that_is_cancelled_gives_everything_back(corner: Corner) -> None:
    """While S3 keeps it waiting."""
    store, key = corner.store(), _put(corner, LARGE)
    hanging = corner.server.faults.add(Fault("GetObject", FaultKind.HANG, after=1, times=None))

    task = asyncio.create_task(_consume_all(store, key))
    while not hanging.reached.is_set():  # noqa: ASYNC110  another thread sets it
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0)
    corner.server.faults.clear()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert store._budget.held_bytes == 0


async def _consume_all(store: S3Store, key: str) -> None:
    async with aclosing(store.read(key, Span(0, len(LARGE)))) as chunks:
        async for _ in chunks:
            await asyncio.sleep(0)


def test_a_window_is_as_large_as_a_part() -> None:
    """What the tests of this file count in."""
    assert WINDOW_BYTES == 8 * MIB
