"""Where a writer of sealed bytes goes on: as far as was promised and as the inner store and the record can say."""

from collections.abc import Iterator
from dataclasses import dataclass

from storage.encryption.header import Header, Layout
from storage.sealed_uploads import KeptAt, Recorded, SealedUpload


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a writer begins: after `segments` full segments and what `at` holds, in an object with a header."""

    at: KeptAt
    place: KeptAt | Recorded
    """Where the record has it; itself, where it has no tail."""
    offset: int = 0
    """How many bytes it begins after: fewer than `at` says, where its tail is cut off."""
    segments: int = 0
    header: Header | None = None
    mark: str = ""
    """The record's mark, where it tells of just these bytes."""
    is_cut: bool = False
    """Segments of the object were thrown away before."""

    @property
    def sealed_bytes(self) -> int:
        """What the inner store must hold."""
        return self.header.layout.place(self.segments) if self.header is not None else 0


FROM_NOTHING = Beginning(KeptAt(0), KeptAt(0))


def beginning(
    record: SealedUpload | None, promised: int, layout: Layout, *, most_sealed: int | None = None
) -> Beginning:
    """The furthest beginning that is not past the offset that was promised, nor past what the inner store holds.

    `layout` is that of an object that is begun now. What is there without a record was staged in plain, and must not
    stay so.
    """
    possible = [] if record is None else list(_possible(record, promised, layout))
    reached = [each for each in possible if most_sealed is None or each.sealed_bytes <= most_sealed]
    return max(reached, key=lambda each: (each.offset, bool(each.mark)), default=FROM_NOTHING)


def _possible(record: SealedUpload, promised: int, layout: Layout) -> Iterator[Beginning]:
    header = None if record.header is None else Header.parse(record.header)
    layout = layout if header is None else header.layout
    for at, place in ((record.latest, Recorded.LATEST), (record.earlier, Recorded.EARLIER)):
        segments = 0 if at is None else at.offset >> layout.segment_bits
        if at is None or promised < segments << layout.segment_bits:
            continue
        is_whole_truth = place is Recorded.LATEST and not record.is_open
        yield Beginning(
            at,
            place,
            min(promised, at.offset),
            segments,
            header if segments else None,
            record.mark if is_whole_truth and promised >= at.offset else "",
            segments > 0 and (record.is_cut or not is_whole_truth),
        )
    segments = promised >> layout.segment_bits
    if header is not None and segments:
        at = KeptAt(segments << layout.segment_bits)
        yield Beginning(at, at, at.offset, segments, header, is_cut=True)
