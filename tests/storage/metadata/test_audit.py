"""The audit trail in the database: one chain whoever writes, found by every filter, cut and checked."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event

from storage.errors import AuditTrailBroken
from storage.metadata.audit import (
    EVERYTHING,
    AuditQuery,
    Place,
    append_events,
    check_events,
    cut_events,
    list_events,
)
from storage.metadata.audit_event import (
    CUT,
    AuditEvent,
    ChainCheck,
    EventKind,
    RecordedEvent,
    Statement,
    Verdict,
    is_sealed,
)
from storage.metadata.database import Database
from storage.metadata.migration import ACTIVITY_SCHEMA
from tests.contracts.database_places import Place as DatabasePlace

KEY = b"k" * 32
EVENT = AuditEvent(
    at=1000.25,
    event=EventKind.PUSH,
    principal="arn:aws:iam::000000000000:user/alice",
    source="192.0.2.1",
    action="ecr:PutImage",
    resource="arn:aws:ecr:local:000000000000:repository/team/app",
    decision=Verdict.ALLOWED,
    request_id="0123456789abcdef",
    statement=Statement("own", None, 2),
    details={"tag": "latest", "bytes": 5, "user_agent": "\u202e\u0000\U0001f600"},
)


async def append(activity: Database, *events: AuditEvent) -> list[RecordedEvent]:
    return await activity.write(lambda c: append_events(c, KEY, events))


async def check(activity: Database, key: bytes = KEY, limit: int = 3) -> int:
    """Check all events; how many there are."""
    chain, after = ChainCheck(key), 0
    while (last := await activity.scan(lambda c: check_events(c, chain, after=after, limit=limit))) is not None:  # noqa: B023
        after = last
    chain.finish()
    return chain.events


async def found(activity: Database, query: AuditQuery = EVERYTHING, *, newest_first: bool = False) -> list[int]:
    """Ids in the order of the pages, which are short."""
    ids: list[int] = []
    after: Place | None = None
    while page := await activity.scan(
        lambda c: list_events(c, query, after=after, limit=2, newest_first=newest_first)  # noqa: B023
    ):
        ids += [recorded.id for recorded in page]
        after = page[-1].event.at, page[-1].id
    return ids


async def test_an_event_is_found_as_it_was_recorded(activity: Database) -> None:
    (recorded,) = await append(activity, EVENT)

    page = await activity.scan(lambda c: list_events(c, EVERYTHING, after=None, limit=10, newest_first=True))

    assert page == [recorded]
    assert recorded.id == 1
    assert recorded.document() == {
        "id": 1,
        "time": "1970-01-01T00:16:40.250000Z",
        "event": "push",
        "principal": EVENT.principal,
        "source": "192.0.2.1",
        "action": "ecr:PutImage",
        "resource": EVENT.resource,
        "decision": "allowed",
        "statement": {"policy": "own", "sid": None, "index": 2},
        "request_id": "0123456789abcdef",
        "details": EVENT.details,
    }


async def test_ids_count_without_a_gap(activity: Database) -> None:
    first = await append(activity, EVENT, EVENT)
    second = await append(activity, EVENT)

    assert [recorded.id for recorded in first + second] == [1, 2, 3]
    assert await append(activity) == []


async def test_writers_at_once_make_one_chain(place: DatabasePlace, activity: Database) -> None:
    """Two processes, each with two connections; a change that fails leaves no hole."""

    def fail(connection: Connection) -> None:
        append_events(connection, KEY, [EVENT])
        raise LookupError

    async with place.opened(ACTIVITY_SCHEMA) as other:
        writes: list[Any] = [
            (activity, other)[n % 2].write(fail) if n % 7 == 0 else append((activity, other)[n % 2], *[EVENT] * (n % 4))
            for n in range(60)
        ]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {list, LookupError}
    written = sum(n % 4 for n in range(60) if n % 7)
    assert await check(activity) == written
    assert await found(activity) == list(range(1, written + 1))


QUERIES: list[tuple[AuditQuery, Callable[[AuditEvent], bool]]] = [
    (EVERYTHING, lambda _: True),
    (AuditQuery(since=1003, until=1007), lambda e: 1003 <= e.at < 1007),
    (AuditQuery(event=EventKind.PULL), lambda e: e.event is EventKind.PULL),
    (AuditQuery(decision=Verdict.REFUSED), lambda e: e.decision is Verdict.REFUSED),
    (AuditQuery(principal="user/a"), lambda e: e.principal == "user/a"),
    (AuditQuery(principal="user/a*"), lambda e: e.principal.startswith("user/a")),
    (AuditQuery(action="ecr:*", since=1002), lambda e: e.action.startswith("ecr:") and e.at >= 1002),
    (AuditQuery(resource="repository/ä*"), lambda e: e.resource.startswith("repository/ä")),
    (AuditQuery(resource="*"), lambda e: e.resource == "*"),
    (AuditQuery(resource="repository/_%"), lambda _: False),
    (
        AuditQuery(since=1001, event=EventKind.PUSH, principal="user/ab", resource="repository/*"),
        lambda e: (
            e.at >= 1001
            and (e.event, e.principal) == (EventKind.PUSH, "user/ab")
            and e.resource.startswith("repository/")
        ),
    ),
]


@pytest.mark.parametrize(("query", "is_meant"), QUERIES)
async def test_a_search_finds_what_is_meant_page_by_page(
    activity: Database, query: AuditQuery, is_meant: Callable[[AuditEvent], bool]
) -> None:
    """In the order of time, though events are recorded a little out of it, and several at one time."""
    chance = random.Random(7)
    events = [
        replace(
            EVENT,
            at=1000.0 + chance.randrange(10),
            event=chance.choice([EventKind.PULL, EventKind.PUSH]),
            principal=chance.choice(["user/a", "user/ab", "user/B", "anonymous"]),
            action=chance.choice(["ecr:PutImage", "lading:CreateUser"]),
            resource=chance.choice(["*", "repository/a", "repository/ä", "repository/äb"]),
            decision=chance.choice([Verdict.ALLOWED, Verdict.REFUSED]),
        )
        for _ in range(60)
    ]
    recorded = await append(activity, *events)

    expected = sorted((each for each in recorded if is_meant(each.event)), key=lambda each: (each.event.at, each.id))
    assert await found(activity, query) == [each.id for each in expected]
    assert await found(activity, query, newest_first=True) == [each.id for each in reversed(expected)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET principal = 'somebody else' WHERE id = 5",
        "UPDATE audit_event SET at = at - 1 WHERE id = 5",
        "UPDATE audit_event SET details = '{}' WHERE id = 5",
        "UPDATE audit_event SET statement = NULL WHERE id = 5",
        "UPDATE audit_event SET details = 'no JSON' WHERE id = 5",
        "UPDATE audit_event SET event = 'unheard of' WHERE id = 5",
        "UPDATE audit_event SET chain = (SELECT chain FROM audit_event WHERE id = 4) WHERE id = 5",
        "DELETE FROM audit_event WHERE id = 4",
        "DELETE FROM audit_event WHERE id < 5",
        "DELETE FROM audit_event WHERE id = 5; UPDATE audit_event SET id = 5 WHERE id = 6",
    ],
)
async def test_tampering_is_found(activity: Database, statement: str) -> None:
    await append(activity, *(replace(EVENT, at=float(n), request_id=str(n)) for n in range(1, 9)))
    assert await check(activity) == 8

    for part in statement.split(";"):
        await activity.write(lambda c, part=part: c.exec_driver_sql(part))  # type: ignore[misc]

    with pytest.raises(AuditTrailBroken, match=r"event [5-9]"):
        await check(activity)


async def test_the_first_bad_event_is_named(activity: Database) -> None:
    await append(activity, *[EVENT] * 8)
    await activity.write(lambda c: c.exec_driver_sql("UPDATE audit_event SET source = 'x' WHERE id IN (3, 6)"))

    with pytest.raises(AuditTrailBroken) as broken:
        await check(activity)

    assert broken.value.event_id == 3


async def test_the_text_of_numbers_and_bytes_is_no_text(activity: Database, kind: str) -> None:
    """SQLite takes any value in any column."""
    if kind != "sqlite":
        pytest.skip("PostgreSQL refuses them")
    for column, value in (("principal", "x'ff'"), ("at", "'now'"), ("chain", "'text'"), ("chain", "7"), ("at", "9e99")):
        (recorded,) = await append(activity, EVENT)
        statement = f"UPDATE audit_event SET {column} = {value} WHERE id = {recorded.id}"
        await activity.write(lambda c, statement=statement: c.exec_driver_sql(statement))  # type: ignore[misc]

        with pytest.raises(AuditTrailBroken):
            await check(activity)

        await activity.write(lambda c: c.exec_driver_sql("DELETE FROM audit_event"))


async def test_another_key_proves_nothing(activity: Database) -> None:
    await append(activity, EVENT)

    with pytest.raises(AuditTrailBroken):
        await check(activity, b"x" * 32)


async def test_an_empty_trail_is_whole(activity: Database) -> None:
    assert await check(activity) == 0


async def test_what_is_older_is_cut_off_and_the_chain_still_verifies(activity: Database) -> None:
    await append(activity, *(replace(EVENT, at=float(n)) for n in range(10)))

    cuts = [await activity.write(lambda c: cut_events(c, KEY, before=5, most=2, now=20)) for _ in range(4)]

    assert cuts == [2, 2, 1, 0]
    assert await found(activity) == [6, 7, 8, 9, 10, 11, 12, 13]
    assert await check(activity) == 8
    (newest, *_) = await activity.scan(lambda c: list_events(c, EVERYTHING, after=None, limit=1, newest_first=True))
    assert (newest.event.action, newest.event.details) == (CUT, {"through": 5, "events": 1})


async def test_the_newest_event_is_never_cut_off(activity: Database) -> None:
    """The next one follows it; and cutting does not go on for ever for the sake of its own events."""
    await append(activity, *(replace(EVENT, at=float(n)) for n in range(10)))

    cuts = [await activity.write(lambda c: cut_events(c, KEY, before=100, most=50, now=20)) for _ in range(5)]
    (recorded,) = await append(activity, EVENT)

    assert cuts == [9, 1, 1, 1, 1]
    assert recorded.id > 10
    assert await check(activity) == 3


async def test_a_cut_that_the_registry_did_not_make_is_found(activity: Database) -> None:
    await append(activity, *(replace(EVENT, at=float(n)) for n in range(10)))
    await activity.write(lambda c: cut_events(c, KEY, before=3, most=50, now=20))
    assert await check(activity) == 8

    await activity.write(lambda c: c.exec_driver_sql("DELETE FROM audit_event WHERE id < 6"))

    with pytest.raises(AuditTrailBroken, match="event 6: the events before it were not cut off by the registry"):
        await check(activity)


async def test_a_line_proves_itself(activity: Database) -> None:
    """Found in a file, an event is checked without the database."""
    recorded = (await append(activity, EVENT, EVENT))[1]

    document = json.loads(recorded.line())
    seal = bytes.fromhex(document.pop("seal"))

    assert document == recorded.document()
    assert is_sealed(seal, KEY, document)
    assert not is_sealed(seal, KEY, {**document, "source": "elsewhere"})


@pytest.mark.parametrize(
    "query",
    [
        EVERYTHING,
        AuditQuery(since=5, until=8),
        AuditQuery(principal="a"),
        AuditQuery(resource="b"),
        AuditQuery(event=EventKind.PUSH, since=5),
    ],
)
async def test_a_page_sorts_nothing_and_reads_no_whole_table(activity: Database, kind: str, query: AuditQuery) -> None:
    """However many events there are, a page costs what a page costs."""
    if kind != "sqlite":
        pytest.skip("its planner looks at the rows")

    def plan(connection: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []
        event.listen(
            connection.engine, "before_cursor_execute", lambda _c, _u, sql, values, *_: asked.append((sql, values))
        )
        list_events(connection, query, after=(5.0, 3), limit=10, newest_first=True)
        sql, values = asked[0]
        return [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]

    steps = await activity.scan(plan)

    assert [step for step in steps if "SCAN" in step or "TEMP" in step] == []
