"""The generation: a number that grows with every change of who may do what.

- Whoever caches principals or policies asks for it first, and drops its cache when it moved.
- It moves in the transaction of the change: nobody sees one without the other.
"""

from typing import Any

from sqlalchemy import Connection, CursorResult, bindparam, func, select

from storage.metadata.database import insert
from storage.metadata.prepared import Prepared
from storage.metadata.schema import generation

_CURRENT = select(generation.c.value).where(generation.c.id == 1)
_VALUE = Prepared(_CURRENT)

IS_STILL = func.coalesce(_CURRENT.scalar_subquery(), 0) == bindparam("generation")
"""That nothing about who may do what has changed since a generation, for a query that is to find nothing otherwise."""


def current_generation(connection: Connection) -> int:
    """How often who may do what has changed."""
    return _VALUE.value(connection) or 0


def hold_generation(connection: Connection) -> None:
    """Let nobody else change who may do what until the transaction ends: what is read from here on stays true.

    SQLite has one writer at a time in any case.
    """
    connection.execute(_CURRENT.with_for_update())


def touch_generation(connection: Connection) -> None:
    """Void what anybody cached; on PostgreSQL the row is held until the transaction ends."""
    connection.execute(
        insert(connection, generation)
        .values(id=1, value=1)
        .on_conflict_do_update(index_elements=["id"], set_={"value": generation.c.value + 1})
    )


def touch_if_changed(connection: Connection, result: CursorResult[Any]) -> bool:
    """Whether a statement changed any row; void what anybody cached if so."""
    if result.rowcount <= 0:
        return False
    touch_generation(connection)
    return True
