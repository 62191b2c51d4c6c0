"""Which schema a database has, and how it gets this code's.

Alembic is imported only when a migration runs, so that a serving process never loads it.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.schema import CreateSchema

from storage.errors import SchemaOutdated
from storage.metadata.activity_schema import ACTIVITY, ACTIVITY_REVISION
from storage.metadata.schema import REGISTRY, REGISTRY_REVISION

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant: it only has to be the same for every process that migrates.
_POSTGRES_LOCK = 7_234_601_994


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that is migrated on its own; `name` is its folder of migrations."""

    name: str
    revision: str
    metadata: MetaData


REGISTRY_SCHEMA = Schema("registry", REGISTRY_REVISION, REGISTRY)
ACTIVITY_SCHEMA = Schema("activity", ACTIVITY_REVISION, ACTIVITY)


def revision_of(connection: Connection) -> str | None:
    """The migration a database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def check_revision(connection: Connection, schema: Schema) -> bool:
    """Whether the database has this code's schema; False when it is empty, SchemaOutdated when it has another."""
    found = revision_of(connection)
    if found is not None and found != schema.revision:
        message = f"the database is at schema {found}, this version needs {schema.revision}: run `lading migrate`"
        raise SchemaOutdated(message)
    return found is not None


def touch(connection: Connection) -> None:
    """Write something that changes nothing, to prove that a database that has a schema takes writes."""
    connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def upgrade(connection: Connection, schema: Schema, revision: str = "head") -> None:
    """Bring a database to this code's schema, or an earlier one, in the caller's transaction, one process at a time."""
    from alembic import command  # noqa: PLC0415  kept out of serving processes
    from alembic.config import Config  # noqa: PLC0415  the same

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(_MIGRATIONS / schema.name))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = schema.metadata
    command.upgrade(config, revision)


def create_namespace(connection: Connection, name: str) -> None:
    """Make a PostgreSQL schema to hold tables apart; SQLite keeps them in a file of their own."""
    if connection.dialect.name == "postgresql":
        connection.execute(CreateSchema(name, if_not_exists=True))
