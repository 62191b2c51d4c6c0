"""What a store in S3 and all its writers work with."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.parts import PartSizes
from storage.budget import BufferBudget
from storage.staging_records import StagingRecords


def _one_at_a_time() -> asyncio.Semaphore:
    return asyncio.Semaphore(1)


@dataclass(frozen=True, slots=True)
class Tools:
    """What one store works with; few may be `gathering` pieces at a time, for that memory is not counted."""

    bucket: Bucket
    records: StagingRecords
    budget: BufferBudget
    hashing: Executor
    new_suffix: Callable[[], str]
    sizes: PartSizes
    gathering: asyncio.Semaphore = field(default_factory=_one_at_a_time)
    unreleased: set[tuple[str, str]] = field(default_factory=set)
    """Uploads and their writers that are to be let go once the records answer."""
