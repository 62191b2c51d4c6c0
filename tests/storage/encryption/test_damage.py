"""Whatever happens to a sealed object is found before any of it is taken for content."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.digest import Digest
from storage.encryption.header import HEADER_BYTES, MAGIC
from storage.encryption.keys import DomainKey
from storage.encryption.whole import header_of, open_whole
from storage.errors import SealBroken, WrongKey
from tests.storage.encryption.objects import (
    KEY,
    NOTHING,
    OTHER_DOMAIN,
    OTHER_SECRET,
    OTHER_VERSION,
    SEGMENT,
    Parts,
    content,
    hashed,
    is_refused,
    layout_of,
    sealed,
    taken_apart,
)

SMALL = sealed(b"hello")
LARGE_SIZE = 3 * SEGMENT + 100
LARGE = sealed(content(LARGE_SIZE))
FULL = taken_apart(sealed(content(4 * SEGMENT)))
OTHER = taken_apart(sealed(content(4 * SEGMENT)))
KEYED = [*range(16, 36), *range(48, 128)]
"""The bytes of a header that the key and the commitment to it are made of."""

few = settings(max_examples=40, deadline=None)


def _flipped(whole: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(whole)
    changed[place] ^= 1 << bit
    return bytes(changed)


def _with_segments(*segments: bytes, trailer: bytes = FULL.trailer) -> bytes:
    return Parts(FULL.header, segments, trailer).whole


def test_every_flipped_bit_is_found() -> None:
    """In header, nonces, ciphertext, tags and trailer."""
    changes = product(range(len(SMALL)), range(8))

    assert [change for change in changes if not is_refused(_flipped(SMALL, *change))] == []


@few
@given(st.integers(0, len(LARGE) - 1), st.integers(0, 7))
def test_a_flipped_bit_among_many_segments_is_found(place: int, bit: int) -> None:
    """Anywhere in a large object."""
    assert is_refused(_flipped(LARGE, place, bit))


def test_a_change_of_what_the_key_is_made_of_is_another_key() -> None:
    """Domain, version, salt, commitment and object id: nobody can tell damage to these from another key."""
    for place in KEYED:
        with pytest.raises(WrongKey):
            open_whole(KEY, _flipped(SMALL, place, 0))


def test_a_change_of_anything_else_is_damage() -> None:
    """The key is the right one, so the bytes are wrong."""
    for place in set(range(len(SMALL))) - set(KEYED):
        with pytest.raises(SealBroken):
            open_whole(KEY, _flipped(SMALL, place, 0))


@pytest.mark.parametrize("bits", [0, 13, 15, 18, 24, 25, 64, 255])
def test_segments_of_another_size_are_damage(bits: int) -> None:
    """Also a size that no machine could hold."""
    changed = LARGE[:11] + bytes([bits]) + LARGE[12:]

    with pytest.raises(SealBroken):
        open_whole(KEY, changed)
    assert hashed([changed]) == NOTHING


@pytest.mark.parametrize("key", [OTHER_SECRET, OTHER_DOMAIN, OTHER_VERSION], ids=["secret", "domain", "version"])
def test_another_key_is_told_apart_from_damage(key: DomainKey) -> None:
    """Content must not be thrown away because a wrong key was put in place."""
    with pytest.raises(WrongKey):
        open_whole(key, LARGE)
    assert hashed([LARGE], key) == NOTHING


def test_every_shorter_object_is_found() -> None:
    """A small object cut anywhere, to nothing at last."""
    assert [length for length in range(len(SMALL)) if not is_refused(SMALL[:length])] == []


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("boundary", range(5))
def test_an_object_cut_at_a_boundary_is_found(boundary: int, off: int) -> None:
    """After the header, after each segment, and a byte before and after."""
    cut = FULL.whole[: layout_of().place(boundary) + off]

    assert is_refused(cut)
    assert is_refused(cut + FULL.trailer) or cut + FULL.trailer == FULL.whole


@few
@given(st.integers(0, len(LARGE) - 1))
def test_an_object_cut_anywhere_is_found(length: int) -> None:
    """A write that did not finish, whole or with the trailer put after it."""
    assert is_refused(LARGE[:length])


@few
@given(st.integers(0, len(LARGE)), st.binary(min_size=1, max_size=200))
def test_inserted_bytes_are_found(place: int, inserted: bytes) -> None:
    """Before, within and after."""
    assert is_refused(LARGE[:place] + inserted + LARGE[place:])


@pytest.mark.parametrize("index", range(4))
def test_a_dropped_segment_is_found(index: int) -> None:
    """Each of them, the first and the last too."""
    assert is_refused(_with_segments(*FULL.segments[:index], *FULL.segments[index + 1 :]))


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 3), (1, 2), (2, 3)])
def test_swapped_segments_are_found(one: int, other: int) -> None:
    """Neighbours and others."""
    segments = list(FULL.segments)
    segments[one], segments[other] = segments[other], segments[one]

    assert is_refused(_with_segments(*segments))


@pytest.mark.parametrize("index", range(4))
def test_a_segment_twice_is_found(index: int) -> None:
    """After itself, at the end, and in the place of its neighbour."""
    again = FULL.segments[index]

    assert is_refused(_with_segments(*FULL.segments[:index], again, *FULL.segments[index:]))
    assert is_refused(_with_segments(*FULL.segments, again))
    assert is_refused(_with_segments(*FULL.segments[:index], again, again, *FULL.segments[index + 2 :]))


@pytest.mark.parametrize("index", range(4))
def test_a_segment_of_another_object_is_found(index: int) -> None:
    """Of the same key and even of the same content, in its own place."""
    taken = OTHER.segments[index]

    assert is_refused(_with_segments(*FULL.segments[:index], taken, *FULL.segments[index + 1 :]))


def test_a_trailer_of_another_object_is_found() -> None:
    """It tells the same, but belongs to another."""
    assert is_refused(_with_segments(*FULL.segments, trailer=OTHER.trailer))


def test_a_header_of_another_object_is_found() -> None:
    """All else belongs to another."""
    assert is_refused(Parts(OTHER.header, FULL.segments, FULL.trailer).whole)


@few
@given(st.lists(st.sampled_from(FULL.segments + OTHER.segments), max_size=6), st.sampled_from([FULL, OTHER]))
def test_only_its_own_segments_in_their_order_are_an_object(segments: list[bytes], end: Parts) -> None:
    """Any segments of two objects, in any order."""
    changed = _with_segments(*segments, trailer=end.trailer)

    assert is_refused(changed) or changed == FULL.whole


def test_a_whole_object_in_the_place_of_another_is_found_by_the_digest_asked_for() -> None:
    """Nothing in it is wrong, but it is a copy of something else."""
    expected = Digest.of(b"hello")
    other = sealed(b"other")

    assert open_whole(KEY, SMALL, expected) == b"hello"
    with pytest.raises(SealBroken):
        open_whole(KEY, other, expected)
    assert hashed([other]) != expected.hex


def test_two_objects_one_after_the_other_are_none() -> None:
    """Neither the first nor the second is read."""
    assert is_refused(SMALL + SMALL)
    assert is_refused(FULL.whole + FULL.whole)


@pytest.mark.parametrize("size", [0, 1, 107, 108, 127, 128, 235, 236, 300, 20_000])
def test_zeros_are_no_object(size: int) -> None:
    """What a file system may leave after a crash."""
    assert is_refused(bytes(size))
    assert is_refused(MAGIC + bytes(size))
    assert is_refused(SMALL[:HEADER_BYTES] + bytes(size))


@few
@given(st.binary(max_size=600), st.sampled_from([0, 8, 16, 32, 128]))
def test_random_bytes_are_no_object(rest: bytes, kept: int) -> None:
    """With any part of a good header before them; nothing but the errors of the format is raised."""
    assert is_refused(SMALL[:kept] + rest)


@few
@given(st.lists(st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_header_of_any_values_raises_no_other_error(changes: list[tuple[int, int]]) -> None:
    """Whatever its numbers are."""
    changed = bytearray(SMALL)
    for place, value in changes:
        changed[place] = value

    assert is_refused(bytes(changed)) or changed == SMALL


@few
@given(st.binary(max_size=127))
def test_less_than_a_header_is_none(short: bytes) -> None:
    """Asked for its key, too."""
    with pytest.raises(SealBroken):
        header_of(short)
