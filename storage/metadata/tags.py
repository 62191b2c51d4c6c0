"""Tags: names that move."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from storage.metadata.name_lists import NameList
from storage.metadata.prepared import Prepared, in_place_of_another
from storage.metadata.schema import tag


@dataclass(frozen=True, slots=True)
class StoredTag:
    """A tag as the database keeps it."""

    name: str
    digest: str
    updated_at: float


_PUT = Prepared(lambda insert: in_place_of_another(insert(tag), ["repository_id", "name"], "digest", "updated_at"))
_LIST = NameList(
    select(tag.c.name)
    .where(tag.c.repository_id == bindparam("repository_id"), tag.c.name > bindparam("after"))
    .order_by(tag.c.name)
    .limit(bindparam("most"))
)


def digest_of(connection: Connection, repository_id: int, name: str) -> str | None:
    """The digest of the manifest that a tag names, or None."""
    digest: str | None = connection.execute(
        select(tag.c.digest).where(tag.c.repository_id == repository_id, tag.c.name == name)
    ).scalar_one_or_none()
    return digest


def put_tag(connection: Connection, repository_id: int, name: str, digest: str, now: float) -> None:
    """Point a tag to a manifest, wherever it pointed before."""
    _PUT.change(connection, repository_id=repository_id, name=name, digest=digest, updated_at=now)


def delete_tag(connection: Connection, repository_id: int, name: str) -> bool:
    """Remove a tag; the manifest stays. False when there was none."""
    deleted = connection.execute(delete(tag).where(tag.c.repository_id == repository_id, tag.c.name == name))
    return deleted.rowcount > 0


def list_tags(connection: Connection, repository_id: int, *, after: str, limit: int) -> list[str]:
    """Tags that sort after `after` by bytes, at most `limit`, in order."""
    return _LIST.read(connection, repository_id=repository_id, after=after, most=limit)


def describe_tags(connection: Connection, repository_id: int, *, after: str, limit: int) -> list[StoredTag]:
    """Tags that sort after `after` by bytes with what they point to, at most `limit`, in order."""
    rows = connection.execute(
        select(tag.c.name, tag.c.digest, tag.c.updated_at)
        .where(tag.c.repository_id == repository_id, tag.c.name > after)
        .order_by(tag.c.name)
        .limit(limit)
    )
    return [StoredTag(*row) for row in rows]
