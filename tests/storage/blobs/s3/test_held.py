"""The bytes of an upload that are in memory."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storage.blobs.s3.held import Held
from storage.budget import BufferBudget


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9),
    counted=st.lists(st.booleans(), min_size=9, max_size=9),
    cuts=st.lists(st.integers(0, 81), max_size=5),
    limit=st.integers(0, 90),
)
def test_what_is_held_is_cut_off_in_order(
    chunks: list[bytes], counted: list[bool], cuts: list[int], limit: int
) -> None:
    """No byte is lost or moved, and the budget has everything back at the end."""
    budget, whole = BufferBudget(limit), b"".join(chunks)
    held = Held(budget)
    for chunk, is_counted in zip(chunks, counted, strict=False):
        if is_counted:
            held.count(len(chunk))
        held.add([chunk])

    places, give_backs = sorted({0, *(min(cut, len(whole)) for cut in cuts)}), []
    for start, end in pairwise(places):
        taken, give_back = held.cut_off(end - start)
        give_backs.append(give_back)
        assert b"".join(taken) == whole[start:end]
        assert (held.size, held.under_way) == (len(whole) - end, end)
    for give_back in reversed(give_backs):
        give_back()
    held.drop()

    assert (held.size, held.under_way, budget.held_bytes) == (0, 0, 0)


def test_what_is_dropped_leaves_what_is_under_way_counted() -> None:
    """S3 has it still to read."""
    budget = BufferBudget(10)
    held = Held(budget)
    held.count(5)
    held.add([b"hello"])
    _, give_back = held.cut_off(2)

    held.drop()
    assert (held.size, held.under_way, budget.held_bytes) == (0, 2, 2)
    give_back()

    assert budget.held_bytes == 0
