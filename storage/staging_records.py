"""What a store without files keeps elsewhere about staged bytes, and who may write them.

A writer holds an upload for as long as its process keeps saying that it lives. One that was taken for dead and is not
finds out at its next `save`, which tells whether the upload is still its own.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """What a new writer takes over: `state` is the store's own text; `was_held`: the writer before it never let go."""

    state: str | None
    was_held: bool


@dataclass(frozen=True, slots=True)
class StagingRecord:
    """Staged bytes that a record tells of; the time is in seconds since the epoch."""

    upload_id: str
    size: int
    touched_at: float


class StagingRecords(Protocol):
    """The records of all staged uploads, shared by all processes of all nodes."""

    async def take(self, upload_id: str, writer: str) -> Taken:
        """Hold an upload for a writer; raises StagedBytesBusy while another writer's process lives."""

    async def save(self, upload_id: str, writer: str, state: str, size: int) -> None:
        """Write down what is staged; raises StagedBytesBusy when the upload is no longer this writer's."""

    async def release(self, upload_id: str, writer: str) -> None:
        """Let the next writer have it; does nothing when it is no longer this writer's."""

    async def remove(self, upload_id: str, writer: str) -> bool:
        """Forget an upload; False, and nothing is done, when it is no longer this writer's."""

    async def still_here(self) -> None:
        """Say that this process lives; to be said every few seconds while it holds anything."""

    async def have(self, upload_id: str) -> bool:
        """Whether there is a record of an upload."""

    def all(self) -> AsyncGenerator[StagingRecord, None]:
        """Every record, in bounded memory, in no particular order."""
