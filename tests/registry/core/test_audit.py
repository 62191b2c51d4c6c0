"""When events are written: at once, a little later, together, and what happens when they cannot be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, create_engine

import registry.core.audit
from registry.core.audit import AuditTrail
from registry.core.audit_file import AuditFile
from storage.errors import DatabaseUnavailable
from storage.metadata.activity_schema import ACTIVITY
from storage.metadata.audit_event import AuditEvent, EventKind, Verdict
from storage.metadata.sqlite import SqliteDatabase

T = TypeVar("T")
EVENT = AuditEvent(1.5, EventKind.PULL, "p", "s", "a", "r", Verdict.ALLOWED, "i")
KEY = b"k" * 32


@dataclass
class Troubled:
    """What was told of troubles."""

    events: list[AuditEvent] = field(default_factory=list)
    lines: int = 0
    errors: list[Exception] = field(default_factory=list)

    def lost(self, events: Sequence[AuditEvent], error: Exception) -> None:
        self.events += events
        self.errors.append(error)

    def unwritten(self, lines: int, error: OSError) -> None:
        self.lines += lines
        self.errors.append(error)


class Gate:
    """A database that can be held up, and that counts its transactions."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.writes = 0
        self.is_away = False
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, change: Callable[[Connection], T]) -> T:
        await self.open.wait()
        if self.is_away:
            raise DatabaseUnavailable("it is away")
        self.writes += 1
        return await self.database.write(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    engine = create_engine(f"sqlite:///{tmp_path / 'activity.db'}")
    ACTIVITY.create_all(engine)
    engine.dispose()
    opened = SqliteDatabase(tmp_path / "activity.db", durable=False)
    yield opened
    await opened.close()


@dataclass
class Recording:
    """A trail, and what is behind it."""

    trail: AuditTrail
    plain: Gate
    durable: Gate
    troubled: Troubled

    async def written(self) -> list[str]:
        """The request ids in the order of the trail."""
        statement = "SELECT request_id FROM audit_event ORDER BY id"
        return await self.plain.database.read(lambda c: list(c.exec_driver_sql(statement).scalars()))


@asynccontextmanager
async def recording(database: SqliteDatabase, file: Path | None = None) -> AsyncIterator[Recording]:
    plain, durable, troubled = Gate(database), Gate(database), Troubled()
    trail = AuditTrail(plain, durable, KEY, troubled, None if file is None else AuditFile(file))
    async with trail.running():
        yield Recording(trail, plain, durable, troubled)


def numbered(number: int, kind: EventKind = EventKind.PULL) -> AuditEvent:
    return replace(EVENT, event=kind, request_id=str(number))


async def test_a_recorded_event_is_written_and_all_noted_before_it(database: SqliteDatabase) -> None:
    async with recording(database) as given:
        await given.trail.note(numbered(1))
        await given.trail.note(numbered(2))
        await given.trail.record(numbered(3, EventKind.PUSH))

        assert await given.written() == ["1", "2", "3"]
        assert given.plain.writes == 1


async def test_deletions_changes_and_damage_wait_for_the_disk(database: SqliteDatabase) -> None:
    async with recording(database) as given:
        for number, kind in enumerate(EventKind):
            await given.trail.record(numbered(number, kind))

    assert (given.plain.writes, given.durable.writes) == (4, 3)


async def test_a_noted_event_is_written_within_its_time(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.core.audit, "_LATE_SECONDS", 0.02)
    async with recording(database) as given:
        for number in range(3):
            await given.trail.note(numbered(number))
            async with asyncio.timeout(5):
                while len(await given.written()) <= number:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)


async def test_what_waits_is_written_when_the_server_stops(database: SqliteDatabase) -> None:
    async with recording(database) as given:
        for number in range(600):
            await given.trail.note(numbered(number))

    assert await given.written() == [str(number) for number in range(600)]
    assert given.plain.writes == 3


async def test_an_event_that_comes_after_the_end_is_told(database: SqliteDatabase) -> None:
    async with recording(database) as given:
        pass

    await given.trail.record(EVENT)

    assert given.troubled.events == [EVENT]


async def test_a_full_buffer_waits_for_a_slow_database(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than drop what happened."""
    monkeypatch.setattr(registry.core.audit, "_MOST_WAITING", 5)
    async with recording(database) as given:
        given.plain.open.clear()
        for number in range(5):
            await given.trail.note(numbered(number))
        waiting = asyncio.ensure_future(given.trail.note(numbered(5)))
        await asyncio.sleep(0.02)
        assert not waiting.done()

        given.plain.open.set()
        await asyncio.wait_for(waiting, 5)

    assert len(await given.written()) == 6
    assert given.troubled.events == []


async def test_a_database_that_is_away_holds_up_nobody(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not take is told, and it is used again when it is back."""
    monkeypatch.setattr(registry.core.audit, "_MOST_WAITING", 5)
    monkeypatch.setattr(registry.core.audit, "_PATIENCE_SECONDS", 0.05)
    async with recording(database) as given:
        given.plain.is_away = True
        await given.trail.record(numbered(0, EventKind.REFUSE))
        given.plain.open.clear()
        hanging = asyncio.ensure_future(given.trail.record(numbered(1, EventKind.REFUSE)))
        await asyncio.sleep(0)
        for number in range(2, 9):
            await given.trail.note(numbered(number))
        await asyncio.wait_for(hanging, 5)
        given.plain.is_away = False
        given.plain.open.set()
        await given.trail.record(numbered(9, EventKind.PUSH))

    lost = {event.request_id for event in given.troubled.events}
    assert {"0", "1"} <= lost
    assert "9" in await given.written()
    assert lost | set(await given.written()) == {str(number) for number in range(10)}


async def test_a_cancelled_caller_loses_no_event(database: SqliteDatabase) -> None:
    async with recording(database) as given:
        given.plain.open.clear()
        caller = asyncio.ensure_future(given.trail.record(numbered(1, EventKind.PUSH)))
        await asyncio.sleep(0.01)
        caller.cancel()
        given.plain.open.set()

    assert await given.written() == ["1"]


async def test_the_file_has_what_the_database_has_and_what_it_did_not_take(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "audit.log"
    async with recording(database, file) as given:
        await given.trail.record(numbered(1, EventKind.PUSH))
        given.plain.is_away = True
        await given.trail.record(numbered(2, EventKind.PUSH))

    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert '"id":1' in lines[0]
    assert '"id":null' in lines[1]


async def test_a_file_that_cannot_be_written_is_told(database: SqliteDatabase, tmp_path: Path) -> None:
    async with recording(database, tmp_path / "missing" / "audit.log") as given:
        await given.trail.record(numbered(1, EventKind.PUSH))

    assert given.troubled.lines == 1
    assert await given.written() == ["1"]
