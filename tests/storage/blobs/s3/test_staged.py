"""What is staged, as plain values: cut, and written down."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from storage.blobs.s3.bucket import Part
from storage.blobs.s3.staged import Multipart, Piece, Staged

_YES_OR_NO: Final[st.SearchStrategy[bool]] = st.booleans()
SIZES: Final = st.lists(st.integers(1, 6), max_size=5)


def _multipart(key: str, sizes: list[int]) -> Multipart | None:
    parts = [Part(number, f"etag-{number}", size, "sum") for number, size in enumerate(sizes, start=1)]
    return Multipart(key, f"id-of-{key}", parts) if sizes else None


def _pieces(start: int, sizes: list[int], name: str = "piece") -> list[Piece]:
    found = []
    for number, size in enumerate(sizes):
        found.append(Piece(f"{name}-{number}", start, size, size))
        start += size
    return found


@st.composite
def staged(draw: st.DrawFn) -> Staged:
    """Parts, then pieces; and pieces that parts were made of, from the end of a part on."""
    main = draw(SIZES)
    group = draw(SIZES) if main else []
    result = Staged(_multipart("main", main), _multipart("group", group))
    sizes = [*main, *group]
    result.pieces = _pieces(sum(sizes), draw(SIZES))
    result.earlier = list(result.pieces)
    if sizes != [] and draw(_YES_OR_NO):
        start = sum(sizes[: draw(st.integers(0, len(sizes) - 1))])
        result.earlier = _pieces(start, draw(SIZES), "earlier")
    result.is_contested = draw(_YES_OR_NO)
    result.mark = draw(st.text("abc", max_size=3))
    result.spent = draw(st.lists(st.sampled_from(["uploads/x", "uploads/y"]), unique=True))
    return result


def _ends(value: Staged) -> list[int]:
    """The ends of parts."""
    ends = [0]
    for multipart in value.multiparts:
        for part in multipart.parts:
            ends.append(ends[-1] + part.size)
    return ends


@given(value=staged(), offset=st.integers(0, 80))
def test_cutting_goes_back_to_the_last_place_that_can_be_had(value: Staged, offset: int) -> None:
    """Anywhere in pieces, and where parts end; what is left is a beginning, in one piece."""
    ends, pieces, earlier, sent = _ends(value), list(value.pieces), list(value.earlier), value.sent
    if offset >= sent:
        expected = min(offset, value.size)
    else:
        expected = max(end for end in ends if end <= offset)
        if earlier and earlier[0].offset <= offset:
            expected = max(expected, min(offset, earlier[-1].end))
    before = {(part.number, part.size, multipart.key) for multipart in value.multiparts for part in multipart.parts}

    value.cut(offset)

    assert value.size == expected
    assert {(p.number, p.size, m.key) for m in value.multiparts for p in m.parts} <= before
    assert all(multipart.parts for multipart in value.multiparts)
    place = value.sent
    for piece in value.pieces:
        (source,) = [one for one in (*pieces, *earlier) if one.key == piece.key][:1]
        assert (piece.offset, piece.length) == (place, source.length)
        place = piece.end
    assert place == expected
    assert value.earlier == value.pieces
    assert value.spent == []


@given(value=staged())
def test_cutting_past_the_end_changes_nothing(value: Staged) -> None:
    """An offset is no reason to lose a byte."""
    size, multiparts = value.size, [*value.multiparts]

    value.cut(size + 1)

    assert (value.size, value.multiparts) == (size, multiparts)


@given(value=staged())
def test_what_is_written_down_is_read_again(value: Staged) -> None:
    """Every value of it."""
    if value.group is not None:
        value.group.is_closed = value.is_contested
    value.cut(value.size - 1)

    assert Staged.parse(value.text()) == value


def test_nothing_was_written_of_what_is_new() -> None:
    """An upload begins empty."""
    assert Staged.parse(None) == Staged()


def test_spent_pieces_are_named_until_they_are_deleted() -> None:
    """Those that the next writer may go back to are not spent."""
    pieces = _pieces(0, [3, 4])
    value = Staged(pieces=list(pieces), earlier=[pieces[0]])

    value.spend(pieces)

    assert value.pieces == []
    assert value.spent == ["piece-1"]
    assert value.keys == {"piece-0"}


def test_an_upload_without_a_byte_begins_anew() -> None:
    """What was opened for its first part, a writer that was taken for dead may still be sending to."""
    staged = Staged(Multipart("key", "id"), is_contested=True)

    staged.cut(0)

    assert staged == Staged(is_contested=True)
