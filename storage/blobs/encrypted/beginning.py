"""Where a writer of sealed bytes goes on: as far as was promised and as the inner store and the record can say."""

from collections.abc import Iterator
from dataclasses import dataclass

from storage.encryption.header import HEADER_BYTES, Header, Layout
from storage.sealed_uploads import KeptAt, Recorded, SealedUpload


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a writer begins: after `segments` full segments of an object, and a tail that is recorded, if any."""

    offset: int = 0
    tail: Recorded | None = None
    segments: int = 0
    header: Header | None = None
    is_recorded: bool = True
    """The record's latest is just this, or there is none."""
    is_marked: bool = False
    """The record's mark names just these bytes, if the inner store's is the one that the record tells of."""
    inner_mark: str = ""
    is_cut: bool = False
    """Segments of the object were thrown away before."""

    @property
    def kept(self) -> KeptAt:
        """It, as a record has it."""
        return KeptAt(self.offset, self.tail)

    @property
    def sealed_bytes(self) -> int:
        """What the inner store must hold."""
        return self.header.layout.place(self.segments) if self.header is not None else 0


def beginning(record: SealedUpload | None, promised: int, layout: Layout, most_sealed: int | None = None) -> Beginning:
    """The furthest beginning that is not past the offset that was promised, nor past what the inner store holds.

    `layout` is that of an object that is begun now. What is there without a record was staged in plain, and must not
    stay so.
    """
    if record is None:
        return Beginning()
    header = None if record.header is None else Header.parse(record.header)
    possible = [*_recorded(record, promised, header, layout), *_full(promised, header, most_sealed)]
    reached = [each for each in possible if most_sealed is None or each.sealed_bytes <= most_sealed]
    nothing = Beginning(is_recorded=record.latest == 0)
    return max(reached, key=lambda each: (each.offset, each.is_recorded), default=nothing)


def _recorded(record: SealedUpload, promised: int, header: Header | None, layout: Layout) -> Iterator[Beginning]:
    """What the record tells of, cut off at what was promised where that is within the tail."""
    sealed = layout if header is None else header.layout
    for offset, tail in ((record.latest, Recorded.LATEST), (record.earlier, Recorded.EARLIER)):
        segments = 0 if header is None else sealed.index(offset or 0)
        start = segments * sealed.segment
        # A tail of a time when segments were larger may have no place in one of an object that is begun now.
        if not offset or promised < start or (not segments and offset >= layout.segment):
            continue
        is_latest = tail is Recorded.LATEST
        at = min(promised, offset)
        yield Beginning(
            at,
            tail if at > start else None,
            segments,
            header if segments else None,
            is_recorded=is_latest and at == offset,
            is_marked=is_latest and at == offset and not record.is_open,
            inner_mark=record.inner_mark,
            is_cut=segments > 0 and (record.is_cut or record.is_open or not is_latest),
        )


def _full(promised: int, header: Header | None, most_sealed: int | None) -> Iterator[Beginning]:
    """As many full segments as there are, of a writer that did not tell of them."""
    if header is None:
        return
    layout = header.layout
    segments = layout.index(promised)
    if most_sealed is not None:
        segments = min(segments, max(0, most_sealed - HEADER_BYTES) // layout.sealed_segment)
    if segments:
        yield Beginning(segments * layout.segment, None, segments, header, is_recorded=False, is_cut=True)
