"""Runs of sorted names, read in one piece.

The driver of SQLite lets go of the interpreter for every row, and beside a busy event loop it waits for it every time:
10,000 names took 5 ms of CPU time so, and take 2 as one value.
"""

from typing import Any, Final

import orjson
from sqlalchemy import Connection, Select, func, select

from storage.metadata.prepared import Prepared, Value

# A short run costs less row by row than JSON does.
_FEW: Final = 16


class NameList:
    """A query for names; `most`, the parameter that bounds how many, is one of its own."""

    def __init__(self, query: Select[Any]) -> None:
        (name,) = query.subquery().c
        self._one_by_one = Prepared(query)
        self._at_once = Prepared(select(func.json_group_array(name)))

    def read(self, connection: Connection, *, most: int, **values: Value) -> list[str]:
        """The names, in order."""
        if connection.dialect.name != "sqlite" or most <= _FEW:
            return [name for (name,) in self._one_by_one.rows(connection, most=most, **values)]
        names: list[str] = orjson.loads(self._at_once.value(connection, most=most, **values) or "[]")
        names.sort()  # SQLite keeps the order, and does not promise it; to look costs next to nothing
        return names
