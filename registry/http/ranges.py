"""Range requests (RFC 9110 section 14): which bytes of a blob to send."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from storage.blobs.interface import Span

# podman asks for at most 1,024 missing pieces of a layer in one request.
_MAX_RANGES = 1024
_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)
_MAX_DIGITS = 19
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d{1,19}|\*))?", re.ASCII)


class RangeNotSatisfiable(Exception):
    """None of the ranges asked for lies within the blob, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"no range asked for lies within the {size} bytes of the blob")
        self.size = size


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """Where an upload's chunk belongs: first byte and length."""

    start: int
    length: int


def requested_spans(header: str | None, size: int) -> Sequence[Span] | None:
    """The spans of a Range header, in its order; None when the whole is to be sent.

    A header that is malformed, of another unit, or asks for more than the whole is ignored, as section 14.2 allows; a
    range that ends before it begins is taken at its word and not satisfiable. Raises RangeNotSatisfiable.
    """
    if header is None:
        return None
    unit, separator, listed = header.partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return None
    matches = [_RANGE.fullmatch(part.strip()) for part in listed.split(",", _MAX_RANGES)]
    if len(matches) > _MAX_RANGES or not all(match and match.group() != "-" for match in matches):
        return None
    spans = [span for match in matches if match and (span := _span(match[1], match[2], size))]
    if not spans:
        raise RangeNotSatisfiable(size)
    if len(spans) > 1 and sum(span.length for span in spans) > size:
        return None
    return spans


def chunk_range(header: str) -> ChunkRange | None:
    """The Content-Range of an upload's chunk, `first-last` with both inclusive; None when it is malformed."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return ChunkRange(first, last - first + 1) if first <= last else None


def _number(digits: str) -> int:
    return int(digits[: _MAX_DIGITS + 1])


def _span(first: str, last: str, size: int) -> Span | None:
    """One range of a size, None when it holds no byte of it."""
    if not first:
        length = min(_number(last), size)
        return Span(size - length, length) if length else None
    start = _number(first)
    end = min(_number(last), size - 1) if last else size - 1
    if start > end:
        return None
    return Span(start, end - start + 1)
