"""Requests are cancelled anywhere: the upload can be continued, and no memory stays counted."""

import asyncio
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any

import pytest

from storage.blobs.interface import BlobWriter
from storage.blobs.s3.store import S3Store
from storage.digest import Algorithm, Digest
from storage.staging_records import Taken
from tests.contracts.blob_access import UPLOAD, at, push
from tests.contracts.s3_places import MemoryRecords
from tests.storage.blobs.s3.corner import Corner, stage_on

CONTENT = bytes(range(200))


class Cancelled:
    """Runs a coroutine, and cancels it where it waits for the n-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], number: int) -> None:
        self.coroutine = coroutine
        self.left = number

    def __await__(self) -> Generator[Any, Any, bool]:
        """Whether it waited that often."""
        try:
            waits_for = self.coroutine.send(None)
            while True:
                self.left -= 1
                if self.left == 0:
                    waits_for = self.coroutine.throw(asyncio.CancelledError())
                    continue
                try:
                    yield waits_for
                except BaseException as error:  # noqa: BLE001  whatever it is, it is the coroutine's
                    waits_for = self.coroutine.throw(error)
                else:
                    waits_for = self.coroutine.send(None)
        except StopIteration:
            return self.left <= 0
        except asyncio.CancelledError:
            return True


@dataclass
class SlowRecords(MemoryRecords):
    """Records whose every call gives others a turn, before and after it is done."""

    async def take(self, upload_id: str, writer: str) -> Taken:
        await asyncio.sleep(0)
        taken = await super().take(upload_id, writer)
        await asyncio.sleep(0)
        return taken

    async def save(self, upload_id: str, writer: str, state: str, size: int) -> None:
        await asyncio.sleep(0)
        await super().save(upload_id, writer, state, size)
        await asyncio.sleep(0)

    async def release(self, upload_id: str, writer: str) -> None:
        await asyncio.sleep(0)
        await super().release(upload_id, writer)

    async def remove(self, upload_id: str, writer: str) -> bool:
        await asyncio.sleep(0)
        return await super().remove(upload_id, writer)


async def _write(writer: BlobWriter) -> None:
    for position in range(50, 200, 30):
        await writer.write([CONTENT[position : position + 30]])


async def _keep(writer: BlobWriter) -> None:
    await writer.write([CONTENT[50:60]])
    await writer.keep()
    await writer.write([CONTENT[60:105]])
    await writer.keep()


async def _commit(writer: BlobWriter) -> None:
    await writer.write([CONTENT[50:105]])
    await writer.commit(Digest.of(CONTENT[:105]))


async def _abort(writer: BlobWriter) -> None:
    await writer.write([CONTENT[50:105]])
    await writer.abort()


async def _request(store: S3Store, use: Any) -> None:
    async with store.stage(UPLOAD, Algorithm.SHA256, at(50)) as writer:
        await use(writer)


@pytest.mark.parametrize(
    ("use", "budget_bytes", "offset"),
    [(_write, 24, 200), (_write, 10_000, 200), (_keep, 24, 200), (_commit, 10_000, 0), (_abort, 10_000, 200)],
)
async def test_a_request_that_is_cancelled_anywhere_leaves_an_upload_that_goes_on(
    corner: Corner, use: Any, budget_bytes: int, offset: int
) -> None:
    """Whatever waits when it is cancelled, what is left is a beginning of the bytes, and free for the next writer.

    A commit may be done although it was cancelled: whoever tries again sends everything again.
    """
    number, is_cancelled = 0, True
    while is_cancelled:
        number += 1 if number < 4 else 4
        corner.records = SlowRecords()
        await stage_on(corner.store(), CONTENT[:50])
        store = corner.store(budget_bytes=budget_bytes)

        is_cancelled = await Cancelled(_request(store, use), number)

        assert store._budget.held_bytes == 0
        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(offset)) as writer:
            await writer.write([CONTENT[writer.offset :]])
            await writer.commit(Digest.of(CONTENT))
        await corner.sweep()
        assert corner.leftovers() == []
    assert number > 8


async def test_a_writer_may_go_on_after_it_was_cancelled(corner: Corner) -> None:
    """Its offset, and the digest that it knows, are those of what is left."""
    number, is_cancelled = 0, True
    while is_cancelled:
        number += 2
        corner.records = SlowRecords()
        store = corner.store(budget_bytes=24)
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            is_cancelled = await Cancelled(writer.write([CONTENT[:20], CONTENT[20:90]]), number)

            offset = writer.offset
            assert writer.digest in {None, Digest.of(CONTENT[:offset])}
            await writer.write([CONTENT[offset:]])
            await writer.commit(Digest.of(CONTENT))
        assert store._budget.held_bytes == 0
    assert set(corner.copies()) == {CONTENT}


async def test_an_upload_whose_request_was_cancelled_at_its_end_is_free(corner: Corner) -> None:
    """A client that leaves while its request ends does not hold the upload for as long as the server runs."""
    corner.records = SlowRecords()
    store = corner.store()
    is_ending = asyncio.Event()

    async def request() -> None:
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([CONTENT])
            is_ending.set()

    task = asyncio.create_task(request())
    await is_ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await push(corner.store(), CONTENT)
    assert corner.copies() == [CONTENT]


async def test_an_upload_that_was_taken_for_a_cancelled_request_is_free(corner: Corner) -> None:
    """A database goes on with what it was told, whoever waits for it."""

    class GoesOn(SlowRecords):
        async def take(self, upload_id: str, writer: str) -> Taken:
            return await asyncio.shield(asyncio.ensure_future(self._take(upload_id, writer)))

        async def _take(self, upload_id: str, writer: str) -> Taken:
            for _ in range(9):
                await asyncio.sleep(0)
            return await super().take(upload_id, writer)

    corner.records = GoesOn()

    assert await Cancelled(_request(corner.store(), _abort), 1)

    for _ in range(12):
        await asyncio.sleep(0)
    await push(corner.store(), CONTENT)
    assert corner.copies() == [CONTENT]
