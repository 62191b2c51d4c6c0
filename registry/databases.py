"""The metadata databases that the settings name; nothing is connected before the process that uses them."""

from dataclasses import dataclass
from typing import Final

from registry.config import Settings
from storage.metadata.database import Database
from storage.metadata.sqlite import SqliteDatabase

ACTIVITY_SCHEMA_NAME: Final = "lading_activity"


@dataclass(frozen=True, slots=True)
class Databases:
    """The two metadata databases of a registry."""

    registry: Database
    activity: Database
    durable_activity: Database
    """The activity database again, for what must not be lost in a power cut."""

    async def close(self) -> None:
        """Finish what is being written and let go of every connection."""
        await self.registry.close()
        await self.activity.close()
        await self.durable_activity.close()


def open_databases(settings: Settings) -> Databases:
    """The databases that the settings name; nothing is connected yet."""
    if settings.metadata.url is None:
        root, durable = settings.storage.root, settings.storage.durability == "full"
        return Databases(
            SqliteDatabase(root / "registry.db", durable=durable),
            SqliteDatabase(root / "activity.db", durable=False),
            SqliteDatabase(root / "activity.db", durable=durable),
        )
    from storage.metadata.postgres import PostgresDatabase, PostgresPool  # noqa: PLC0415 (150 ms; SQLite needs none)

    url = settings.metadata.url.get_secret_value()
    pool = PostgresPool(url, connections=_connections(settings.server.workers))
    return Databases(
        PostgresDatabase(pool),
        PostgresDatabase(pool, schema=ACTIVITY_SCHEMA_NAME, durable=False),
        PostgresDatabase(pool, schema=ACTIVITY_SCHEMA_NAME),
    )


def require_registry(settings: Settings) -> None:
    """Raise FileNotFoundError where opening would make something: SQLite makes the file that it does not find."""
    root = settings.storage.root
    if not root.is_dir():
        message = f"there is no data directory {root}: name it with --root"
        raise FileNotFoundError(message)
    if settings.metadata.url is None and not (root / "registry.db").is_file():
        message = f"there is no registry in {root}: name its data directory with --root"
        raise FileNotFoundError(message)


def _connections(workers: int) -> int:
    """PostgreSQL takes 100 connections unless told otherwise; a few stay free for commands and other programs."""
    return min(8, max(2, 60 // workers))
