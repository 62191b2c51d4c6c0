"""What is looked at when everything that is stored is checked, and giving back what was quarantined by mistake."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, tuple_, update

from storage.metadata.blobs import BlobState
from storage.metadata.schema import blob, manifest, repository, repository_blob


@dataclass(frozen=True, slots=True)
class CheckedCopy:
    """A copy that somebody may read, or could before it was quarantined; plain where it has no domain."""

    id: int
    digest: str
    size: int
    storage_key: str
    domain: str
    key_version: int
    is_quarantined: bool


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """A manifest's bytes and annotations, sealed in a domain or plain, and where it is."""

    repository_id: int
    repository: str
    digest: str
    payload: bytes
    size: int
    annotations: str | None
    domain: str


_COPY = (
    blob.c.id,
    blob.c.digest,
    blob.c.size,
    blob.c.storage_key,
    blob.c.domain,
    blob.c.key_version,
    blob.c.state == BlobState.QUARANTINED.value,
)


def list_copies(connection: Connection, *, after: int, limit: int) -> list[CheckedCopy]:
    """Copies that are served or that a repository misses, by id; `after` is the last id of the page before."""
    rows = connection.execute(select(*_COPY).where(blob.c.id > after, _is_checked()).order_by(blob.c.id).limit(limit))
    return [CheckedCopy(*row) for row in rows]


def find_copy(connection: Connection, blob_id: int) -> CheckedCopy | None:
    """A copy as it is now, None when it is not to be looked at any more."""
    row = connection.execute(select(*_COPY).where(blob.c.id == blob_id, _is_checked())).one_or_none()
    return None if row is None else CheckedCopy(*row)


def count_copies(connection: Connection) -> int:
    """How many copies `list_copies` gives in all."""
    count: int = connection.execute(select(func.count()).select_from(blob).where(_is_checked())).scalar_one()
    return count


def restore(connection: Connection, blob_id: int) -> bool:
    """Serve a quarantined copy again; False when another copy of its digest is served in its domain."""
    other = blob.alias("other")
    served = exists().where(
        other.c.digest == blob.c.digest, other.c.domain == blob.c.domain, other.c.state == BlobState.STORED.value
    )
    restored = connection.execute(
        update(blob)
        .where(blob.c.id == blob_id, blob.c.state == BlobState.QUARANTINED.value, ~served)
        .values(state=BlobState.STORED.value)
        .returning(blob.c.id)
    )
    return restored.scalar_one_or_none() is not None


def list_manifests(
    connection: Connection, *, after: tuple[int, str], limit: int, limit_bytes: int
) -> list[CheckedManifest]:
    """Manifests of all repositories in a fixed order: at most so many bytes of payload, one manifest at least."""
    place = tuple_(manifest.c.repository_id, manifest.c.digest)
    sizes = connection.execute(
        select(manifest.c.repository_id, manifest.c.digest, func.length(manifest.c.payload))
        .where(place > after)
        .order_by(manifest.c.repository_id, manifest.c.digest)
        .limit(limit)
    )
    last, total = None, 0
    for repository_id, digest, size in sizes.all():
        total += size
        if last is not None and total > limit_bytes:
            break
        last = (repository_id, digest)
    if last is None:
        return []
    rows = connection.execute(
        select(
            manifest.c.repository_id,
            repository.c.name,
            manifest.c.digest,
            manifest.c.payload,
            manifest.c.size,
            manifest.c.annotations,
            manifest.c.domain,
        )
        .join(repository, repository.c.id == manifest.c.repository_id)
        .where(place > after, place <= last)
        .order_by(manifest.c.repository_id, manifest.c.digest)
        .limit(limit)
    )
    return [CheckedManifest(*row) for row in rows]


def _is_checked() -> ColumnElement[bool]:
    missed = exists().where(repository_blob.c.blob_id == blob.c.id)
    return or_(
        blob.c.state == BlobState.STORED.value,
        and_(blob.c.state == BlobState.QUARANTINED.value, missed),
    )
