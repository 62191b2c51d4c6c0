"""Repositories: their names, and the catalog."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from storage.metadata.database import insert
from storage.metadata.schema import account, repository


@dataclass(frozen=True, slots=True)
class StoredRepository:
    """A repository as the database keeps it."""

    id: int
    name: str


def find_repository(connection: Connection, name: str) -> int | None:
    """The id of a repository, or None."""
    found: int | None = connection.execute(
        select(repository.c.id).where(repository.c.name == name)
    ).scalar_one_or_none()
    return found


def lock_repository(connection: Connection, name: str) -> int | None:
    """The id of a repository, held until the transaction ends: changes to one repository happen one after another.

    SQLite has one writer at a time anyway.
    """
    found: int | None = connection.execute(
        select(repository.c.id).where(repository.c.name == name).with_for_update()
    ).scalar_one_or_none()
    return found


def add_repository(connection: Connection, name: str, now: float) -> bool:
    """Make a repository; False when it was there."""
    owner = select(account.c.id).limit(1).scalar_subquery()
    added = connection.execute(
        insert(connection, repository)
        .values(account_id=owner, name=name, created_at=now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return added.rowcount > 0


def list_repositories(connection: Connection, *, after: str, limit: int) -> list[str]:
    """Names that sort after `after` by bytes, at most `limit`, in order."""
    return list(
        connection.execute(
            select(repository.c.name).where(repository.c.name > after).order_by(repository.c.name).limit(limit)
        ).scalars()
    )
