"""The audit trail of a registry, put together from its settings: where it is written, and who hears of troubles."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from auth.sealing import subkey
from registry.config import AuditSettings
from registry.core.audit import LOST_EVENTS, UNWRITTEN_LINES, AuditTrail
from registry.core.audit_file import AuditFile
from registry.core.audit_history import AuditHistory
from registry.core.metrics import CountWriter
from registry.jobs.scheduler import Job
from registry.logs import logger
from storage.metadata.audit_event import AuditEvent, EventKind, event_document
from storage.metadata.database import Database

_PURPOSE: Final = "audit"
_TOLD_EVERY_SECONDS: Final = 60
_HOUR: Final = 3600
_UNSEEN: Final = frozenset({EventKind.PULL, EventKind.AUTHENTICATE})


class LoggedTroubles:
    """Counts what could not be written, and logs it: a change or refusal whole, all else once a minute."""

    def __init__(self, counts: CountWriter, now: Callable[[], float]) -> None:
        """`now` counts seconds and never goes back."""
        self._counts = counts
        self._now = now
        self._told_at = -float(_TOLD_EVERY_SECONDS)

    def lost(self, events: Sequence[AuditEvent], error: Exception) -> None:
        """Keep in the log what the trail does not have."""
        self._counts.add(self._counts.slot(LOST_EVENTS.key()), len(events))
        for event in events:
            if event.event not in _UNSEEN:
                logger().error("an event is missing in the audit trail", audit=event_document(None, event))
        self._tell("the audit trail does not take events", error)

    def unwritten(self, lines: int, error: OSError) -> None:
        """Say that the file lacks what the database has."""
        self._counts.add(self._counts.slot(UNWRITTEN_LINES.key()), lines)
        self._tell("the audit file does not take events", error)

    def _tell(self, message: str, error: Exception) -> None:
        if self._now() - self._told_at >= _TOLD_EVERY_SECONDS:
            self._told_at = self._now()
            logger().error(message, error=str(error) or type(error).__name__)


@asynccontextmanager
async def recording(
    settings: AuditSettings, activity: Database, durable: Database, secrets_key: bytes, counts: CountWriter
) -> AsyncIterator[AuditTrail]:
    """A trail that writes while the block runs; `durable` is the activity database, waiting for the disk."""
    file = None if settings.file is None else AuditFile(settings.file)
    troubles = LoggedTroubles(counts, time.monotonic)
    trail = AuditTrail(activity, durable, key_of_trail(secrets_key), troubles, file)
    try:
        async with trail.running():
            yield trail
    finally:
        if file is not None:
            file.close()


def key_of_trail(secrets_key: bytes) -> bytes:
    """The key that seals the events of a registry."""
    return subkey(secrets_key, _PURPOSE)


def history_of(activity: Database, secrets_key: bytes) -> AuditHistory:
    """What was recorded, for who may read it."""
    return AuditHistory(activity, key_of_trail(secrets_key), time.time)


def cutting(activity: Database, secrets_key: bytes, retention_seconds: float) -> Job:
    """The job that cuts off what is older than it is to be kept."""
    history = history_of(activity, secrets_key)

    async def cut() -> None:
        await history.cut(time.time() - retention_seconds)

    return Job("cut-audit-trail", every_seconds=min(_HOUR, max(1, retention_seconds / 4)), run=cut)
