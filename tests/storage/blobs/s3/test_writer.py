"""The writer of an upload: failures cost what is in memory, and memory is given back."""

import asyncio
from itertools import pairwise

import pytest

from storage.blobs.interface import BlobWriter
from storage.blobs.s3.bucket import Part
from storage.blobs.s3.content import Content
from storage.blobs.s3.writer import S3Writer
from storage.digest import Algorithm, Digest
from storage.errors import DatabaseUnavailable, StoreUnavailable
from tests.contracts.blob_access import UPLOAD, at, push, read
from tests.contracts.s3_places import BUCKET, MemoryRecords
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner, stage_on

CONTENT = bytes(range(200))
WRITES = ["PutObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CopyObject", "CompleteMultipartUpload"]
KINDS = [FaultKind.ERROR, FaultKind.RESET_IN_BODY, FaultKind.ANSWER_LOST]


def _break(corner: Corner, operation: str, kind: FaultKind, times: int | None) -> None:
    corner.server.faults.add(Fault(operation, kind, times=times, match=corner.prefix))


@pytest.mark.parametrize("size", [10, 90])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_at_every_step_is_got_over(corner: Corner, size: int, kind: FaultKind) -> None:
    """What fails once is tried again: the copy has the right bytes, and nothing else is left."""
    for operation in WRITES:
        _break(corner, operation, kind, 1)

    await stage_on(corner.store(), CONTENT[: size - 3])
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(size - 3)) as writer:
        await writer.write([CONTENT[size - 3 : size]])
        copy = await writer.commit(Digest.of(CONTENT[:size]))
    await corner.sweep()

    assert await read(corner.store(), copy.key, 0, size) == CONTENT[:size]
    assert corner.copies() == [CONTENT[:size]]
    assert corner.leftovers() == []


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "PutObject"])
async def test_what_goes_on_failing_costs_nothing_that_was_kept(
    corner: Corner, operation: str, kind: FaultKind
) -> None:
    """The client hears that the store is away, nothing becomes visible, and the upload goes on afterwards."""
    await stage_on(corner.store(), CONTENT[:10])
    store = corner.store()
    _break(corner, operation, kind, None)

    async with store.stage(UPLOAD, Algorithm.SHA256, at(10)) as writer:
        with pytest.raises(StoreUnavailable):
            await _write_and_keep(writer, 46 if operation == "PutObject" else 48)
        assert writer.offset in {10, 32}
        assert writer.digest is None
        corner.server.faults.clear()
        offset = writer.offset
        await writer.write([CONTENT[offset:150]])
        await writer.commit(Digest.of(CONTENT[:150]))
    await corner.sweep()

    assert store._budget.held_bytes == 0
    assert corner.copies() == [CONTENT[:150]]
    assert corner.leftovers() == []


async def _write_and_keep(writer: BlobWriter, end: int) -> None:
    await writer.write([CONTENT[10:end]])
    await writer.keep()


@pytest.mark.parametrize("end", [20, 64, 90])
@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.ANSWER_LOST])
async def test_a_commit_that_fails_shows_nothing_and_can_be_tried_again(
    corner: Corner, end: int, kind: FaultKind
) -> None:
    """By the same writer, with the same bytes."""
    await stage_on(corner.store(), CONTENT[:end])
    for operation in ("CompleteMultipartUpload", "CopyObject", "HeadObject"):
        _break(corner, operation, kind, None)

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(end)) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.commit(Digest.of(CONTENT[:end]))
        corner.server.faults.clear()
        copy = await writer.commit(Digest.of(CONTENT[:end]))

    assert await read(corner.store(), copy.key, 0, end) == CONTENT[:end]


async def test_a_digest_is_told_of_no_byte_that_was_lost(corner: Corner) -> None:
    """A part that was refused is neither staged nor hashed."""
    corner.server.denied = {"UploadPart"}

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.write([CONTENT[start:end] for start, end in pairwise(range(0, 112, 16))])
        assert (writer.offset, writer.digest) == (0, None)
        corner.server.denied = set()
        await writer.write([b"hello"])
        await writer.commit(Digest.of(b"hello"))

    assert corner.copies() == [b"hello"]


class Away(MemoryRecords):
    """Records that cannot be written while they are away."""

    is_away = False

    async def save(self, upload_id: str, writer: str, state: str, size: int) -> None:
        if self.is_away:
            raise DatabaseUnavailable
        await super().save(upload_id, writer, state, size)


async def test_nothing_is_deleted_that_the_records_name(corner: Corner) -> None:
    """Whoever cannot write down that an upload was cut leaves it as it was."""
    records = corner.records = Away()
    await stage_on(corner.store(), CONTENT[:40])
    records.is_away = True

    for offset in (0, 20, 32):
        with pytest.raises(DatabaseUnavailable):
            async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(offset)):
                pass
    records.is_away = False

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
        assert writer.offset == 40
        await writer.commit(Digest.of(CONTENT[:40]))
    assert corner.copies() == [CONTENT[:40]]


async def test_pieces_that_became_a_part_are_there_until_the_records_know(corner: Corner) -> None:
    """A process that dies before it could say so leaves what the records name."""
    records = corner.records = Away()
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await _write_and_keep(writer, 52)
        records.is_away = True
        with pytest.raises(DatabaseUnavailable):
            await writer.write([CONTENT[52:60]])
        corner.bury()
        records.is_away = False

        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(42)) as other:
            assert other.offset == 42
            await other.commit(Digest.of(CONTENT[10:52]))

    assert corner.copies() == [CONTENT[10:52]]


async def test_a_group_that_was_made_one_unknown_to_the_records_is_sent_again(corner: Corner) -> None:
    """It takes no more parts: the upload goes on before it."""
    records = corner.records = Away()
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:96]])
        await writer.keep()
        records.is_away = True
        with pytest.raises(DatabaseUnavailable):
            await _write_and_keep(writer, 42)
        assert corner.server.requests.count("UploadPartCopy") == 1
        corner.bury()
        records.is_away = False

        async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(90)) as other:
            assert other.offset == 64
            await other.write([CONTENT[64:]])
            await other.commit(Digest.of(CONTENT))
    await corner.sweep()

    assert corner.copies() == [CONTENT]
    assert corner.leftovers() == []


async def test_records_that_are_away_cost_nothing_that_was_kept(corner: Corner) -> None:
    """The bytes are in the bucket; nobody was told of them."""
    records = corner.records = Away()
    await stage_on(corner.store(), CONTENT[:50])
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(50)) as writer:
        records.is_away = True
        for end in (60, 150):
            with pytest.raises(DatabaseUnavailable):
                await _write_and_keep(writer, end)
        assert writer.kept == 50
        records.is_away = False

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(50)) as writer:
        assert writer.offset == 50
        await writer.write([CONTENT[50:]])
        await writer.commit(Digest.of(CONTENT))
    await corner.sweep()
    assert corner.copies() == [CONTENT]
    assert corner.leftovers() == []


@pytest.mark.parametrize("removed", ["multipart", "piece"])
async def test_what_somebody_removed_from_the_bucket_is_told(corner: Corner, removed: str) -> None:
    """A lifecycle rule that aborts uploads costs the upload; from the beginning it goes on."""
    await stage_on(corner.store(), CONTENT[:40])
    bucket = corner.server.bucket(BUCKET)
    for multipart_id in [one.id for one in bucket.uploads.values() if one.key.startswith(corner.prefix)]:
        if removed == "multipart":
            del bucket.uploads[multipart_id]
    if removed == "piece":
        (key,) = corner.objects()
        del bucket.objects[corner.prefix + key]

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(40)) as writer:
        with pytest.raises(StoreUnavailable) as raised:
            await writer.commit(Digest.of(CONTENT[:40]))
    assert "does a lifecycle rule abort uploads or delete objects?" in raised.value.words
    assert not raised.value.is_away

    await push(corner.store(), CONTENT)
    assert corner.copies() == [CONTENT]
    assert corner.leftovers() == []


@pytest.mark.parametrize("budget_bytes", [1, 24, 40])
async def test_writers_go_on_without_memory(corner: Corner, budget_bytes: int) -> None:
    """Each sends what it has, waits for no other, and gives back what it took."""
    store = corner.store(budget_bytes=budget_bytes)

    async def push_slowly(number: int) -> None:
        content = CONTENT[number:150]
        async with store.stage(f"{number:032x}", Algorithm.SHA256, at(0)) as writer:
            for position in range(0, len(content), 9):
                await writer.write([content[position : position + 9]])
                await asyncio.sleep(0)
            await writer.commit(Digest.of(content))

    async with asyncio.timeout(10):
        await asyncio.gather(*map(push_slowly, range(4)))

    assert sorted(corner.copies()) == [CONTENT[number:150] for number in range(4)]
    assert corner.leftovers() == []
    assert store._budget.held_bytes == 0


async def _idle(corner: Corner) -> None:
    """Wait until nothing is asked of S3 any more."""
    count = -1
    while count != len(corner.server.requests):
        count = len(corner.server.requests)
        await asyncio.sleep(0.02)


async def test_an_idle_writer_gives_its_memory(corner: Corner) -> None:
    """What it held is in the bucket, and it goes on from there."""
    store = corner.store()
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert isinstance(writer, S3Writer)
        await writer.write([CONTENT[:5]])
        writer.free_if_idle(0)
        assert store._budget.held_bytes == 5
        writer.free_if_idle(2**40)
        writer.free_if_idle(2**40)
        await _idle(corner)

        assert (writer.offset, store._budget.held_bytes, list(corner.objects().values())) == (5, 0, [CONTENT[:5]])
        assert writer.digest == Digest.of(CONTENT[:5])
        await writer.write([CONTENT[5:40]])
        await writer.commit(Digest.of(CONTENT[:40]))

    assert corner.copies() == [CONTENT[:40]]
    assert corner.leftovers() == []


async def test_an_idle_writer_says_once_that_its_memory_is_lost(corner: Corner) -> None:
    """What failed meanwhile is told at the next word, and not again."""
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert isinstance(writer, S3Writer)
        await writer.write([CONTENT[:5]])
        corner.server.denied = {"PutObject"}
        writer.free_if_idle(2**40)
        await _idle(corner)

        with pytest.raises(StoreUnavailable):
            await writer.write([CONTENT[5:9]])
        corner.server.denied = set()
        assert writer.offset == 0
        await writer.write([b"hello"])
        await writer.commit(Digest.of(b"hello"))

    assert corner.copies() == [b"hello"]


async def test_an_idle_writer_that_lost_its_memory_vouches_for_nothing(corner: Corner) -> None:
    """Where nothing more comes, what was lost is told when the rest is to be kept: no digest counts for fewer bytes."""
    whole = CONTENT[:20]
    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert isinstance(writer, S3Writer)
        await writer.write([whole[:16]])
        await writer.keep()
        await writer.write([whole[16:]])
        corner.server.denied = {"PutObject"}
        writer.free_if_idle(2**40)
        await _idle(corner)
        corner.server.denied = set()

        assert (writer.offset, writer.digest) == (16, None)
        with pytest.raises(StoreUnavailable):
            await writer.keep()
        assert (writer.offset, writer.kept, writer.digest) == (16, 16, None)


async def test_parts_that_follow_a_lost_one_are_lost(corner: Corner, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle writer that fails stands where the bucket does, and leaves no hole to the next one."""
    bucket = corner.bucket()
    store, put_part = corner.store(bucket=bucket), bucket.put_part

    async def refuse_second(key: str, multipart_id: str, number: int, content: Content) -> Part:
        if number == 2:
            raise StoreUnavailable("", is_away=True)
        return await put_part(key, multipart_id, number, content)

    monkeypatch.setattr(bucket, "put_part", refuse_second)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert isinstance(writer, S3Writer)
        await writer.write([CONTENT[:16]])
        await writer.keep()
        await writer.write([CONTENT[16:51]])
        writer.free_if_idle(2**40)
        await _idle(corner)
        assert (writer.offset, store._budget.held_bytes) == (16, 0)

    async with corner.store().stage(UPLOAD, Algorithm.SHA256, at(200)) as writer:
        await writer.commit(Digest.of(CONTENT[:16]))


async def test_a_writer_that_is_left_idle_settles_first(corner: Corner) -> None:
    """What it began is waited for, and its failure is nobody's."""
    store = corner.store()
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert isinstance(writer, S3Writer)
        await writer.write([CONTENT[:5]])
        corner.server.denied = {"PutObject"}
        writer.free_if_idle(2**40)

    assert store._budget.held_bytes == 0
    corner.server.denied = set()
    await push(corner.store(), b"hello")
    assert corner.leftovers() == []
