"""Memory is made ready where there is enough of it, and nothing fails where there is not."""

import resource

import pytest

from bench.memory import make_ready


def test_memory_is_made_ready() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    make_ready(64 << 20)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before >= 16  # pages of 4 MiB would be that many


@pytest.mark.parametrize("size", [0, 1 << 60])
def test_what_cannot_be_had_is_left(size: int) -> None:
    """It raises nothing."""
    make_ready(size)
