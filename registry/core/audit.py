"""Recording who did what: events go into the trail in the order in which they were told, a batch at a time.

- `record` returns when the event is written: for refusals, pushes, deletions, changes and damage, before the answer.
- `note` returns at once: for pulls and logins. They are written within a second, or when the server stops; a worker
  that is killed takes the last second of them with it.
- Deletions, changes and damage, and all before them, are on the disk when they are recorded; others may be lost in a
  power cut.
- What cannot be written is told to the troubles and given up: the thing itself has happened, and reading goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from registry.core.audit_file import AuditFile
from registry.core.metrics import Metric
from storage.metadata.audit import append_events
from storage.metadata.audit_event import AuditEvent, EventKind, RecordedEvent, unsealed_line
from storage.metadata.database import Database, ReadsAtOnce

LOST_EVENTS: Final = Metric(
    "lading_audit_lost_events_total", "Events that the audit trail could not take; the log tells of them.", "counter"
)
UNWRITTEN_LINES: Final = Metric(
    "lading_audit_unwritten_lines_total", "Events that the audit file could not take.", "counter"
)
AUDIT_METRICS: Final = (LOST_EVENTS, UNWRITTEN_LINES)

_DURABLE: Final = frozenset({EventKind.DELETE, EventKind.CHANGE, EventKind.DAMAGE})
# Measured on SQLite, in a thread of its own: 16 µs an event in batches of 256, 20 in those of 64.
_BATCH: Final = 256
# PostgreSQL is written to from the event loop, which a larger batch would hold up.
_BATCH_ON_LOOP: Final = 64
_LATE_SECONDS: Final = 1.0
_MOST_WAITING: Final = 10_000
_PATIENCE_SECONDS: Final = 5.0


class Troubles(Protocol):
    """Who hears of what could not be written."""

    def lost(self, events: Sequence[AuditEvent], error: Exception) -> None:
        """These events are not in the trail, or come late."""

    def unwritten(self, lines: int, error: OSError) -> None:
        """So many events are missing in the file."""


@dataclass(slots=True)  # as an event
class _Waiting:
    event: AuditEvent
    written: "asyncio.Future[None] | None" = None


class AuditTrail:
    """Records the events of one worker; `key` seals them."""

    def __init__(
        self, activity: Database, durable: Database, key: bytes, troubles: Troubles, file: AuditFile | None = None
    ) -> None:
        """`durable` is the activity database again, through connections that wait for the disk."""
        self._activity = activity
        self._durable = durable
        self._key = key
        self._troubles = troubles
        self._file = file
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._is_away = False
        self._is_closing = False
        self._most = _BATCH if isinstance(activity, ReadsAtOnce) else _BATCH_ON_LOOP

    async def record(self, event: AuditEvent) -> None:
        """Write an event, and return when it is written or given up."""
        if self._is_closing:
            self._troubles.lost([event], RuntimeError("the server has stopped"))
            return
        written = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, written))
        self._wake.set()
        await written

    async def note(self, event: AuditEvent) -> None:
        """Have an event written soon; waits only where more wait already than memory should hold."""
        if self.note_at_once(event):
            return
        if self._is_away:
            self._troubles.lost([event], TimeoutError("too many events wait for the database"))
        else:
            await self.record(event)

    def note_at_once(self, event: AuditEvent) -> bool:
        """Have an event written soon; False where more wait already than memory should hold."""
        if len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting.append(_Waiting(event))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATE_SECONDS, self._wake.set)
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background while the block runs, and what is left at its end."""
        writing = asyncio.ensure_future(self._write_on())
        try:
            yield
        finally:
            self._is_closing = True
            self._wake.set()
            await writing

    async def _write_on(self) -> None:
        while self._waiting or not self._is_closing:
            await self._wake.wait()
            self._wake.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            while self._waiting:
                batch, self._waiting[: self._most] = self._waiting[: self._most], []
                await self._write(batch)

    async def _write(self, batch: list[_Waiting]) -> None:
        events = [waiting.event for waiting in batch]
        recorded: list[RecordedEvent] | None = None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                recorded = await self._database_for(events).write(lambda c: append_events(c, self._key, events))
        except Exception as error:  # noqa: BLE001  every caller is answered, whatever went wrong
            self._troubles.lost(events, error)
        self._is_away = recorded is None
        if self._file is not None:
            await self._write_lines(self._file, events, recorded)
        for waiting in batch:
            if waiting.written is not None and not waiting.written.done():
                waiting.written.set_result(None)

    def _database_for(self, events: Sequence[AuditEvent]) -> Database:
        return self._durable if any(event.event in _DURABLE for event in events) else self._activity

    async def _write_lines(
        self, file: AuditFile, events: Sequence[AuditEvent], recorded: Sequence[RecordedEvent] | None
    ) -> None:
        """Write to the file what is in the trail, and all the more what is not."""
        lines = [event.line() for event in recorded] if recorded else [unsealed_line(event) for event in events]
        try:
            await asyncio.to_thread(file.append, lines)
        except OSError as error:
            self._troubles.unwritten(len(events), error)
