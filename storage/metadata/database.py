"""Running SQL: reads, scans and durable writes, behind one protocol for both databases.

- SQL is written as plain functions of a SQLAlchemy `Connection`; the same function runs on SQLite and PostgreSQL.
- A write is one transaction and is durable when it returns (the activity database aside).
- A failed write takes none of its neighbours with it.
"""

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from storage.errors import DatabaseUnavailable, NoSpace, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class OneStatement(Generic[T]):
    """A change that one statement makes, or that is not made where it found nothing to change.

    Such a change is a transaction by itself, and SQLite is spared the two statements around it.
    """

    def __init__(self, change: Callable[[Connection], T]) -> None:
        self._change = change

    def __call__(self, connection: Connection) -> T:
        """Make the change."""
        return self._change(connection)


class Database(Protocol):
    """One metadata database, seen from one process."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run an indexed look-up of a few rows; each statement sees the newest commit of any process."""

    async def scan(self, query: Callable[[Connection], T]) -> T:
        """Run a query that may take milliseconds, off the event loop."""

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change as one transaction and return when it is durable; what `change` raises undoes it.

        A change may be run again where its transaction could not go on through no fault of its own (a lost race).
        Raises NoSpace or DatabaseUnavailable where the database could not take it.
        """

    async def close(self) -> None:
        """Finish the writes under way and let go of every connection."""


@runtime_checkable
class ReadsAtOnce(Protocol):
    """A database that can be read without waiting for anything."""

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """What `read` does, done when it returns."""


@runtime_checkable
class TellsOfCommits(Protocol):
    """A database that knows without a query whether anything was committed."""

    def last_commit(self) -> bytes | None:
        """Another one after every commit, whoever made it, from before it is acknowledged; None where nobody can tell.

        What is read after this was asked is at least as new.
        """


@runtime_checkable
class Forgetful(Protocol):
    """A database of files, where whoever can read them may find what was changed or removed."""

    async def forget(self) -> bool:
        """Leave no trace in the files of what was changed or removed before; False where somebody kept it from that."""


def insert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that knows ON CONFLICT, in the connection's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


@contextmanager
def translated_errors() -> "Iterator[None]":
    """Turn the driver's errors into facts about storage."""
    try:
        yield
    except DRIVERS_ERRORS as error:
        raise translated(error) from error


DRIVERS_ERRORS = (SQLAlchemyError, OSError, TimeoutError)


def translated(error: Exception) -> StorageError:
    """The fact about storage that an error of a driver stands for."""
    if not isinstance(error, DBAPIError):
        return DatabaseUnavailable(f"the metadata database could not be reached: {type(error).__name__}", str(error))
    reason = str(error.orig)
    if "disk is full" in reason or "No space left" in reason:
        return NoSpace()
    return DatabaseUnavailable(f"the metadata database did not take the request: {type(error.orig).__name__}", reason)
