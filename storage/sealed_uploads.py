"""What must be known of an unfinished upload, besides its sealed bytes, to go on with it.

Full segments are in the store. The bytes after them, fewer than a segment, are here: sealed as an object of their own.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from storage.staging_records import StagingRecord


class Recorded(Enum):
    """One of the two tails that a record holds."""

    LATEST = auto()
    EARLIER = auto()


@dataclass(frozen=True, slots=True)
class KeptAt:
    """An offset that an upload can be gone on with from; `tail` seals the bytes after its last full segment, if any.

    A tail may be one that is recorded, and may seal more bytes: those past the offset do not count.
    """

    offset: int
    tail: bytes | Recorded | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SealedUpload:
    """An unfinished upload as its last writer left it, without the tails."""

    mark: str
    """Drawn whenever this is written: whoever knows it knows these very bytes."""
    header: bytes | None
    """The header of the object; None while no segment was sealed."""
    is_open: bool
    """A writer seals more than this tells of, and has not told how much."""
    is_cut: bool
    """Segments of the object were sealed and thrown away: who could copy them may have kept them."""
    latest: int
    """The offset that was kept last."""
    earlier: int | None = None
    """Where the last writer began, if that is another."""
    inner_mark: str = ""
    """What the store said of the full segments when `latest` was kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a record is to be; `before` is the mark of the one that it replaces, None where there is none."""

    before: str | None
    mark: str
    header: bytes | None
    is_open: bool
    is_cut: bool
    latest: KeptAt
    earlier: KeptAt | None = None
    inner_mark: str = ""


class SealedUploads(Protocol):
    """The records of all unfinished uploads that are sealed, shared by all processes of all nodes."""

    async def find(self, upload_id: str) -> SealedUpload | None:
        """The record of an upload, None where there is none."""

    async def tail(self, upload_id: str, mark: str) -> bytes | None:
        """The tail of the latest; raises StagedBytesBusy where the record has another mark, or there is none."""

    async def have(self, upload_id: str) -> bool:
        """Whether there is a record of an upload."""

    async def save(self, upload_id: str, change: Change) -> None:
        """Change a record; raises StagedBytesBusy where another writer changed it meanwhile."""

    async def remove(self, upload_id: str, mark: str) -> None:
        """Forget an upload; does nothing where the record has another mark, or there is none."""

    def all(self) -> AsyncGenerator[StagingRecord, None]:
        """Every record, in bounded memory, in no particular order."""
