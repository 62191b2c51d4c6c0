"""Which bytes a Range header asks for, and where a chunk says it belongs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.http.ranges import ChunkRange, RangeNotSatisfiable, chunk_range, requested_spans
from storage.blobs.interface import Span


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [Span(0, 1)]),
        ("bytes=0-", [Span(0, 100)]),
        ("bytes=99-", [Span(99, 1)]),
        ("bytes=10-19", [Span(10, 10)]),
        ("bytes=90-1000", [Span(90, 10)]),
        ("bytes=-1", [Span(99, 1)]),
        ("bytes=-100", [Span(0, 100)]),
        ("bytes=-101", [Span(0, 100)]),
        ("Bytes = 1-2", [Span(1, 2)]),
        ("bytes=0-1, 5-6 ,-1", [Span(0, 2), Span(5, 2), Span(99, 1)]),
        ("bytes=5-6,0-1", [Span(5, 2), Span(0, 2)]),
        ("bytes=0-1,200-300", [Span(0, 2)]),
        ("bytes=50-40,0-1", [Span(0, 2)]),
        ("bytes=0-" + "9" * 5000, [Span(0, 100)]),
        ("bytes=-" + "9" * 5000, [Span(0, 100)]),
    ],
)
def test_spans_are_those_of_the_header(header: str, spans: list[Span]) -> None:
    """In its order, cut at the end of the blob."""
    assert requested_spans(header, 100) == spans


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=0-1,",
        "bytes=0-1,,2-3",
        "bytes=a-1",
        "bytes=0-1;2-3",
        "bytes=0--1",
        "bytes=\u0661-\u0662",
        "rows=0-1",
        "bytes=0-99,0-0",
        "bytes=" + ",".join(["0-0"] * 1025),
    ],
)
def test_header_that_makes_no_sense_asks_for_the_whole(header: str | None) -> None:
    """Malformed, of another unit, too many, or more than the whole (RFC 9110 section 14.2)."""
    assert requested_spans(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=9-5", 100), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_ranges_that_hold_no_byte_are_not_satisfiable(header: str, size: int) -> None:
    """The size is told."""
    with pytest.raises(RangeNotSatisfiable) as caught:
        requested_spans(header, size)

    assert caught.value.size == size


@given(header=st.text(max_size=60) | st.from_regex(r"\Abytes=[0-9,\- ]{0,40}\Z"), size=st.integers(0, 2**63))
def test_spans_lie_within_the_blob_and_are_no_more_than_it(header: str, size: int) -> None:
    """Whatever is sent."""
    try:
        spans = requested_spans(header, size)
    except RangeNotSatisfiable:
        return

    if spans is not None:
        assert spans
        assert all(span.length > 0 and span.offset >= 0 and span.end <= size for span in spans)
        assert len(spans) == 1 or sum(span.length for span in spans) <= size


@given(first=st.integers(0, 10**20), last=st.integers(0, 10**20), size=st.integers(1, 10**18))
def test_one_range_is_a_slice(first: int, last: int, size: int) -> None:
    """What `first-last` means for a sequence of that size."""
    expected = range(size)[first : last + 1]

    try:
        spans = requested_spans(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert len(expected) == 0
    else:
        assert spans == [Span(expected.start, len(expected))]


@given(count=st.integers(0, 10**20), size=st.integers(1, 10**18))
def test_suffix_is_the_end(count: int, size: int) -> None:
    """The last bytes, at most all of them."""
    expected = range(size)[max(0, size - count) :]

    try:
        spans = requested_spans(f"bytes=-{count}", size)
    except RangeNotSatisfiable:
        assert count == 0
    else:
        assert spans == [Span(expected.start, len(expected))]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0-0", ChunkRange(0, 1)),
        ("0-9", ChunkRange(0, 10)),
        ("10-19", ChunkRange(10, 10)),
        (" 10-19 ", ChunkRange(10, 10)),
        ("bytes 0-9/10", ChunkRange(0, 10)),
        ("bytes=0-9", ChunkRange(0, 10)),
        ("0-9/*", ChunkRange(0, 10)),
        ("0-9223372036854775806", ChunkRange(0, 9223372036854775807)),
    ],
)
def test_chunk_is_where_it_says(header: str, expected: ChunkRange) -> None:
    """Both ends are inclusive."""
    assert chunk_range(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        "0-",
        "-9",
        "9-0",
        "a-b",
        "0-9,10-19",
        "bytes 0-9/x",
        "items 0-9/10",
        "0 - 9",
        "0-" + "9" * 20,
        "\u0660-\u0669",
    ],
)
def test_chunk_that_says_nonsense_is_nowhere(header: str) -> None:
    """None, for the door to refuse."""
    assert chunk_range(header) is None


@given(start=st.integers(0, 10**18), length=st.integers(1, 10**18))
def test_written_chunk_is_read_back(start: int, length: int) -> None:
    """What a client writes as the specification says."""
    assert chunk_range(f"{start}-{start + length - 1}") == ChunkRange(start, length)


@given(header=st.text(max_size=40))
def test_no_text_breaks_the_reader(header: str) -> None:
    """A chunk or nothing."""
    chunk = chunk_range(header)

    assert chunk is None or (chunk.start >= 0 and chunk.length > 0)
