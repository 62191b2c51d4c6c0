"""SQL of the audit trail: appending in one chain, whoever writes; searching; cutting off the old end; checking.

- An append reads the newest event and writes after it while nobody else can: SQLite's write transactions are serial,
  and on PostgreSQL every append waits for one lock.
- The newest event is never cut off, so that the next one always has one to follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import orjson
from sqlalchemy import Column, ColumnElement, Connection, and_, delete, func, insert, select, tuple_, type_coerce
from sqlalchemy.types import NullType

from storage.errors import AuditTrailBroken
from storage.metadata.activity_schema import audit_event
from storage.metadata.audit_event import (
    CUT,
    THE_REGISTRY,
    AuditEvent,
    ChainCheck,
    EventKind,
    RecordedEvent,
    Statement,
    Verdict,
    event_document,
    seal_after,
    statement_document,
)
from storage.metadata.prepared import Prepared, Value

_LOCK: Final = 0x6C6164696E67  # "lading", among the advisory locks of a PostgreSQL database
_BEYOND: Final = "\U0010ffff"
_c = audit_event.c
_EVENT: Final = (_c.id, _c.at, _c.event, _c.principal, _c.source, _c.action, _c.resource, _c.decision, _c.request_id)

Place = tuple[float, int]
"""Where an event is in the order of time: when it happened, and its id."""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which events are looked for; times in seconds, `since` inclusive and `until` exclusive.

    A principal, action or resource that ends in `*` stands for all that begin so; a bare `*` is the registry itself.
    """

    since: float | None = None
    until: float | None = None
    event: EventKind | None = None
    decision: Verdict | None = None
    principal: str | None = None
    action: str | None = None
    resource: str | None = None


_ADD: Final = Prepared(insert(audit_event))
_NEWEST: Final = Prepared(select(_c.id, _c.chain).order_by(_c.id.desc()).limit(1))

EVERYTHING: Final = AuditQuery()


def append_events(connection: Connection, key: bytes, events: Sequence[AuditEvent]) -> list[RecordedEvent]:
    """Add events at the end, in this order."""
    _take_turn(connection)
    last_id, seal = _NEWEST.row(connection) or (0, b"")
    recorded = []
    for event_id, event in enumerate(events, last_id + 1):
        seal = seal_after(seal, key, event_document(event_id, event))
        recorded.append(RecordedEvent(event_id, event, seal))
    _ADD.many(connection, [_row(each) for each in recorded])
    return recorded


def list_events(
    connection: Connection, query: AuditQuery, *, after: Place | None, limit: int, newest_first: bool
) -> list[RecordedEvent]:
    """A page of events in the order of time; `after` is the place of the last event of the page before.

    Raises AuditTrailBroken for an event that cannot be read.
    """
    place = tuple_(_c.at, _c.id)
    chosen = list(_conditions(query))
    if after is not None:
        chosen.append(place < after if newest_first else place > after)
    order = (_c.at.desc(), _c.id.desc()) if newest_first else (_c.at, _c.id)
    rows = connection.execute(_all_columns().where(*chosen).order_by(*order).limit(limit))
    return [_read(row) for row in rows]


def check_events(connection: Connection, check: ChainCheck, *, after: int, limit: int) -> int | None:
    """Check the events whose ids follow `after`; the last id of them, None when there are no more.

    Raises AuditTrailBroken.
    """
    last = None
    for row in connection.execute(_all_columns().where(_c.id > after).order_by(_c.id).limit(limit)):
        recorded = _read(row)
        check.take(recorded.id, recorded.seal, recorded.document())
        last = recorded.id
    return last


def cut_events(connection: Connection, key: bytes, *, before: float, most: int, now: float) -> int:
    """Cut off events at the old end that happened before a time, and record it; how many, at most so many."""
    _take_turn(connection)
    oldest = connection.execute(select(_c.id, _c.at).order_by(_c.id).limit(most + 1)).all()
    through, cut = 0, 0
    for (event_id, at), _following in pairwise(oldest):
        if at >= before:
            break
        through, cut = event_id, cut + 1
    if cut:
        connection.execute(delete(audit_event).where(_c.id <= through))
        append_events(connection, key, [_cutting(through, cut, now)])
    return cut


def _cutting(through: int, cut: int, now: float) -> AuditEvent:
    details = {"through": through, "events": cut}
    return AuditEvent(now, EventKind.CHANGE, THE_REGISTRY, "", CUT, "*", Verdict.ALLOWED, "", details=details)


def _take_turn(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _conditions(query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    if query.since is not None:
        yield _c.at >= query.since
    if query.until is not None:
        yield _c.at < query.until
    for column, word in ((_c.event, query.event), (_c.decision, query.decision)):
        if word is not None:
            yield column == word.value
    for column, text in ((_c.principal, query.principal), (_c.action, query.action), (_c.resource, query.resource)):
        if text is not None:
            yield _is_like(column, text)


def _is_like(column: Column[str], text: str) -> ColumnElement[bool]:
    start = text[:-1]
    if not start or text[-1] != "*":
        return column == text
    return and_(column >= start, column < start + _BEYOND)


def _all_columns() -> Any:  # noqa: ANN401  its type would name every column
    # The seal as it is: what somebody wrote there may be no bytes.
    return select(*_EVENT, _c.statement, _c.details, type_coerce(_c.chain, NullType()))


def _row(recorded: RecordedEvent) -> dict[str, Value]:
    event = recorded.event
    statement = None if event.statement is None else orjson.dumps(statement_document(event.statement)).decode()
    return {
        "id": recorded.id,
        "at": event.at,
        "event": event.event.value,
        "principal": event.principal,
        "source": event.source,
        "action": event.action,
        "resource": event.resource,
        "decision": event.decision.value,
        "statement": statement,
        "request_id": event.request_id,
        "details": orjson.dumps(event.details).decode(),
        "chain": recorded.seal,
    }


def _read(row: Sequence[Any]) -> RecordedEvent:
    event_id, at, kind, principal, source, action, resource, decision, request_id, statement, details, seal = row
    try:
        event = AuditEvent(
            at,
            EventKind(kind),
            principal,
            source,
            action,
            resource,
            Verdict(decision),
            request_id,
            None if statement is None else Statement(**orjson.loads(statement)),
            orjson.loads(details),
        )
        recorded = RecordedEvent(event_id, event, seal)
        recorded.line()  # what somebody wrote into the row may be nothing that JSON can say
    except (AttributeError, ValueError, TypeError, OverflowError) as error:
        raise AuditTrailBroken(event_id, "it cannot be read") from error
    return recorded
