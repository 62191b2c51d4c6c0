"""Tags: names that move."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from storage.metadata.database import insert
from storage.metadata.schema import tag


@dataclass(frozen=True, slots=True)
class StoredTag:
    """A tag as the database keeps it."""

    name: str
    digest: str
    updated_at: float


def put_tag(connection: Connection, repository_id: int, name: str, digest: str, now: float) -> None:
    """Point a tag to a manifest, wherever it pointed before."""
    connection.execute(
        insert(connection, tag)
        .values(repository_id=repository_id, name=name, digest=digest, updated_at=now)
        .on_conflict_do_update(index_elements=["repository_id", "name"], set_={"digest": digest, "updated_at": now})
    )


def delete_tag(connection: Connection, repository_id: int, name: str) -> bool:
    """Remove a tag; the manifest stays. False when there was none."""
    deleted = connection.execute(delete(tag).where(tag.c.repository_id == repository_id, tag.c.name == name))
    return deleted.rowcount > 0


def list_tags(connection: Connection, repository_id: int, *, after: str, limit: int) -> list[str]:
    """Tags that sort after `after` by bytes, at most `limit`, in order."""
    return list(
        connection.execute(
            select(tag.c.name)
            .where(tag.c.repository_id == repository_id, tag.c.name > after)
            .order_by(tag.c.name)
            .limit(limit)
        ).scalars()
    )


def describe_tags(connection: Connection, repository_id: int, *, after: str, limit: int) -> list[StoredTag]:
    """Tags that sort after `after` by bytes with what they point to, at most `limit`, in order."""
    rows = connection.execute(
        select(tag.c.name, tag.c.digest, tag.c.updated_at)
        .where(tag.c.repository_id == repository_id, tag.c.name > after)
        .order_by(tag.c.name)
        .limit(limit)
    )
    return [StoredTag(*row) for row in rows]
