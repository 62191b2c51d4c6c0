"""Telling the bytes of a body from its framing: strict, and whatever pieces it comes in."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st

from registry.http.framing import Chunked, Counted, Framing, after

LONGEST_LINE = 100
FOLLOWING = b"GET / HTTP/1.1"
END = b"0\r\n\r\n"


def stripped(framing: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The bytes of a body that comes in pieces, and what follows it."""
    body, following = b"", b""
    for piece in pieces:
        room = memoryview(bytearray(len(piece)))
        kept, looked_at = framing.strip(memoryview(piece), room)
        body += room[:kept]
        following += piece[looked_at:]
    return body, following


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(at % (len(content) + 1) for at in cuts)
    return [content[start:end] for start, end in zip([0, *ends], [*ends, len(content)], strict=True)]


def chunked(chunks: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    framed = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join(framed) + b"0" + extension + b"\r\n" + trailer + b"\r\n"


EXTENSIONS = st.sampled_from([b"", b";name", b";name=value", b';a="b \xff";d'])
TRAILERS = st.sampled_from([b"", b"Digest: x\r\n", b"a:\r\nb: c\t d\r\n"])


@given(st.lists(st.binary(max_size=60)), EXTENSIONS, TRAILERS, st.lists(st.integers(0, 2000), max_size=12))
def test_what_is_in_chunks_is_found_whatever_pieces_they_come_in(
    chunks: list[bytes], extension: bytes, trailer: bytes, cuts: list[int]
) -> None:
    framing = Chunked(LONGEST_LINE)

    body, following = stripped(framing, cut(chunked(chunks, extension, trailer) + FOLLOWING, cuts))

    assert (body, following) == (b"".join(chunks), FOLLOWING)
    assert framing.is_done
    assert not framing.is_broken


@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=5))
def test_of_a_body_with_a_length_just_so_many_bytes_are_taken(content: bytes, cuts: list[int]) -> None:
    framing = Counted(len(content))

    assert stripped(framing, cut(content + FOLLOWING, cuts)) == (content, FOLLOWING)
    assert framing.is_done


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1))
def test_a_body_that_broke_off_is_not_done(chunks: list[bytes], missing: int) -> None:
    content = chunked(chunks)
    framing = Chunked(LONGEST_LINE)

    stripped(framing, [content[: -(missing % len(content)) or -1]])

    assert not framing.is_done
    assert not framing.is_broken


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b";a\r\nhello\r\n0\r\n\r\n",
        b"5; a\r\nhello\r\n0\r\n\r\n",
        b'5;a="b\r\nhello\r\n0\r\n\r\n',
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;a\0\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
        b"5\r\nhello\r\n0\r\nname : value\r\n\r\n",
        b"5\r\nhello\r\n0\r\n folded: value\r\n\r\n",
        b"5\r\nhello\r\n0\r\nname: \0\r\n\r\n",
        b"5\r\nhello\r\n0\r\ncontent-Length: 5\r\n\r\n",
        b"5\r\nhello\r\n0\r\nTransfer-encoding: chunked\r\n\r\n",
        b"5;" + b"a" * LONGEST_LINE + b"\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"a" * LONGEST_LINE,
        b"5\r\nhello\r\n0\r\n" + b"name: 345678901234567890\r\n" * 9 + b"\r\n",
    ],
)
def test_what_others_could_see_end_elsewhere_is_refused(content: bytes) -> None:
    for pieces in ([content], [bytes([byte]) for byte in content]):
        framing = Chunked(LONGEST_LINE)

        stripped(framing, pieces)

        assert framing.is_broken
        assert not framing.is_done


async def _as_aiohttp_sees_it(content: bytes) -> tuple[bytes, int] | None:
    """The bytes of a body, and how many it took to its end; None where it has none."""
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 1 << 16, max_line_size=LONGEST_LINE)
    ((_, body),), *_ = parser.feed_data(b"PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(len(content)):
        try:
            parser.feed_data(content[at : at + 1])
        except HttpProcessingError:
            return None
        if body.is_eof():
            return b"".join(body._buffer), at + 1
    return None


PIECES = [
    b"",
    b"\r\n",
    b"\r",
    b"\n",
    b"0",
    b"1",
    b"2;a",
    b";",
    b" ",
    b"\t",
    b"a",
    b":",
    b'"',
    b"=",
    b"0\r\n",
    b"\r\n\r\n",
]
ODD_EXTENSIONS = st.sampled_from([b" ", b";", b"; a", b";a b", b";a=", b';a="b', b';a="b"c', b';a="\\""', b";\xff"])
ODD_TRAILERS = st.sampled_from([b"Content-Length: 3\r\n", b"transfer-encoding: chunked\r\n", b"a: b\r\n c\r\n"])


@given(
    st.lists(st.binary(max_size=9)),
    EXTENSIONS | ODD_EXTENSIONS,
    TRAILERS | ODD_TRAILERS,
    st.sampled_from(PIECES),
    st.tuples(st.integers(0), st.integers(0, 2)),
)
def test_a_body_ends_nowhere_else_than_for_aiohttp(
    chunks: list[bytes], extension: bytes, trailer: bytes, piece: bytes, cut_out: tuple[int, int]
) -> None:
    content = chunked(chunks, extension, trailer)
    at, length = cut_out[0] % (len(content) + 1), cut_out[1]
    content = content[:at] + piece + content[at + length :] + END
    framing = Chunked(LONGEST_LINE)

    body, following = stripped(framing, [content])

    assert not framing.is_done or asyncio.run(_as_aiohttp_sees_it(content)) == (body, len(content) - len(following))


def test_what_came_before_the_framing_broke_is_given() -> None:
    framing = Chunked(LONGEST_LINE)

    assert stripped(framing, [b"5\r\nhello\r\n3\r\nyou\r\n!\r\n"])[0] == b"helloyou"


def test_nothing_is_looked_at_once_the_framing_broke() -> None:
    framing = Chunked(LONGEST_LINE)
    stripped(framing, [b"!\r\n"])

    assert stripped(framing, [b"5\r\nhello\r\n0\r\n\r\n"]) == (b"", b"5\r\nhello\r\n0\r\n\r\n")


def test_what_follows_a_body_that_nobody_wants_is_told() -> None:
    framing = Chunked(LONGEST_LINE)

    assert after(framing, b"5\r\nhel") == b""
    assert after(framing, b"lo\r\n0\r\n\r\n" + FOLLOWING) == FOLLOWING
    assert after(Counted(3), b"abc" + FOLLOWING) == FOLLOWING
