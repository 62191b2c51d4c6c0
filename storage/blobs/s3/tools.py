"""What all writers of one store share."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.parts import PartSizes
from storage.budget import BufferBudget
from storage.staging_records import StagingRecords


@dataclass(frozen=True, slots=True)
class Tools:
    """What all writers of a store work with; few may `gather` pieces at a time, for that memory is not counted."""

    bucket: Bucket
    records: StagingRecords
    budget: BufferBudget
    sizes: PartSizes
    hashing: Executor
    gathering: asyncio.Semaphore
    new_suffix: Callable[[], str]
    press: Callable[[], None]
    """Asks the writers of idle clients for their memory."""
    unreleased: set[tuple[str, str]]
    """Uploads and their writers that are to be let go once the records answer."""
