"""PostgreSQL through asyncpg: the same SQL functions, run on a connection pool.

- `synchronous_commit` is set by every session, whatever the server's default, because an acknowledgement is durable.
- A change that lost a deadlock or a serialization race is run again.
- A process has one pool, whatever it keeps in how many schemas; who finds it in use, or the server full or away for a
  moment, waits his turn until a deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.errors import DatabaseUnavailable
from storage.metadata.database import translated_errors

T = TypeVar("T")

_ATTEMPTS = 5
_RETRIED = {"40001", "40P01"}  # serialization_failure, deadlock_detected
# too_many_connections, cannot_connect_now (it starts or stops), sqlclient_unable_to_establish, connection_failure
_FULL_OR_AWAY = {"53300", "57P03", "08001", "08006"}
_CONNECTIONS = 8
_CONNECT_SECONDS = 10
_DEADLINE_SECONDS = 30
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 1.0
_SESSION = "lading_session"


class PostgresPool:
    """At most so many connections of this process; each is given the session settings of whoever takes it."""

    def __init__(
        self, url: str, *, connections: int = _CONNECTIONS, deadline_seconds: float = _DEADLINE_SECONDS
    ) -> None:
        self._url = make_url(url).set(drivername="postgresql+asyncpg")
        self._connections = connections
        self._deadline_seconds = deadline_seconds
        self._users = 0

    def join(self) -> None:
        """Count another user."""
        self._users += 1

    async def leave(self) -> None:
        """Close every connection when the last user leaves."""
        self._users -= 1
        if self._users == 0 and "_engine" in self.__dict__:
            await self._engine.dispose()

    @asynccontextmanager
    async def connected(self, session: str, *, isolation_level: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection on which the statements `session` were run; raises TimeoutError after the deadline."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._deadline_seconds):
                connection = await self._connect(stack)
            if isolation_level is not None:
                await connection.execution_options(isolation_level=isolation_level)
            await _begin_session(connection, session)
            yield connection

    async def _connect(self, stack: AsyncExitStack) -> AsyncConnection:
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                return await stack.enter_async_context(self._engine.connect())
            except (OSError, DBAPIError) as error:
                if isinstance(error, DBAPIError) and _sqlstate(error) not in _FULL_OR_AWAY:
                    raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    @cached_property
    def _engine(self) -> AsyncEngine:
        return create_async_engine(
            self._url,
            pool_size=self._connections,
            max_overflow=0,
            pool_timeout=self._deadline_seconds,
            pool_pre_ping=True,
            connect_args={"server_settings": {"application_name": "lading"}, "timeout": _CONNECT_SECONDS},
        )


class PostgresDatabase:
    """A PostgreSQL database used by this process.

    `schema` names the schema that holds the tables, the server's default when None; `durable=False` lets the server
    answer before its log reaches the disk (activity). Databases may share a pool; the last to be closed closes it.
    """

    def __init__(self, pool: PostgresPool, *, schema: str | None = None, durable: bool = True) -> None:
        self._pool = pool
        pool.join()
        path = f'"{schema}"' if schema else "DEFAULT"
        self._session = f"SET search_path TO {path}; SET synchronous_commit TO {'on' if durable else 'off'}"
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a look-up; each statement sees the newest commit."""
        with translated_errors(), self._working():
            # One statement at a time needs no transaction: it saves two round trips a read.
            async with self._pool.connected(self._session, isolation_level="AUTOCOMMIT") as connection:
                return await connection.run_sync(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        """Run a longer query: the server does the work, the loop only waits."""
        return await self.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change as one transaction, again if it lost a race that a second attempt can win."""
        with translated_errors(), self._working():
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self._pool.connected(self._session) as connection, connection.begin():
                        return await connection.run_sync(change)
                except DBAPIError as error:
                    if attempt == _ATTEMPTS or _sqlstate(error) not in _RETRIED:
                        raise
                    await asyncio.sleep(0.01 * attempt)
        raise AssertionError  # the last attempt returned or raised

    async def close(self) -> None:
        """Wait for what is under way, then leave the pool: connections in use would outlive it."""
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        await self._pool.leave()

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self._closed:
            message = "the metadata database is closed"
            raise DatabaseUnavailable(message)
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


async def _begin_session(connection: AsyncConnection, session: str) -> None:
    """Run the settings, unless they are those of the connection's last user; outside a transaction, so they stay."""
    raw = await connection.get_raw_connection()
    if raw.info.get(_SESSION) == session:
        return
    raw.info.pop(_SESSION, None)
    driver: Any = raw.driver_connection
    try:
        await driver.execute(session)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        await connection.invalidate()
        message = f"the metadata database ended a session: {type(error).__name__}"
        raise DatabaseUnavailable(message) from error
    raw.info[_SESSION] = session


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
