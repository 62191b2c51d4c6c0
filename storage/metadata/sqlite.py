"""SQLite in WAL mode: one writer thread with group commit, look-ups on the event loop.

- Waiting writes share one transaction and one fsync; each is a savepoint, so a failed one takes no neighbour with it.
- Connections are opened on first use, after a worker was forked: SQLite must never cross a fork.
- Nobody waits much longer than `_PATIENCE_SECONDS` for a locked database, however many wait before him.
- A file that was moved or removed while it is open takes no more changes: they would be acknowledged, and lost.
"""

import asyncio
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from storage.errors import DatabaseUnavailable, NoSpace
from storage.metadata.database import DRIVERS_ERRORS, OneStatement, translated, translated_errors
from storage.metadata.prepared import on_sqlite
from storage.metadata.wal_index import WalIndex, wal_index_of
from storage.outcome import Arrival, Outcome, hand_over

T = TypeVar("T")

_BUSY_SECONDS = 10
_PATIENCE_SECONDS = 15
# Measured: 906 commits/s alone, 29,700 rows/s in groups of 100; a larger group only lengthens the wait of its first.
_GROUP = 64
_SCAN_THREADS = 4
# What another process does with the lock mostly takes 100 µs. Measured with two workers that move tags: SQLite's own
# way of waiting, of 1 ms, 2, 5, 10 and more, makes them a third slower; a lock that the kernel hands on, a fifth.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0001, 0.001


@dataclass(slots=True)
class _Waiting:
    change: Callable[[Connection], Any]
    outcome: Outcome[Any]
    deadline: float


class SqliteDatabase:
    """A SQLite file used by this process; `durable=False` trades the last seconds for speed (activity)."""

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = True,
        busy_seconds: float = _BUSY_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """`busy_seconds` is how long one attempt waits for a lock, `patience_seconds` after when none is begun."""
        self._path = path
        self._busy_seconds = busy_seconds
        self._patience_seconds = patience_seconds
        # NORMAL syncs at checkpoints only: a power cut may take the last writes, and never the whole file as OFF may.
        self._synchronous = "FULL" if durable else "NORMAL"
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False
        self._identity: os.stat_result | None = None

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run an indexed look-up on the event loop: a thread hop costs more than the query."""
        return self.read_now(query)

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """Run an indexed look-up here and now."""
        try:
            return query(self._reader)
        except DRIVERS_ERRORS as error:
            raise translated(error) from error

    def last_commit(self) -> bytes | None:
        """What the index of the log says of the newest commit; None where it cannot be looked at."""
        return None if self._closed or self._wal_index is None else self._wal_index.header

    async def scan(self, query: Callable[[Connection], T]) -> T:
        """Run a longer query in a thread, on a connection of its own."""

        def run() -> T:
            with translated_errors(), self._scanners.connect() as connection:
                return query(connection)

        return await asyncio.get_running_loop().run_in_executor(self._scan_threads, run)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Queue a change for the writer thread and wait until it is committed."""
        if self._closed:
            message = "the metadata database is closed"
            raise DatabaseUnavailable(message)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_groups, name="sqlite-writer", daemon=True)
            self._writer.start()
        outcome: Outcome[T] = Outcome()
        self._waiting.put(_Waiting(change, outcome, time.monotonic() + self._patience_seconds))
        return await outcome.wait()  # a cancelled caller cancels no change that the writer may already be making

    async def forget(self) -> bool:
        """Empty the log; False where it is in use for too long. What is removed in the file itself is overwritten."""
        return await self.scan(lambda c: not c.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0])

    async def close(self) -> None:
        """Let the writer finish what is queued, then close every connection."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._waiting.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._writer.join)
        if "_scan_threads" in self.__dict__:
            self._scan_threads.shutdown(wait=True)
        if (index := self.__dict__.pop("_wal_index", None)) is not None:
            index.close()
        if "_reader" in self.__dict__:
            self._reader.close()  # a connection that is checked out is kept for good, and this database with it
        for engine in ("_reader_engine", "_scanners"):
            if engine in self.__dict__:
                self.__dict__[engine].dispose()

    @cached_property
    def _reader_engine(self) -> Engine:
        return self._engine(StaticPool, query_only=True)

    @cached_property
    def _reader(self) -> Connection:
        return self._reader_engine.connect()

    @cached_property
    def _wal_index(self) -> WalIndex | None:
        # SQLite opens it with the first that is read.
        self.read_now(lambda c: on_sqlite(c, "SELECT count(*) FROM sqlite_schema").fetchall())
        return wal_index_of(self._path)

    @cached_property
    def _writing_engine(self) -> Engine:
        return self._engine(StaticPool, query_only=False)

    @cached_property
    def _writing(self) -> Connection:
        return self._writing_engine.connect()

    @cached_property
    def _scanners(self) -> Engine:
        return self._engine(QueuePool, query_only=True)

    @cached_property
    def _scan_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_SCAN_THREADS, thread_name_prefix="sqlite-scan")

    def _engine(self, pool: type[StaticPool | QueuePool], *, query_only: bool) -> Engine:
        engine = create_engine(
            f"sqlite:///{self._path}",
            poolclass=pool,
            isolation_level="AUTOCOMMIT",
            connect_args={"check_same_thread": False, "timeout": self._busy_seconds},
        )

        def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own connection
            self._identity = self._identity or self._path.stat()
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={self._synchronous}")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute("PRAGMA secure_delete=ON")  # what was removed is in no free page
            if query_only:
                cursor.execute("PRAGMA query_only=ON")
            else:
                cursor.execute("PRAGMA busy_timeout=0")  # it waits by itself, in `_once_free`
                cursor.execute("PRAGMA temp_store=MEMORY")  # to undo one statement takes no file in the folder for such
            cursor.close()

        event.listen(engine, "do_connect", lambda *_: self._require_file())  # opening would make another
        event.listen(engine, "connect", prepare)
        return engine

    def _require_file(self) -> None:
        """Raise DatabaseUnavailable when the file that is open is not the one at its path any more."""
        if self._identity is None:
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), self._identity):
                return
        message = f"{self._path.name} was moved, replaced or removed while it was open: put it back, or start again"
        raise DatabaseUnavailable(message)

    def _write_groups(self) -> None:
        _interrupt_nobody()
        while (first := self._waiting.get()) is not None:
            group = [first]
            last = False
            while len(group) < _GROUP and not last:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    last = True
                else:
                    group.append(following)
            self._commit(group)
            if last:
                break
        if "_writing" in self.__dict__:
            self._writing.close()
            self._writing_engine.dispose()

    def _commit(self, group: list[_Waiting]) -> None:
        """Commit the changes that have not waited too long; a locked database would make each wait for all before."""
        now = time.monotonic()
        try:
            with translated_errors():
                self._require_file()
                connection = self._writing
        except DatabaseUnavailable as error:
            _refuse(group, error)
            return
        _refuse(
            [waiting for waiting in group if waiting.deadline <= now],
            DatabaseUnavailable("the metadata database is locked for too long: something else writes to it"),
        )
        if patient := [waiting for waiting in group if waiting.deadline > now]:
            _commit_group(connection, patient, self._busy_seconds)


def _interrupt_nobody() -> None:
    """Have this thread wait its turn for a core, where the system knows of such threads.

    Beside a busy event loop it is woken whenever the interpreter is free for a moment, and would take the loop's core
    to find that it came too late. Measured: a twentieth of the CPU time of manifests that are pulled, or pushed.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:  # else somebody chose another way
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _refuse(group: list[_Waiting], error: Exception) -> None:
    hand_over((waiting.outcome, None, error) for waiting in group)


def _once_free(work: Callable[[], T], busy_seconds: float) -> T:
    """Do what takes the lock, once nobody else has it; raises DBAPIError where that takes too long."""
    deadline, pause = time.monotonic() + busy_seconds, _FIRST_PAUSE_SECONDS
    while True:
        try:
            return work()
        except DBAPIError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_busy(error: DBAPIError) -> bool:
    """Whether it tells that another connection has the lock, in any of the ways that SQLite tells it."""
    code: int = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _commit_group(connection: Connection, group: list[_Waiting], busy_seconds: float) -> None:
    """Run each change in a savepoint of one transaction; nobody hears of success before the commit.

    Where the whole transaction did not fit on the disk, each change gets one of its own: most are small.
    """
    try:
        arrivals = _committed(connection, group, busy_seconds)
    except Exception as raised:  # noqa: BLE001  the writer thread answers every caller, whatever went wrong
        error = translated(raised) if isinstance(raised, DRIVERS_ERRORS) else raised
        if isinstance(error, NoSpace) and len(group) > 1:
            for waiting in group:
                _commit_group(connection, [waiting], busy_seconds)
        else:
            _refuse(group, error)
        return
    hand_over(arrivals)


def _committed(connection: Connection, group: list[_Waiting], busy_seconds: float) -> list[Arrival]:
    """What changes came to in a transaction of the driver's, within one of SQLAlchemy's that knows of it.

    What is not committed is undone. A change that is alone needs no savepoint, and one statement alone no
    transaction around it.
    """
    if len(group) == 1 and isinstance(group[0].change, OneStatement):
        try:
            return [(group[0].outcome, _once_free(lambda: group[0].change(connection), busy_seconds), None)]
        finally:
            if connection.in_transaction():  # SQLAlchemy thinks so of what was run by itself
                connection.rollback()
    with closing(connection.begin()):
        _once_free(lambda: on_sqlite(connection, "BEGIN IMMEDIATE"), busy_seconds)
        if len(group) == 1:
            arrivals: list[Arrival] = [(group[0].outcome, group[0].change(connection), None)]
        else:
            arrivals = [(waiting.outcome, *_run_apart(connection, waiting.change)) for waiting in group]
        on_sqlite(connection, "COMMIT")
    return arrivals


def _run_apart(connection: Connection, change: Callable[[Connection], T]) -> tuple[T | None, Exception | None]:
    """What a change comes to that takes no other with it: in a savepoint, which one statement needs not."""
    if not isinstance(change, OneStatement):
        return _run_in_savepoint(connection, change)
    try:
        with translated_errors():
            return change(connection), None
    except Exception as error:  # it belongs to the caller of this change alone
        if not _is_in_transaction(connection):
            raise
        return None, error


def _run_in_savepoint(connection: Connection, change: Callable[[Connection], T]) -> tuple[T | None, Exception | None]:
    on_sqlite(connection, "SAVEPOINT change")
    try:
        with translated_errors():
            result = change(connection)
    except Exception as error:  # it belongs to the caller of this change alone
        if not _is_in_transaction(connection):
            raise
        on_sqlite(connection, "ROLLBACK TO change")
        on_sqlite(connection, "RELEASE change")
        return None, error
    on_sqlite(connection, "RELEASE change")
    return result, None


def _is_in_transaction(connection: Connection) -> bool:
    """Whether there is a transaction to go on with; SQLite may have undone it itself (a full disk)."""
    driver: Any = connection.connection.driver_connection
    return driver is not None and bool(driver.in_transaction)
