"""Re-encrypting the domains that somebody asked for, and removing what was replaced once nobody reads it any more.

- Each time it begins with one question that is answered by an index; where nothing is to be done, nothing is written.
- What was asked for is done when the run ends: objects that cannot be rewritten are told, and not tried for ever. A run
  that could not go on is tried again.
"""

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.core.reencryption import Reencryption, grace_of
from registry.jobs.scheduler import Job
from registry.logs import logger
from storage.errors import DomainUnusable, StorageError
from storage.metadata import reencryption
from storage.metadata.database import Database
from storage.metadata.reencryption import Request, Wanted

_EVERY_SECONDS: Final = 15
_TOLD_EVERY_SECONDS: Final = 60.0


class Reencrypting:
    """What the job does; where nothing is encrypted, what was asked for waits. `now` gives seconds since the epoch."""

    def __init__(
        self, database: Database, places: Places, seals: ManifestSeals, now: Callable[[], float], *, encrypts: bool
    ) -> None:
        self._database = database
        self._places = places
        self._seals = seals
        self._now = now
        self._encrypts = encrypts

    async def run(self) -> None:
        """Do what is to be done; raises what kept it from removing what was replaced."""
        requests, has_replaced = await self._database.read(
            lambda c: (reencryption.list_requests(c), reencryption.has_replaced(c))
        )
        for request in requests if self._encrypts else ():
            await self._try(request)
        if requests or has_replaced:
            await self._work(None).remove_replaced()

    async def _try(self, request: Request) -> None:
        """Re-encrypt a domain; what keeps it from going on keeps no other from it, and is told and tried again."""
        try:
            await self._reencrypt(request)
        except DomainUnusable as error:
            logger().warning("an encryption domain is not re-encrypted", domain=request.domain, reason=str(error))
        except StorageError as error:
            logger().warning(
                "re-encrypting a domain failed and will be tried again", domain=request.domain, error=error.in_full
            )
            return
        await self._database.write(lambda c: reencryption.finish_request(c, request))

    async def _reencrypt(self, request: Request) -> None:
        await self._seals.require_key(request.domain)  # rather than to learn from every object that it cannot be had
        work = self._work(request.domain)
        total, told_at = await work.count(), self._now()
        rewritten = failed = 0
        async with aclosing(work.run()) as done:
            async for each in done:
                if each.problem:
                    failed += 1
                    logger().error("an object cannot be re-encrypted", digest=each.digest, problem=each.problem)
                else:
                    rewritten += 1
                if self._now() - told_at >= _TOLD_EVERY_SECONDS:
                    told_at = self._now()
                    _tell("an encryption domain is being re-encrypted", request, rewritten, failed, total)
        _tell("an encryption domain was re-encrypted", request, rewritten, failed, total)

    def _work(self, domain: str | None) -> Reencryption:
        return Reencryption(
            self._database,
            self._places,
            self._seals,
            Wanted(seals=True, domain=domain),
            self._now,
            grace_seconds=grace_of(self._places),
        )


def reencrypting(database: Database, places: Places, seals: ManifestSeals, *, encrypts: bool) -> Job:
    """The job that does so."""
    work = Reencrypting(database, places, seals, time.time, encrypts=encrypts)
    return Job("reencrypt", every_seconds=_EVERY_SECONDS, run=work.run)


def _tell(event: str, request: Request, rewritten: int, failed: int, total: int) -> None:
    logger().info(event, domain=request.domain, rewritten=rewritten, failed=failed, total=total)
