"""Where tests keep their databases: a folder for SQLite, a database of its own on a PostgreSQL server.

- The migrations make the tables once for each kind. Each test gets a copy: of the file, or in PostgreSQL schemas of its
  own, made of what `schema.py` says (that the migrations say the same is tested on its own).
- PostgreSQL is tested where `LADING_TEST_POSTGRES_URL` names a server and a user who may create databases.
- Its database sorts by a language, so that a column that forgets to sort by bytes is found out.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import asyncpg
import pytest
from sqlalchemy import create_mock_engine
from sqlalchemy.engine import make_url
from sqlalchemy.schema import ExecutableDDLElement

from storage.metadata.database import Database
from storage.metadata.migration import ACTIVITY_SCHEMA, REGISTRY_SCHEMA, Schema, create_namespace, upgrade
from storage.metadata.postgres import PostgresDatabase, PostgresPool
from storage.metadata.sqlite import SqliteDatabase

POSTGRES_URL: Final = "LADING_TEST_POSTGRES_URL"
ACTIVITY_NAMESPACE: Final = "activity"

Kind = Literal["sqlite", "postgres"]

_POSTGRES = create_mock_engine("postgresql+asyncpg://", lambda *_, **__: None).dialect


@dataclass(frozen=True)
class Place:
    """Where databases are: `address` is a folder or a URL; `namespace` is the PostgreSQL schema of a copy."""

    kind: Kind
    address: str
    namespace: str | None = None

    def open(self, schema: Schema) -> Database:
        """Open one of the two databases, as another process would."""
        durable = schema is REGISTRY_SCHEMA
        if self.kind == "sqlite":
            return SqliteDatabase(Path(self.address) / f"{schema.name}.db", durable=durable)
        schema_name = self.namespace if durable else (self.namespace or "") + ACTIVITY_NAMESPACE
        return PostgresDatabase(PostgresPool(self.address), schema=schema_name, durable=durable)

    @asynccontextmanager
    async def opened(self, schema: Schema) -> AsyncIterator[Database]:
        """Open one of the two databases and close it."""
        database = self.open(schema)
        try:
            yield database
        finally:
            await database.close()

    async def migrate(self) -> None:
        """Make or change the tables of both databases."""
        async with self.opened(REGISTRY_SCHEMA) as registry, self.opened(ACTIVITY_SCHEMA) as activity:
            await registry.write(lambda connection: upgrade(connection, REGISTRY_SCHEMA))
            await registry.write(lambda connection: create_namespace(connection, ACTIVITY_NAMESPACE))
            await activity.write(lambda connection: upgrade(connection, ACTIVITY_SCHEMA))

    @asynccontextmanager
    async def copied(self, folder: Path) -> AsyncIterator["Place"]:
        """A place of its own with the same tables."""
        if self.kind == "sqlite":
            shutil.copytree(self.address, folder, dirs_exist_ok=True)
            yield Place("sqlite", str(folder))
            return
        name = f"test_{uuid.uuid4().hex}"
        server = await asyncpg.connect(self.address)
        try:
            await server.execute(_tables(REGISTRY_SCHEMA, name) + _tables(ACTIVITY_SCHEMA, name + ACTIVITY_NAMESPACE))
            yield Place("postgres", self.address, name)
            await server.execute(f"DROP SCHEMA {name}, {name}{ACTIVITY_NAMESPACE} CASCADE")
        finally:
            await server.close()


@cache
def _definitions(schema: Schema) -> str:
    statements: list[str] = []

    def take(statement: ExecutableDDLElement, *_: object, **__: object) -> None:
        statements.append(str(statement.compile(dialect=_POSTGRES)))

    schema.metadata.create_all(create_mock_engine("postgresql+asyncpg://", take), checkfirst=False)
    return ";".join(statements)


def _tables(schema: Schema, name: str) -> str:
    return f"CREATE SCHEMA {name}; SET search_path = {name}; {_definitions(schema)};"


@contextmanager
def empty_place(kind: Kind, folder: Path) -> Iterator[Place]:
    """A place without tables; skips the test where there is no such server."""
    if kind == "sqlite":
        yield Place("sqlite", str(folder))
        return
    if not os.environ.get(POSTGRES_URL):
        pytest.skip(f"{POSTGRES_URL} names no PostgreSQL server")
    name = asyncio.run(_create("TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"))
    try:
        yield Place("postgres", _address(name))
    finally:
        asyncio.run(_drop(name))


@contextmanager
def template_place(kind: Kind, folder: Path) -> Iterator[Place]:
    """A place with tables, to be copied."""
    with empty_place(kind, folder) as place:
        asyncio.run(place.migrate())
        yield place


async def _create(options: str) -> str:
    name = f"lading_test_{uuid.uuid4().hex}"
    await _command(f"CREATE DATABASE {name} {options}")
    return name


async def _drop(name: str) -> None:
    await _command(f"DROP DATABASE {name} WITH (FORCE)")


async def _command(statement: str) -> None:
    server = await asyncpg.connect(os.environ[POSTGRES_URL])
    try:
        await server.execute(statement)
    finally:
        await server.close()


def _address(name: str) -> str:
    return make_url(os.environ[POSTGRES_URL]).set(database=name).render_as_string(hide_password=False)
