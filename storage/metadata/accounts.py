"""The account, and the facts drawn once for this registry."""

from sqlalchemy import Connection, select

from storage.metadata.database import insert
from storage.metadata.schema import account, registry_setting


def add_account(connection: Connection, account_id: str, now: float) -> None:
    """Add the account that owns everything."""
    connection.execute(insert(connection, account).values(id=account_id, created_at=now))


def find_setting(connection: Connection, name: str) -> str | None:
    """A fact about this registry, or None before it was drawn."""
    value: str | None = connection.execute(
        select(registry_setting.c.value).where(registry_setting.c.name == name)
    ).scalar_one_or_none()
    return value


def add_setting(connection: Connection, name: str, value: str) -> None:
    """Record a fact about this registry, once."""
    connection.execute(insert(connection, registry_setting).values(name=name, value=value))
