"""Re-encrypting the domains that somebody asked for, and removing what was replaced once nobody reads it any more."""

import time
from typing import Final

from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.core.reencryption import Reencryption
from registry.jobs.scheduler import Job
from registry.logs import logger
from storage.metadata import reencryption
from storage.metadata.database import Database
from storage.metadata.reencryption import Wanted

_EVERY_SECONDS: Final = 15
_GRACE_SECONDS: Final = 60
"""Longer than it takes from looking a copy up to opening it, or to ask a bucket for the next part of it."""


def reencrypting(database: Database, places: Places, seals: ManifestSeals, *, encrypts: bool) -> Job:
    """The job that does so; where nothing is encrypted, what was asked for waits."""

    async def run() -> None:
        for domain in await database.read(reencryption.requested) if encrypts else ():
            await _reencrypt(Reencryption(database, places, seals, Wanted(seals=True, domain=domain), time.time))
            await database.write(lambda c, domain=domain: reencryption.finish_request(c, domain))  # type: ignore[misc]  # mypy cannot infer it
        everything = Reencryption(database, places, seals, Wanted(seals=encrypts), time.time)
        await everything.remove_replaced(before=time.time() - _GRACE_SECONDS)

    return Job("reencrypt", every_seconds=_EVERY_SECONDS, run=run)


async def _reencrypt(work: Reencryption) -> None:
    rewritten = failed = 0
    async for each in work.run():
        if each.problem:
            failed += 1
            logger().error("an object cannot be re-encrypted", digest=each.digest, problem=each.problem)
        else:
            rewritten += 1
    logger().info("an encryption domain was re-encrypted", rewritten=rewritten, failed=failed)
