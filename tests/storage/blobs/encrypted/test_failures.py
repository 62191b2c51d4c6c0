"""What fails on the way: the writer tells the truth afterwards, and the upload can be gone on with."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import pytest

from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.interface import BlobStore, BlobWriter, Expected
from storage.digest import Algorithm, Digest
from storage.errors import (
    DatabaseUnavailable,
    DomainUnusable,
    KeyUnavailable,
    NoSpace,
    StagedBytesBusy,
    StorageError,
    StoredBytesMissing,
    StoreUnavailable,
)
from storage.sealed_uploads import Change
from tests.contracts.blob_access import UPLOAD, at, read, walk
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, MemorySealedUploads
from tests.storage.blobs.encrypted.conftest import MakeEncrypted
from tests.storage.blobs.encrypted.watched import LAYOUT, SEGMENT, Watched

CONTENT: Final = random.Random(7).randbytes(4 * SEGMENT + 999)
DIGEST: Final = Digest.of(CONTENT)


@dataclass
class FailingRecords(MemorySealedUploads):
    """Records that fail on demand, by the name of the method."""

    failures: dict[str, Exception] = field(default_factory=dict)

    async def save(self, upload_id: str, change: Change) -> None:
        if "save" in self.failures:
            raise self.failures["save"]
        await super().save(upload_id, change)
        if "saved" in self.failures:
            raise self.failures["saved"]

    async def tail(self, upload_id: str, mark: str) -> bytes | None:
        if "tail" in self.failures:
            raise self.failures["tail"]
        return await super().tail(upload_id, mark)

    async def remove(self, upload_id: str, mark: str) -> None:
        if "remove" in self.failures:
            raise self.failures["remove"]
        await super().remove(upload_id, mark)


@pytest.fixture
def records() -> FailingRecords:
    """Records that work until they are told not to."""
    return FailingRecords()


async def finish(store: BlobStore, promised: int, content: bytes = CONTENT) -> int:
    """Go on with an upload and commit it, as a client does; returns the offset that it was told."""
    digest = Digest.of(content)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(promised)) as writer:
        offset = writer.offset
        await writer.write([content[offset:]])
        copy = await writer.commit(digest)
    assert await read(store, copy.key, 0, len(content)) == content
    assert await store.size(copy.key, expected=Expected(len(content), digest, DOMAIN)) == len(content)
    assert await walk(store, LAYOUT) == {(copy.key, None, len(content))}
    return offset


async def _write(writer: BlobWriter) -> None:
    await writer.write([CONTENT[writer.offset : writer.offset + 2 * SEGMENT + 5]])


async def _commit(writer: BlobWriter) -> None:
    await writer.write([CONTENT[writer.offset :]])
    await writer.commit(DIGEST)


async def _keep(writer: BlobWriter) -> None:
    await writer.keep()


ACTS: Final = {"write": _write, "keep": _keep, "commit": _commit, "save": _write, "saved": _keep, "tail": _write}


@pytest.mark.parametrize("begun", [0, 10, SEGMENT + 10])
@pytest.mark.parametrize("failure", [NoSpace(), StagedBytesBusy(UPLOAD)], ids=["full", "busy"])
@pytest.mark.parametrize("where", ACTS)
async def test_after_a_failure_the_writer_tells_the_truth(
    make_encrypted: MakeEncrypted, inner: Watched, records: FailingRecords, where: str, failure: Exception, begun: int
) -> None:
    """What it says is kept is there for the next writer, and nothing that was lost counts."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:begun]])
        await writer.keep()
    with suppress(type(failure)):
        async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(begun)) as writer:
            await writer.write([CONTENT[begun : begun + 3]])
            (records if where in {"save", "saved", "tail"} else inner).failures[where] = failure
            try:
                await ACTS[where](writer)
            finally:
                inner.failures.clear()
                records.failures.clear()
                kept, offset, digest = writer.kept, writer.offset, writer.digest
                assert begun <= kept <= offset <= len(CONTENT)
                assert digest in {None, Digest.of(CONTENT[:offset])}
                assert not writer.mark or (offset == kept and where != "saved")

    assert await finish(make_encrypted(), kept) >= kept


@pytest.mark.parametrize("begun", [0, SEGMENT + 10])
@pytest.mark.parametrize("where", ["write", "keep", "save"])
async def test_after_a_failure_the_writer_can_be_used(
    encrypted: EncryptedStore, inner: Watched, records: FailingRecords, where: str, begun: int
) -> None:
    """What is written after it is kept as anything is."""
    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: begun + 3]])
        (records if where == "save" else inner).failures[where] = DatabaseUnavailable()
        with pytest.raises(DatabaseUnavailable):
            await (_write if where == "write" else _keep)(writer)
        inner.failures.clear()
        records.failures.clear()
        await _write(writer)
        kept = writer.kept

    assert await finish(encrypted, kept) >= kept


async def test_segments_that_are_sealed_after_a_failure_are_gone_on_with(
    make_encrypted: MakeEncrypted, inner: Watched
) -> None:
    """They have another header than those that the store did not take; the record tells of theirs."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        inner.failures["write"] = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            await writer.write([CONTENT])
        inner.failures.clear()
        await writer.write([CONTENT[: 2 * SEGMENT]])
        await writer.keep()

    assert await finish(make_encrypted(), 2 * SEGMENT) == 2 * SEGMENT


async def test_a_commit_that_failed_can_be_tried_again(make_encrypted: MakeEncrypted, inner: Watched) -> None:
    """And what was sealed for it, a last segment and a trailer, is in no copy that has others in their place."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT])
        await writer.keep()
    inner.failures["commit"] = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(len(CONTENT))) as writer:
            await writer.commit(DIGEST, known=DIGEST)
    inner.failures.clear()

    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(len(CONTENT))) as writer:
        assert writer.offset == len(CONTENT)
        copy = await writer.commit(DIGEST, known=DIGEST)

    assert await inner.is_sealed_once(copy.key)


@pytest.mark.parametrize("error", [KeyUnavailable("away"), DomainUnusable(DOMAIN, "were destroyed")])
@pytest.mark.parametrize("size", [10, SEGMENT + 10])
async def test_an_upload_whose_key_is_gone_can_be_dropped(
    encrypted: EncryptedStore, keys: MemoryKeys, monkeypatch: pytest.MonkeyPatch, error: Exception, size: int
) -> None:
    """Whoever sweeps what was abandoned need not wait for it."""

    async def gone(*_: object) -> None:
        raise error

    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:size]])
        await writer.keep()
    monkeypatch.setattr(keys, "of", gone)
    monkeypatch.setattr(keys, "current", gone)

    async with encrypted.within("").stage(UPLOAD, Algorithm.SHA256, at(size - 3)) as writer:
        with pytest.raises(type(error)):
            await writer.write([CONTENT])
        await writer.abort()

    assert await walk(encrypted, LAYOUT) == set()


async def test_what_the_inner_store_lost_while_a_tail_was_put_away_is_told(
    encrypted: EncryptedStore, inner: Watched
) -> None:
    """Segments that follow a gap would belong nowhere: the next word fails, and says how far the upload is."""
    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT + SEGMENT // 2]])
        inner.failures["keep"] = StoreUnavailable("away")
        inner.lose(UPLOAD, SEGMENT)
        writer.free_if_idle(float("inf"))  # type: ignore[attr-defined]  # of what the encrypted store makes
        with pytest.raises(StoreUnavailable):
            await writer.write([CONTENT[SEGMENT + SEGMENT // 2 :]])
        inner.failures.clear()

        assert writer.offset == 0

    assert await finish(encrypted, 0) == 0


async def test_a_tail_that_cannot_be_put_away_stays(encrypted: EncryptedStore, records: FailingRecords) -> None:
    """A client that is slow is not refused because the database was away while nobody waited for it."""
    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[: SEGMENT + SEGMENT // 2]])
        records.failures["save"] = DatabaseUnavailable()
        writer.free_if_idle(float("inf"))  # type: ignore[attr-defined]  # of what the encrypted store makes
        await asyncio.sleep(0.01)
        records.failures.clear()
        await writer.write([CONTENT[SEGMENT + SEGMENT // 2 :]])
        copy = await writer.commit(DIGEST)

    assert await read(encrypted, copy.key, 0, len(CONTENT)) == CONTENT


@dataclass
class Cancelling:
    """Cancels a task at the n-th time that anything of the inner store, the records or the keys is awaited."""

    left: int
    task: "asyncio.Task[None] | None" = None

    async def step(self) -> None:
        self.left -= 1
        if self.left == 0 and self.task is not None:
            self.task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def interrupted(call: Callable[..., Awaitable[object]], steps: Cancelling) -> Callable[..., Awaitable[object]]:
    """A method at both ends of which a task may be cancelled."""

    async def stepped(*arguments: object, **named: object) -> object:
        await steps.step()
        try:
            return await call(*arguments, **named)
        finally:
            await steps.step()

    return stepped


@pytest.mark.parametrize("number", range(1, 40))
async def test_a_request_may_be_cancelled_at_any_point(
    make_encrypted: MakeEncrypted, inner: Watched, records: FailingRecords, keys: MemoryKeys, number: int
) -> None:
    """What was kept is there, the upload is free for the next writer, and the memory of the tail is given back."""
    store, steps, kept = make_encrypted(), Cancelling(number), [0]
    for thing, names in ((records, ("find", "tail", "save", "have")), (keys, ("of", "current"))):
        for name in names:
            setattr(thing, name, interrupted(getattr(thing, name), steps))
    inner.step = steps.step

    async def request() -> None:
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            try:
                await writer.write([CONTENT[: SEGMENT + SEGMENT // 2]])
                writer.free_if_idle(float("inf"))  # type: ignore[attr-defined]  # of what the encrypted store makes
                await writer.write([CONTENT[SEGMENT + SEGMENT // 2 : 2 * SEGMENT + 7]])
                await writer.keep()
            finally:
                kept[0] = writer.kept
        async with store.stage(UPLOAD, Algorithm.SHA256, at(kept[0])) as writer:
            await writer.write([CONTENT[writer.offset :]])
            with suppress(StorageError):
                await writer.keep()
            kept[0] = writer.kept

    steps.task = asyncio.create_task(request())
    with suppress(asyncio.CancelledError):
        await steps.task
    steps.task = None

    assert store._tools.budget.held_bytes == 0
    assert await finish(make_encrypted(), kept[0]) >= kept[0]


async def test_reading_what_is_not_there_is_told(encrypted: EncryptedStore) -> None:
    """It is what is read that is missing, whatever span is asked for."""
    with pytest.raises(StoredBytesMissing):
        await read(encrypted, f"sha256/00/00/{'0' * 64}.{'f' * 32}", 0, 0)
