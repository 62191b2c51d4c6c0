"""Runs jobs when they are due, on whichever worker of whichever node gets their lease first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from registry.core.errors import RegistryError
from registry.logs import logger
from storage.errors import StorageError
from storage.metadata import leases
from storage.metadata.database import Database

# A worker that dies in the middle of a job keeps others from it for so long at most.
_LEASE_SECONDS = 60
_RENEW_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due every so often; it must be safe to stop at any point and to start over."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[None]]


class Scheduler:
    """Runs the jobs of one worker; `holder` names the worker among all of all nodes."""

    def __init__(self, database: Database, jobs: Sequence[Job], *, holder: str, now: Callable[[], float]) -> None:
        self._database = database
        self._jobs = jobs
        self._holder = holder
        self._now = now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs in the background while the block runs."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._repeat(job)) for job in self._jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def run_if_due(self, job: Job) -> bool:
        """Run a job unless another worker does or did within its interval."""
        if not await self._take(job.name, _LEASE_SECONDS):
            return False
        renewing = asyncio.ensure_future(self._renew(job.name))
        try:
            await job.run()
        finally:
            renewing.cancel()
        # Holding on until the next one is due keeps the other workers from doing the work again.
        await self._take(job.name, job.every_seconds * 0.9)
        return True

    async def _repeat(self, job: Job) -> None:
        while True:
            await asyncio.sleep(job.every_seconds)
            try:
                await self.run_if_due(job)
            except (StorageError, RegistryError) as error:
                logger().warning("a job failed and will be tried again", job=job.name, error=str(error))

    async def _renew(self, name: str) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._take(name, _LEASE_SECONDS)

    async def _take(self, name: str, seconds: float) -> bool:
        now = self._now()
        return await self._database.write(lambda c: leases.take_lease(c, name, self._holder, now=now, seconds=seconds))
