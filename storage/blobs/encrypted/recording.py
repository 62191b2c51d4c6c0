"""What is recorded of an upload that is being sealed, as its one writer changes it."""

from collections.abc import Callable

from storage.blobs.encrypted.beginning import Beginning
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUploads


class Recording:
    """The record of one upload; `mark` is that of the record that is there, None where there is none."""

    def __init__(self, records: SealedUploads, upload_id: str, new_mark: Callable[[], str], mark: str | None) -> None:
        self._records = records
        self._upload_id = upload_id
        self._new_mark = new_mark
        self._mark = mark
        self._began_at = 0
        self._began = Recorded.LATEST
        self._is_marked = False
        self.offset = 0
        """How far the record goes."""
        self.is_open = False
        """Whether this writer had it say that more is being sealed than it tells of."""

    @property
    def is_there(self) -> bool:
        """Whether there is a record."""
        return self._mark is not None

    @property
    def mark(self) -> str:
        """What names just the bytes up to `offset`; empty where others may be meant."""
        return (self._mark or "") if self._is_marked else ""

    async def begin(self, at: Beginning) -> None:
        """Stand where a writer begins; what was cut off must not come back, so the record says so at once."""
        self.offset = self._began_at = at.offset
        if self._mark is not None and not at.is_recorded:
            header = None if at.header is None else at.header.packed()
            await self._save(header, KeptAt(at.offset, at.tail), is_cut=at.is_cut)
        self._is_marked = at.is_marked

    async def open(self, header: bytes, *, is_cut: bool) -> None:
        """Say that more is being sealed than is told: who finds it so knows that segments were thrown away."""
        if self.is_open:
            return
        is_past = self._began is Recorded.EARLIER and self._began_at > 0
        earlier = KeptAt(self._began_at, Recorded.EARLIER) if is_past else None
        there = None if self._mark is None else Recorded.LATEST
        await self._save(header, KeptAt(self.offset, there), earlier, is_open=True, is_cut=is_cut)
        self.is_open = True

    async def keep(self, header: bytes | None, kept: KeptAt, *, is_cut: bool, inner_mark: str) -> None:
        """Tell of all that there is."""
        earlier = KeptAt(self._began_at, self._began) if self._began_at else None
        await self._save(header, kept, earlier, is_cut=is_cut, inner_mark=inner_mark)
        self._began = Recorded.EARLIER
        self.offset, self.is_open, self._is_marked = kept.offset, False, True

    async def tail(self) -> bytes | None:
        """The tail that is recorded; it may go on past `offset`."""
        return None if self._mark is None else await self._records.tail(self._upload_id, self._mark)

    async def remove(self) -> None:
        """Leave nothing of it."""
        if self._mark is not None:
            await self._records.remove(self._upload_id, self._mark)

    async def _save(
        self,
        header: bytes | None,
        latest: KeptAt,
        earlier: KeptAt | None = None,
        *,
        is_cut: bool,
        is_open: bool = False,
        inner_mark: str = "",
    ) -> None:
        mark = self._new_mark()
        self._is_marked = False  # it may be saved even where that is not said
        await self._records.save(
            self._upload_id, Change(self._mark, mark, header, is_open, is_cut, latest, earlier, inner_mark)
        )
        self._mark = mark
