"""Upload sessions: rows of the activity database."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.metadata.activity_schema import upload
from storage.metadata.prepared import Prepared


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload session as the database keeps it; `committed` is in bytes."""

    id: str
    repository: str
    principal: str
    algorithm: str
    committed: int
    started_at: float


_COLUMNS = (
    upload.c.id,
    upload.c.repository,
    upload.c.principal,
    upload.c.algorithm,
    upload.c.committed,
    upload.c.started_at,
)


_UPLOAD = Prepared(select(*_COLUMNS).where(upload.c.id == bindparam("id")))
_REMOVE_IDLE = Prepared(
    delete(upload).where(upload.c.id == bindparam("upload_id"), upload.c.touched_at < bindparam("before"))
)
_OPEN = select(func.count()).select_from(upload).where(upload.c.principal == bindparam("holder"))
_NEW = Prepared(
    insert(upload).from_select(
        [column.name for column in (*_COLUMNS, upload.c.touched_at)],
        select(
            *(bindparam(column.name, type_=column.type) for column in _COLUMNS),
            bindparam("touched_at", type_=upload.c.touched_at.type),
        ).where(_OPEN.scalar_subquery() < bindparam("most")),
    )
)
_MOVE = Prepared(
    update(upload)
    .where(upload.c.id == bindparam("upload_id"), upload.c.committed == bindparam("before"))
    .values(committed=bindparam("after"), touched_at=bindparam("now"))
)
_REMOVE = Prepared(delete(upload).where(upload.c.id == bindparam("upload_id")))
_REMOVE_EMPTY = Prepared(delete(upload).where(upload.c.id == bindparam("upload_id"), upload.c.committed == 0))


def add_upload(connection: Connection, new: StoredUpload, *, most: int) -> bool:
    """Open an upload session; False where the principal has so many already.

    PostgreSQL may let in a few more that come at the same moment: a bound on waste need not cost them a lock.
    """
    added = _NEW.change(
        connection,
        id=new.id,
        repository=new.repository,
        principal=new.principal,
        algorithm=new.algorithm,
        committed=new.committed,
        started_at=new.started_at,
        touched_at=new.started_at,
        holder=new.principal,
        most=most,
    )
    return added > 0


def find_upload(connection: Connection, upload_id: str) -> StoredUpload | None:
    """An upload session, or None."""
    row = _UPLOAD.row(connection, id=upload_id)
    return None if row is None else StoredUpload(*row)


def move_upload(connection: Connection, upload_id: str, *, before: int, after: int, now: float) -> bool:
    """Commit more bytes of an upload, if nobody moved it since it stood at `before`."""
    return _MOVE.change(connection, upload_id=upload_id, before=before, after=after, now=now) > 0


def remove_upload(connection: Connection, upload_id: str) -> bool:
    """Close an upload session; False when it was closed already."""
    return _REMOVE.change(connection, upload_id=upload_id) > 0


def remove_empty_upload(connection: Connection, upload_id: str) -> bool:
    """Close an upload session of which nothing is committed; False when something is, or it was closed already."""
    return _REMOVE_EMPTY.change(connection, upload_id=upload_id) > 0


def remove_idle_upload(connection: Connection, upload_id: str, *, before: float) -> bool:
    """Close an upload session that nobody touched since `before`; False when somebody did, or it was closed."""
    return _REMOVE_IDLE.change(connection, upload_id=upload_id, before=before) > 0


def list_idle_uploads(connection: Connection, *, before: float, limit: int) -> list[str]:
    """Ids of sessions that nobody touched since `before`."""
    return list(
        connection.execute(
            select(upload.c.id).where(upload.c.touched_at < before).order_by(upload.c.touched_at).limit(limit)
        ).scalars()
    )
