"""Reading an object from end to end, in chunks of any size: its digest, or that of nothing."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.digest import Algorithm, Digest
from storage.encryption.opening import OpeningHasher
from tests.storage.encryption.objects import KEY, NOTHING, SEGMENT, content, hashed, sealed

SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT - 1, 3 * SEGMENT, 3 * SEGMENT + 1]
OBJECTS = {size: sealed(content(size)) for size in SIZES}
CUTS = st.lists(st.floats(0, 1), max_size=12)

few = settings(max_examples=40, deadline=None)


def _chunks(whole: bytes, cuts: list[float]) -> list[bytes]:
    places = [0, *sorted(int(cut * len(whole)) for cut in cuts), len(whole)]
    return [whole[start:end] for start, end in pairwise(places)]


@few
@given(st.sampled_from(SIZES), CUTS)
def test_the_digest_of_an_object_is_that_of_its_content(size: int, cuts: list[float]) -> None:
    """However its bytes come."""
    assert hashed(_chunks(OBJECTS[size], cuts)) == Digest.of(content(size)).hex


@few
@given(st.sampled_from(SIZES), CUTS, st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_damaged_object_has_the_digest_of_nothing(size: int, cuts: list[float], place: float, change: int) -> None:
    """Wherever a byte was changed, and however its bytes come."""
    damaged = bytearray(OBJECTS[size])
    damaged[int(place * len(damaged))] ^= change

    assert hashed(_chunks(bytes(damaged), cuts)) == NOTHING


@few
@given(st.sampled_from(SIZES), CUTS, st.floats(0, 1, exclude_max=True))
def test_a_part_of_an_object_has_the_digest_of_nothing(size: int, cuts: list[float], length: float) -> None:
    """However its bytes come."""
    part = OBJECTS[size][: int(length * len(OBJECTS[size]))]

    assert hashed(_chunks(part, cuts)) == NOTHING


@pytest.mark.parametrize("step", [1, 7, 128, 236])
def test_a_small_object_comes_in_small_steps(step: int) -> None:
    """Byte by byte, too."""
    whole = OBJECTS[1]

    assert hashed(whole[start : start + step] for start in range(0, len(whole), step)) == Digest.of(content(1)).hex


def test_a_reused_buffer_may_bring_the_chunks() -> None:
    """Readers use one buffer for all they read; nothing of it is kept by reference."""
    whole, buffer = OBJECTS[3 * SEGMENT + 1], bytearray(1000)
    running = OpeningHasher(KEY, Algorithm.SHA256)

    for start in range(0, len(whole), len(buffer)):
        chunk = whole[start : start + len(buffer)]
        buffer[: len(chunk)] = chunk
        running.update(memoryview(buffer)[: len(chunk)])
        buffer[:] = bytes(len(buffer))

    assert running.hexdigest() == Digest.of(content(3 * SEGMENT + 1)).hex


def test_an_object_named_by_one_algorithm_can_be_hashed_with_another() -> None:
    """A repository may ask for sha512 of what was pushed with sha256."""
    plain = content(SEGMENT + 1)

    assert hashed([OBJECTS[SEGMENT + 1]], algorithm=Algorithm.SHA512) == Digest.of(plain, Algorithm.SHA512).hex


@few
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_random_chunks_have_the_digest_of_nothing(chunks: list[bytes]) -> None:
    """And raise nothing."""
    assert hashed(chunks) == NOTHING
