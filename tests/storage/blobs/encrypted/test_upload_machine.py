"""Uploads of more than a segment, by writers that also crash: whatever was kept is there again, and nothing else."""

import itertools
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore
from storage.blobs.memory import MemoryStore
from storage.blobs.s3.parts import PartSizes
from storage.encryption.header import Layout
from tests.contracts.blob_access import walk
from tests.contracts.encrypted_places import MemoryKeys, MemorySealedUploads, encrypted_store
from tests.contracts.s3_places import MemoryRecords, S3Stores
from tests.contracts.upload_machine import UPLOADS, OpenWriter, UploadMachine
from tests.storage.blobs.encrypted.watched import BITS, SEGMENT, Watched

_CONTENT: Final = random.Random(1).randbytes(200_000)
_AROUND: Final = st.sampled_from([-1, 0, 1, 77])
NUMBERS: Final = st.builds(lambda n, by: max(0, n * SEGMENT + by), st.integers(0, 5), _AROUND) | st.integers(0, 90_000)
SIZES: Final = st.builds(lambda n, by: max(0, n * SEGMENT + by), st.integers(0, 2), _AROUND) | st.integers(0, 40_000)
CHUNKS: Final = st.lists(
    st.builds(lambda start, size: _CONTENT[start : start + size], st.integers(0, 150_000), SIZES), max_size=3
)
SMALL: Final = PartSizes(part=60_000, smallest=20_000, direct=2, group=2)
EQUAL: Final = PartSizes(part=30_000, smallest=20_000, equal=True)


class SealedMachine(UploadMachine):
    """Writers of two processes, who crash now and then."""

    def __init__(
        self,
        inner: BlobStore,
        executor: ThreadPoolExecutor,
        crash: "Callable[[Watched, str], None]" = Watched.crash,
    ) -> None:
        self.inner = Watched(inner)
        self.records = MemorySealedUploads()
        self.play_crash = crash
        self.zombies: list[OpenWriter] = []
        keys = MemoryKeys()
        stores = [
            encrypted_store(self.inner, executor, keys=keys, records=self.records, segment_bits=BITS) for _ in "ab"
        ]
        self.stores = itertools.cycle(stores)
        super().__init__(stores[0], cuts_anywhere=False, layout=Layout(BITS))

    @rule(upload_id=UPLOADS, offset=NUMBERS)
    def resume(self, upload_id: str, offset: int) -> None:
        """Continue an upload somewhere, in either process."""
        self.store = next(self.stores)
        self.stage(upload_id, offset)

    @precondition(lambda self: self.staged)
    @rule(draw=st.data())
    def go_on(self, draw: st.DataObject) -> None:
        """Continue an upload where its client may know it to be."""
        upload_id = draw.draw(st.sampled_from(sorted(self.staged)))
        upload = self.staged[upload_id]
        self.store = next(self.stores)
        self.stage(upload_id, draw.draw(st.sampled_from([upload.began, upload.kept, len(upload.written)])))

    @precondition(lambda self: self.writers)
    @rule(draw=st.data(), chunks=CHUNKS)
    def write(self, draw: st.DataObject, chunks: list[bytes]) -> None:
        """Append bytes, and tell the client how far they are kept."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        writer = self.writers[upload_id].writer
        self.runner.run(writer.write(chunks))
        self.staged[upload_id].written += b"".join(chunks)
        self.staged[upload_id].kept = writer.kept

    @precondition(lambda self: self.writers)
    @rule(draw=st.data())
    def die(self, draw: st.DataObject) -> None:
        """Kill the process of a writer."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        self.zombies.append(self.writers.pop(upload_id))
        self.play_crash(self.inner, upload_id)

    @invariant()
    def no_nonce_is_used_twice(self) -> None:
        """In no object that was ever begun."""
        nonces = [nonce for places in self.inner.sealed.values() for found in places.values() for nonce in found]
        assert len({*nonces}) == len(nonces)

    @precondition(lambda self: self.stored)
    @rule(draw=st.data(), offset=NUMBERS, length=NUMBERS)
    def read(self, draw: st.DataObject, offset: int, length: int) -> None:
        """Read a span of a stored copy."""
        super().read(draw, offset, length)

    def delete(self, draw: st.DataObject) -> None:  # copies are needed to the end
        """Delete nothing."""

    @invariant()
    def walk_finds_what_is_there(self) -> None:
        """Exactly the model's copies and uploads; of those, a record tells how far it was when it was written."""
        found = self.runner.run(walk(self.store, self.layout))
        assert {each for each in found if each[0]} == {(key, None, len(data)) for key, data in self.stored.items()}
        assert {upload_id for _, upload_id, _ in found if upload_id} == self.staged.keys()

    def teardown(self) -> None:
        while self.zombies:
            self.runner.run(self.zombies.pop().leave.aclose())
        super().teardown()

    @invariant()
    def no_copy_has_a_place_that_was_sealed_twice(self) -> None:
        """Whoever kept what was sealed before could put it back there."""
        for key in self.stored:
            assert self.runner.run(self.inner.is_sealed_once(key))


def _agree(make: Callable[[], SealedMachine], examples: int) -> None:
    run_state_machine_as_test(
        make,  # type: ignore[arg-type]  # documented: a factory is as good as a class
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None),
    )


def test_uploads_in_memory_agree_with_a_model(executor: ThreadPoolExecutor) -> None:
    """Whoever crashes, what was kept is there, and each copy is what its digest names."""
    suffixes = itertools.count()

    def make() -> SealedMachine:
        return SealedMachine(MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=time.time), executor)

    _agree(make, 20)


def test_uploads_on_a_disk_agree_with_a_model(executor: ThreadPoolExecutor, tmp_path: Path) -> None:
    """The kernel frees the lock of who is killed."""
    numbers = itertools.count()

    def make() -> SealedMachine:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        return SealedMachine(
            FilesystemStore(
                root,
                durability="relaxed",
                reserve_bytes=0,
                new_suffix=lambda: f"{next(numbers):032x}",
                executor=executor,
            ),
            executor,
        )

    _agree(make, 10)


@pytest.mark.parametrize(
    ("sizes", "budget_bytes"), [(SMALL, 10**7), (SMALL, 30_000), (EQUAL, 50_000)], ids=["small", "short", "equal"]
)
def test_uploads_in_a_bucket_agree_with_a_model(
    s3: S3Stores, executor: ThreadPoolExecutor, sizes: PartSizes, budget_bytes: int
) -> None:
    """Another node takes over from who is taken for dead."""

    def make() -> SealedMachine:
        staging = MemoryRecords()

        def crash(_: Watched, upload_id: str) -> None:
            writer = staging.rows[upload_id].writer
            assert writer is not None
            staging.dead.add(writer)

        return SealedMachine(s3.store(records=staging, sizes=sizes, budget_bytes=budget_bytes), executor, crash)

    _agree(make, 4)
