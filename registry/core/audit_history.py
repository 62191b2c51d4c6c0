"""Reading the audit trail: searching it, proving it whole, and cutting off its old end."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from storage.metadata.audit import EVERYTHING, AuditQuery, Place, check_events, cut_events, list_events
from storage.metadata.audit_event import ChainCheck, RecordedEvent
from storage.metadata.database import Database

# Measured: 20 µs an event; a larger cut would keep others from writing for longer than 50 ms.
_CUT: Final = 2000
_PAGE: Final = 1000


class AuditHistory:
    """The events of all workers and nodes, as far back as they are kept; `key` is the one that sealed them."""

    def __init__(self, activity: Database, key: bytes, now: Callable[[], float]) -> None:
        self._activity = activity
        self._key = key
        self._now = now

    async def page(
        self, query: AuditQuery, *, after: Place | None = None, limit: int, newest_first: bool = True
    ) -> list[RecordedEvent]:
        """At most `limit` events that follow a place in the order of time; raises AuditTrailBroken."""
        return await self._activity.scan(
            lambda c: list_events(c, query, after=after, limit=limit, newest_first=newest_first)
        )

    async def events(self, query: AuditQuery = EVERYTHING) -> AsyncIterator[RecordedEvent]:
        """All events that are looked for, the oldest first, however many; raises AuditTrailBroken."""
        after: Place | None = None
        while page := await self.page(query, after=after, limit=_PAGE, newest_first=False):
            for recorded in page:
                yield recorded
            after = page[-1].place

    async def check(self, told: Callable[[int], None] = lambda _: None) -> int:
        """Prove that nothing was changed, added or removed; how many events there are. Raises AuditTrailBroken.

        Events that vanished from the newest end are missed only by who knows of them: by the file, or by an export.
        `told` is called now and then with the number of events checked so far.
        """
        chain = ChainCheck(self._key)
        after: int | None = 0
        while after is not None:
            after = await self._check_page(chain, after)
            told(chain.events)
        chain.finish()
        return chain.events

    async def cut(self, before: float) -> int:
        """Cut off what happened before a time, and record that; how many events went."""
        total = 0
        while cut := await self._cut_page(before):
            total += cut
            if cut < _CUT:
                break
        return total

    async def _check_page(self, chain: ChainCheck, after: int) -> int | None:
        return await self._activity.scan(lambda c: check_events(c, chain, after=after, limit=_PAGE))

    async def _cut_page(self, before: float) -> int:
        now = self._now()
        return await self._activity.write(lambda c: cut_events(c, self._key, before=before, most=_CUT, now=now))
