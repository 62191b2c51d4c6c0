"""Where the bytes of an object are, and what its header says."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encryption.header import Header, Layout
from storage.errors import SealBroken

HEADER = Header(
    domain_id=bytes(range(16)),
    key_version=0x01020304,
    segment_bits=18,
    salt=b"s" * 32,
    commitment=b"c" * 32,
    object_id=b"o" * 16,
)
PACKED = (
    b"LADINGE1\x00\x01\x01\x12\x00\x80\x00\x00"
    b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
    b"\x01\x02\x03\x04" + bytes(12) + b"s" * 32 + b"c" * 32 + b"o" * 16
)
BITS = st.integers(14, 24)
SIZES = st.integers(0, 2**50)

few = settings(max_examples=40, deadline=None)


def _near_boundaries(bits: int) -> st.SearchStrategy[int]:
    return st.builds(lambda count, off: max(0, (count << bits) + off), st.integers(0, 1000), st.integers(-30, 30))


SIZED = BITS.flatmap(lambda bits: st.tuples(st.just(Layout(bits)), SIZES | _near_boundaries(bits)))


def test_a_header_is_written_and_read_byte_for_byte() -> None:
    """As the description of the format has it."""
    assert HEADER.packed() == PACKED
    assert Header.parse(PACKED) == HEADER


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"l"),
        (7, b"2"),
        (8, b"\0\0"),
        (8, b"\0\2"),
        (8, b"\1\0"),
        (10, b"\0"),
        (10, b"\2"),
        (11, b"\x0d"),
        (11, b"\x19"),
        (11, b"\xff"),
        (12, b"\0\x7f"),
        (12, b"\1\0"),
        (14, b"\0\1"),
        (14, b"\x80\0"),
        (36, b"\1"),
        (47, b"\1"),
    ],
)
def test_a_header_of_other_values_is_refused(place: int, value: bytes) -> None:
    """Another magic, version or algorithm, segments too small or too large, flags that nobody knows."""
    with pytest.raises(SealBroken):
        Header.parse(PACKED[:place] + value + PACKED[place + len(value) :])


@pytest.mark.parametrize("length", [0, 8, 127, 129])
def test_a_header_of_another_length_is_refused(length: int) -> None:
    """Cut short, or with something after it."""
    with pytest.raises(SealBroken):
        Header.parse((PACKED + b"\0")[:length])


@pytest.mark.parametrize(
    ("size", "length"),
    [(0, 236), (1, 265), (2**18 - 1, 262_407), (2**18, 262_408), (2**18 + 1, 262_437), (3 * 2**18, 786_752)],
)
def test_the_length_of_an_object(size: int, length: int) -> None:
    """Header and trailer have 236 bytes, and a segment 28 more than its content."""
    assert Layout().length(size) == length
    assert Layout().size(length) == size


@few
@given(SIZED)
def test_length_and_size_are_inverse(sized: tuple[Layout, int]) -> None:
    """How much an object is a copy of is told by its length alone."""
    layout, size = sized

    assert layout.size(layout.length(size)) == size


@few
@given(BITS, st.integers(0, 2**30), st.integers(1, 28))
def test_a_length_that_no_object_has_is_refused(bits: int, count: int, extra: int) -> None:
    """After full segments come none, or one with content: not nonce and tag of nothing, nor a part of them."""
    layout = Layout(bits)

    with pytest.raises(SealBroken):
        layout.size(layout.length(count * layout.segment) + extra)


def test_a_length_of_less_than_header_and_trailer_is_refused() -> None:
    """And one below nothing, as a sum may give."""
    for bits, length in product([14, 18, 24], range(-300, 236)):
        with pytest.raises(SealBroken):
            Layout(bits).size(length)


@few
@given(SIZED)
def test_segments_follow_each_other_up_to_the_trailer(sized: tuple[Layout, int]) -> None:
    """Each is as long as its content and 28 bytes; only the last may be shorter."""
    layout, size = sized
    full, rest = divmod(size, layout.segment)

    assert layout.place(0) == 128
    assert layout.place(full) == 128 + full * (layout.segment + 28)
    assert layout.end_of(size) == layout.place(full) + (rest + 28 if rest else 0)
    assert layout.length(size) == layout.end_of(size) + 108
    assert layout.segments(size) == full + (1 if rest else 0)


@few
@given(SIZED)
def test_a_byte_is_in_the_segment_that_its_offset_tells(sized: tuple[Layout, int]) -> None:
    """Without reading anything before it."""
    layout, offset = sized
    index = layout.index(offset)

    assert index * layout.segment <= offset < (index + 1) * layout.segment
    assert index == layout.segments(offset + 1) - 1
