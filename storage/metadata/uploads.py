"""Upload sessions: rows of the activity database."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, update

from storage.metadata.activity_schema import upload
from storage.metadata.database import insert


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


# Asked at every chunk: built once, for building a statement costs more than running it.
_UPLOAD = select(*_COLUMNS).where(upload.c.id == bindparam("id"))


def add_upload(connection: Connection, new: StoredUpload) -> None:
    """Open an upload session."""
    connection.execute(
        insert(connection, upload).values(
            id=new.id,
            repository=new.repository,
            principal=new.principal,
            algorithm=new.algorithm,
            committed=new.committed,
            started_at=new.started_at,
            touched_at=new.started_at,
        )
    )


def find_upload(connection: Connection, upload_id: str) -> StoredUpload | None:
    """An upload session, or None."""
    row = connection.execute(_UPLOAD, {"id": upload_id}).one_or_none()
    return None if row is None else StoredUpload(*row)


def move_upload(connection: Connection, upload_id: str, *, before: int, after: int, now: float) -> bool:
    """Commit more bytes of an upload, if nobody moved it since it stood at `before`."""
    moved = connection.execute(
        update(upload)
        .where(upload.c.id == upload_id, upload.c.committed == before)
        .values(committed=after, touched_at=now)
    )
    return moved.rowcount > 0


def remove_upload(connection: Connection, upload_id: str) -> bool:
    """Close an upload session; False when it was closed already."""
    return connection.execute(delete(upload).where(upload.c.id == upload_id)).rowcount > 0


def remove_idle_upload(connection: Connection, upload_id: str, *, before: float) -> bool:
    """Close an upload session that nobody touched since `before`; False when somebody did, or it was closed."""
    removed = connection.execute(delete(upload).where(upload.c.id == upload_id, upload.c.touched_at < before))
    return removed.rowcount > 0


def count_uploads(connection: Connection, principal: str) -> int:
    """How many upload sessions a principal has open."""
    count: int = connection.execute(
        select(func.count()).select_from(upload).where(upload.c.principal == principal)
    ).scalar_one()
    return count


def list_idle_uploads(connection: Connection, *, before: float, limit: int) -> list[str]:
    """Ids of sessions that nobody touched since `before`."""
    return list(
        connection.execute(
            select(upload.c.id).where(upload.c.touched_at < before).order_by(upload.c.touched_at).limit(limit)
        ).scalars()
    )
