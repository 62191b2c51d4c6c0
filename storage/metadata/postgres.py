"""PostgreSQL through asyncpg: the same SQL functions, run on a connection pool.

- `synchronous_commit` is set by every session, whatever the server's default, because an acknowledgement is durable.
- A change that lost a deadlock or a serialization race is run again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.errors import DatabaseUnavailable
from storage.metadata.database import translated_errors

T = TypeVar("T")

_ATTEMPTS = 5
_RETRIED = {"40001", "40P01"}  # serialization_failure, deadlock_detected
_POOL = 8
_CONNECT_SECONDS = 10


class PostgresDatabase:
    """A PostgreSQL database used by this process.

    `schema` names the schema that holds the tables, the server's default when None; `durable=False` lets the server
    answer before its log reaches the disk (activity).
    """

    def __init__(self, url: str, *, schema: str | None = None, durable: bool = True) -> None:
        self._url = make_url(url).set(drivername="postgresql+asyncpg")
        self._server_settings = {
            "application_name": "lading",
            "synchronous_commit": "on" if durable else "off",
            **({"search_path": schema} if schema else {}),
        }
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a look-up; each statement sees the newest commit."""
        with translated_errors(), self._working():
            async with self._reads.connect() as connection:
                return await connection.run_sync(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        """Run a longer query: the server does the work, the loop only waits."""
        return await self.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change as one transaction, again if it lost a race that a second attempt can win."""
        with translated_errors(), self._working():
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self.engine.begin() as connection:
                        return await connection.run_sync(change)
                except DBAPIError as error:
                    if attempt == _ATTEMPTS or getattr(error.orig, "sqlstate", None) not in _RETRIED:
                        raise
                    await asyncio.sleep(0.01 * attempt)
        raise AssertionError  # the last attempt returned or raised

    async def close(self) -> None:
        """Wait for what is under way, then close the pool: connections in use would outlive it."""
        self._closed = True
        await self._idle.wait()
        if "engine" in self.__dict__:
            await self.engine.dispose()

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

    @cached_property
    def engine(self) -> AsyncEngine:
        """The connection pool; migrations borrow it."""
        return create_async_engine(
            self._url,
            pool_size=_POOL,
            max_overflow=_POOL,
            pool_pre_ping=True,
            connect_args={"server_settings": self._server_settings, "timeout": _CONNECT_SECONDS},
        )

    @cached_property
    def _reads(self) -> AsyncEngine:
        # One statement at a time needs no transaction: it saves two round trips a read.
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")
