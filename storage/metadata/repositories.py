"""Repositories: their names, tags and contents in numbers, and the catalog."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from storage.domain_records import DEFAULT_DOMAIN
from storage.metadata.blobs import HELD_REPOSITORY, NO_REPOSITORY
from storage.metadata.database import insert
from storage.metadata.generation import touch_generation, touch_if_changed
from storage.metadata.name_lists import NameList
from storage.metadata.prepared import Prepared
from storage.metadata.schema import account, blob, gc_candidate, manifest, repository, repository_blob, tag

_IN_ONE_QUERY = 500

_BY_NAME = repository.c.name == bindparam("repository")
_DOMAIN = Prepared(select(repository.c.domain).where(_BY_NAME))
_PAGE = NameList(
    select(repository.c.name)
    .where(repository.c.name > bindparam("after"))
    .order_by(repository.c.name)
    .limit(bindparam("most"))
)
_ID = Prepared(select(repository.c.id).where(_BY_NAME))


@dataclass(frozen=True, slots=True)
class StoredRepository:
    """A repository as the database keeps it; `tags` is a JSON object, `domain` is what its content is sealed in."""

    id: int
    account_id: str
    name: str
    created_at: float
    tags: str
    domain: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository holds: how many manifests, tags and blobs, and the bytes of the blobs."""

    manifests: int
    tags: int
    blobs: int
    blob_bytes: int


def find_repository(connection: Connection, name: str) -> int | None:
    """The id of a repository, or None."""
    return _ID.value(connection, repository=name)


def lock_repository(connection: Connection, name: str) -> int | None:
    """The id of a repository, held until the transaction ends: changes to one repository happen one after another.

    SQLite has one writer at a time anyway.
    """
    return HELD_REPOSITORY.value(connection, repository=name)


def domain_of(connection: Connection, name: str) -> str | None:
    """The encryption domain of a repository, None where there is no repository."""
    return _DOMAIN.value(connection, repository=name)


def add_repository(connection: Connection, name: str, now: float, domain: str = DEFAULT_DOMAIN) -> bool:
    """Make a repository of an encryption domain, for good; False when it was there."""
    owner = select(account.c.id).limit(1).scalar_subquery()
    added = connection.execute(
        insert(connection, repository)
        .values(account_id=owner, name=name, created_at=now, domain=domain)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return added.rowcount > 0


def list_repositories(connection: Connection, *, after: str, limit: int) -> list[str]:
    """Names that sort after `after` by bytes, at most `limit`, in order."""
    return _PAGE.read(connection, after=after, most=limit)


def describe_repository(connection: Connection, name: str) -> StoredRepository | None:
    """A repository with its tags, or None."""
    row = connection.execute(
        select(
            repository.c.id,
            repository.c.account_id,
            repository.c.name,
            repository.c.created_at,
            repository.c.tags,
            repository.c.domain,
        ).where(repository.c.name == name)
    ).one_or_none()
    return None if row is None else StoredRepository(*row)


def count_contents(connection: Connection, repository_id: int) -> Contents:
    """What a repository holds; takes as long as it holds much."""
    manifests = select(func.count()).select_from(manifest).where(manifest.c.repository_id == repository_id)
    tags = select(func.count()).select_from(tag).where(tag.c.repository_id == repository_id)
    blobs = (
        select(func.count(), func.coalesce(func.sum(blob.c.size), 0))
        .select_from(repository_blob)
        .join(blob, blob.c.id == repository_blob.c.blob_id)
        .where(repository_blob.c.repository_id == repository_id)
    )
    number, size = connection.execute(blobs).one()
    return Contents(
        connection.execute(manifests).scalar_one(), connection.execute(tags).scalar_one(), number, int(size)
    )


def has_manifests(connection: Connection, repository_id: int) -> bool:
    """Whether a repository holds any manifest."""
    held = exists().where(manifest.c.repository_id == repository_id)
    return bool(connection.execute(select(held)).scalar_one())


def put_tags(connection: Connection, name: str, tags: str) -> bool:
    """Give a repository these tags, a JSON object, in place of others; False when it is not there."""
    changed = connection.execute(update(repository).where(repository.c.name == name).values(tags=tags))
    return touch_if_changed(connection, changed)


def delete_repository(connection: Connection, repository_id: int, now: float) -> None:
    """Remove a repository with all it holds; copies that nobody reads any more become candidates."""
    read = list(
        connection.execute(
            delete(repository_blob)
            .where(repository_blob.c.repository_id == repository_id)
            .returning(repository_blob.c.blob_id)
        ).scalars()
    )
    connection.execute(delete(gc_candidate).where(gc_candidate.c.repository_id == repository_id))
    for start in range(0, len(read), _IN_ONE_QUERY):
        _let_go(connection, sorted(read)[start : start + _IN_ONE_QUERY], now)
    connection.execute(delete(repository).where(repository.c.id == repository_id))
    touch_generation(connection)


def _let_go(connection: Connection, blob_ids: list[int], now: float) -> None:
    # Held before looking for readers: of two repositories that let go at once, the second must see it.
    connection.execute(select(blob.c.id).where(blob.c.id.in_(blob_ids)).order_by(blob.c.id).with_for_update())
    still_read = exists().where(repository_blob.c.blob_id == blob.c.id)
    loose = list(connection.execute(select(blob.c.id).where(blob.c.id.in_(blob_ids), ~still_read)).scalars())
    if loose:
        rows = [{"blob_id": blob_id, "repository_id": NO_REPOSITORY, "since": now} for blob_id in loose]
        statement = insert(connection, gc_candidate).values(rows)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["blob_id", "repository_id"], set_={"since": now})
        )
