"""Uploads whose parts have a few bytes, so that every case of parts, groups, pieces and cuts comes up within a few."""

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from storage.blobs.s3.parts import PartSizes
from tests.contracts.s3_places import MemoryRecords, S3Stores
from tests.contracts.upload_machine import OpenWriter, UploadMachine

SMALL: Final = PartSizes(part=16, smallest=8, direct=2, group=2)
EQUAL: Final = PartSizes(part=16, smallest=8, equal=True)


class MortalMachine(UploadMachine):
    """Writers also die: nobody leaves their block, and the next writer takes the upload from them."""

    def __init__(self, stores: S3Stores, sizes: PartSizes, budget_bytes: int) -> None:
        self.records = MemoryRecords()
        self.zombies: list[OpenWriter] = []
        store = stores.store(records=self.records, sizes=sizes, budget_bytes=budget_bytes)
        super().__init__(store, cuts_anywhere=False)

    @precondition(lambda self: self.writers)
    @rule(draw=st.data())
    def die(self, draw: st.DataObject) -> None:
        """Kill the process of a writer, as far as the others can tell."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        self.zombies.append(self.writers.pop(upload_id))
        writer = self.records.rows[upload_id].writer
        assert writer is not None
        self.records.dead.add(writer)

    @precondition(lambda self: self.zombies)
    @rule(draw=st.data())
    def bury(self, draw: st.DataObject) -> None:
        """Let a writer that was taken for dead come back, and do what it does when its request ends."""
        zombie = self.zombies.pop(draw.draw(st.integers(0, len(self.zombies) - 1)))
        self.runner.run(zombie.leave.aclose())

    def teardown(self) -> None:
        while self.zombies:
            self.runner.run(self.zombies.pop().leave.aclose())
        super().teardown()


def _agree(stores: S3Stores, sizes: PartSizes, budget_bytes: int) -> None:
    run_state_machine_as_test(
        lambda: MortalMachine(stores, sizes, budget_bytes),  # type: ignore[arg-type]  # a factory is as good as a class
        settings=settings(max_examples=10, stateful_step_count=20, deadline=None),
    )


def test_uploads_in_parts_and_groups_agree_with_a_model(stores: S3Stores) -> None:
    """No byte is lost, added or moved, whoever dies."""
    _agree(stores, SMALL, 10_000)


def test_uploads_agree_with_a_model_while_memory_is_short(stores: S3Stores) -> None:
    """What finds no memory is sent at once."""
    _agree(stores, SMALL, 24)


def test_uploads_in_equal_parts_agree_with_a_model(stores: S3Stores) -> None:
    """Where parts must be equal, what is short of one waits in pieces."""
    _agree(stores, EQUAL, 24)
