"""What is left by crashes and power cuts: a record may be older than the bytes, and bytes may be missing.

Whatever is committed afterwards reads back whole, and no place in it was ever sealed twice with its header.
"""

import itertools
import random
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from storage.blobs.disk import SYSTEM
from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, Expected
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, SealBroken, StoreUnavailable
from storage.sealed_uploads import Change, SealedUpload
from tests.contracts.blob_access import UPLOAD, at, read, walk
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, MemorySealedUploads, encrypted_store
from tests.storage.blobs.encrypted.conftest import MakeEncrypted
from tests.storage.blobs.encrypted.watched import BITS, LAYOUT, SEGMENT, Watched
from tests.storage.blobs.test_power_cuts import SURVIVALS, InlineExecutor
from tests.storage.blobs.volatile_disk import Survival, VolatileDisk

FIRST: Final = random.Random(1).randbytes(4 * SEGMENT + 999)
OTHER: Final = random.Random(2).randbytes(4 * SEGMENT + 999)
DIGEST: Final = Digest.of(FIRST)


@dataclass(frozen=True)
class Moment:
    """What was on the disks at a moment: the record with its tails, and the staged bytes."""

    record: SealedUpload | None
    tails: tuple[bytes | None, bytes | None]
    staged: bytes


class Machine:
    """A process that works on an upload, and what was on its disks meanwhile."""

    def __init__(self, executor: Executor) -> None:
        suffixes = itertools.count()
        self.inner = Watched(MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=time.time))
        self.records = MemorySealedUploads()
        self.keys = MemoryKeys()
        self.executor = executor
        self.moments: list[Moment] = []

    @property
    def store(self) -> EncryptedStore:
        """A process that begins."""
        return encrypted_store(self.inner, self.executor, keys=self.keys, records=self.records, segment_bits=BITS)

    def look(self) -> None:
        """Remember what there is."""
        tails = self.records.tails.get(UPLOAD, (None, None))
        self.moments.append(Moment(self.records.rows.get(UPLOAD), tails, bytes(self.inner.staged(UPLOAD))))

    async def request(self, promised: int, pieces: list[bytes], *, keeps: bool = True) -> None:
        """Write pieces of an upload in one request; one that does not keep is killed."""
        async with self.store.stage(UPLOAD, Algorithm.SHA256, at(promised)) as writer:
            self.look()
            for piece in pieces:
                await writer.write([piece])
                self.look()
            if keeps:
                await writer.keep()
            else:
                self.inner.crash(UPLOAD)
        self.look()

    async def work(self) -> None:
        """Send other bytes first, go on, go back, be killed, start over, and go on again."""
        await self.request(0, [FIRST[: SEGMENT + 10]])
        await self.request(SEGMENT + 10, [OTHER[SEGMENT + 10 : 3 * SEGMENT]], keeps=False)
        await self.request(SEGMENT + 10, [FIRST[SEGMENT + 10 : 2 * SEGMENT], OTHER[: SEGMENT + 1]])
        await self.request(0, [FIRST[:100]])
        await self.request(100, [FIRST[100 : 2 * SEGMENT], OTHER[:SEGMENT]], keeps=False)
        await self.request(2 * SEGMENT, [FIRST[2 * SEGMENT : 3 * SEGMENT + 7]])

    def restore(self, record: Moment, staged: bytes) -> None:
        """Put the disks back to what they were."""
        for fake in (self.records.rows, self.records.tails):
            fake.clear()
        if record.record is not None:
            self.records.rows[UPLOAD] = record.record
            self.records.tails[UPLOAD] = record.tails
        self.inner.staged(UPLOAD)[:] = staged


async def finished(store: BlobStore, promised: int) -> str | None:
    """Go on with an upload and commit it; tells the key, or nothing where it has to be started over."""
    try:
        async with store.stage(UPLOAD, Algorithm.SHA256, at(promised)) as writer:
            await writer.write([FIRST[writer.offset :]])
            return (await writer.commit(DIGEST)).key
    except (DigestMismatch, StoreUnavailable):
        return None


async def test_after_a_power_cut_no_wrong_bytes_are_stored(executor: Executor) -> None:
    """Whatever of the record, and of the staged bytes, is as it was at whatever moment before."""
    machine = Machine(executor)
    await machine.work()
    moments, sealed, stored = list(dict.fromkeys(machine.moments)), machine.inner.sealed, 0

    for earlier, later in itertools.combinations_with_replacement(moments, 2):
        for promised, lost in ((SEGMENT + 10, 0), (3 * SEGMENT + 7, SEGMENT + 5)):
            machine.inner.sealed = {
                header: {n: list(found) for n, found in places.items()} for header, places in sealed.items()
            }
            machine.restore(earlier, later.staged[: max(0, len(later.staged) - lost)])
            key = await finished(machine.store, promised)
            if key is not None:
                stored += 1
                assert await read(machine.store, key, 0, len(FIRST)) == FIRST
                assert await machine.inner.is_sealed_once(key)

    assert stored > 50


async def test_a_segment_of_an_upload_that_was_cut_is_refused(
    make_encrypted: MakeEncrypted, inner: Watched, executor: Executor
) -> None:
    """Who kept a copy of it cannot put it back in its place, which has the same length."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST[: SEGMENT + 9]])
        await writer.keep()
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(SEGMENT + 9)) as writer:
        await writer.write([OTHER[: 2 * SEGMENT]])
        kept = bytes(inner.staged(UPLOAD))[LAYOUT.place(1) : LAYOUT.place(2)]
        inner.crash(UPLOAD)

    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(SEGMENT + 9)) as writer:
        await writer.write([FIRST[SEGMENT + 9 :]])
        stored = await writer.commit(DIGEST)
    assert await inner.is_sealed_once(stored.key)
    inner.change(stored.key, lambda sealed: sealed[: LAYOUT.place(1)] + kept + sealed[LAYOUT.place(2) :])

    with pytest.raises(SealBroken):
        await read(make_encrypted(), stored.key, SEGMENT, SEGMENT)


async def test_an_upload_that_was_not_cut_is_not_sealed_twice(make_encrypted: MakeEncrypted, inner: Watched) -> None:
    """Requests that go on one after the other, each with proof of what the one before sent, cost nothing more."""
    mark, promised = "", 0
    for end in (10, SEGMENT + 10, 3 * SEGMENT):
        async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(promised)) as writer:
            assert (writer.offset, writer.mark) == (promised, mark)
            await writer.write([FIRST[promised:end]])
            await writer.keep()
            mark, promised = writer.mark, end
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(promised)) as writer:
        assert writer.mark == mark
        await writer.commit(Digest.of(FIRST[:promised]), known=Digest.of(FIRST[:promised]))

    assert len(inner.sealed) == 1


async def test_the_first_segments_of_an_object_need_no_record(
    make_encrypted: MakeEncrypted, inner: Watched, records: MemorySealedUploads
) -> None:
    """Whoever finds them without one begins another object, in which none of them has a place."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([OTHER])
        assert writer.kept == 0
        inner.crash(UPLOAD)
    assert not records.rows

    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST])
        stored = await writer.commit(DIGEST)

    assert not records.rows
    assert len(inner.sealed) == 2
    assert await inner.is_sealed_once(stored.key)
    assert await read(make_encrypted(), stored.key, 0, len(FIRST)) == FIRST


async def test_an_upload_that_is_whole_in_one_request_is_never_recorded(
    inner: Watched, keys: MemoryKeys, executor: Executor
) -> None:
    """Each record is a transaction, and this one would be of use to nobody."""
    changes: list[Change] = []

    class Noted(MemorySealedUploads):
        async def save(self, upload_id: str, change: Change) -> None:
            changes.append(change)
            await super().save(upload_id, change)

    store = encrypted_store(inner, executor, keys=keys, records=Noted(), segment_bits=BITS)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST])
        await writer.commit(DIGEST)

    assert changes == []


async def test_segments_that_follow_others_are_sealed_with_a_record(
    make_encrypted: MakeEncrypted, inner: Watched, records: MemorySealedUploads
) -> None:
    """A long upload can be promised in part before it ends, and what is thrown away of it is known to be."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST[: 2 * SEGMENT]])
        await writer.write([FIRST[2 * SEGMENT :]])
        assert writer.kept >= 2 * SEGMENT
        inner.crash(UPLOAD)

    assert records.rows[UPLOAD].is_open


async def test_an_object_that_is_sealed_anew_takes_the_place_of_the_first(
    make_encrypted: MakeEncrypted, inner: Watched
) -> None:
    """Though that cannot be removed now: nothing names it, and a later walk finds it."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST[:SEGMENT]])
        await writer.write([FIRST[SEGMENT:]])
        inner.crash(UPLOAD)
    inner.failures["delete"] = StoreUnavailable("away")

    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(SEGMENT)) as writer:
        await writer.write([FIRST[SEGMENT:]])
        stored = await writer.commit(DIGEST)

    assert len(await walk(make_encrypted(), LAYOUT)) == 2
    assert await inner.is_sealed_once(stored.key)
    assert await read(make_encrypted(), stored.key, 0, len(FIRST)) == FIRST


async def test_an_object_that_cannot_be_sealed_anew_is_not_left(make_encrypted: MakeEncrypted, inner: Watched) -> None:
    """Its place is not taken, and whoever pushed starts over."""
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST[:SEGMENT]])
        await writer.write([FIRST[SEGMENT:]])
        inner.crash(UPLOAD)
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(SEGMENT)) as writer:
        await writer.write([FIRST[SEGMENT:]])
        inner.failures["read"] = StoreUnavailable("away")

        with pytest.raises(StoreUnavailable):
            await writer.commit(DIGEST)

    inner.failures.clear()
    assert await walk(make_encrypted(), LAYOUT) == set()


@pytest.mark.parametrize("survival", SURVIVALS)
async def test_what_was_committed_before_a_power_cut_is_whole(tmp_path: Path, survival: Survival) -> None:
    """Also a copy that was sealed anew, which took the place of one that is gone."""
    suffixes = itertools.count()
    keys, records, inline = MemoryKeys(), MemorySealedUploads(), InlineExecutor()

    def store(root: Path, disk: VolatileDisk | None = None) -> EncryptedStore:
        root.mkdir(exist_ok=True)
        return encrypted_store(
            FilesystemStore(
                root,
                durability="full",
                reserve_bytes=0,
                new_suffix=lambda: str(next(suffixes)),
                executor=inline,
                operations=disk or SYSTEM,
            ),
            inline,
            keys=keys,
            records=records,
            segment_bits=BITS,
        )

    disk = VolatileDisk(tmp_path / "before", operations_left=10**6)
    before = store(tmp_path / "before", disk)
    async with before.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([FIRST[: 2 * SEGMENT]])
        await writer.keep()
    async with before.stage(UPLOAD, Algorithm.SHA256, at(SEGMENT)) as writer:
        await writer.write([FIRST[writer.offset :]])
        stored = await writer.commit(DIGEST)
    (tmp_path / "after").mkdir()
    disk.survivors(tmp_path / "after", survival)
    after = store(tmp_path / "after")

    assert await read(after, stored.key, 0, len(FIRST)) == FIRST
    assert await after.size(stored.key, expected=Expected(len(FIRST), DIGEST, DOMAIN)) == len(FIRST)
