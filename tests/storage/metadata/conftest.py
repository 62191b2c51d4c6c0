"""The metadata tests run on both databases; those about files have one with an empty table."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.metadata.sqlite import SqliteDatabase
from tests.contracts.database_fixtures import (
    activity,
    database,
    kind,
    other_activity,
    other_database,
    place,
    template,
    unmade,
)

__all__ = ["activity", "database", "kind", "other_activity", "other_database", "place", "template", "unmade"]


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database with one empty table."""
    database = SqliteDatabase(tmp_path / "file.db")
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE thing (content BLOB)").close())
    yield database
    await database.close()
