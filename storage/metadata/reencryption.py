"""What is not stored as it should be, putting other copies in its place, and who asked for that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, tuple_, update

from storage.metadata.blobs import COPY, NO_REPOSITORY, BlobState, NewCopy, StoredBlob, add_copy, restart_grace
from storage.metadata.database import insert
from storage.metadata.schema import (
    blob,
    domain_key,
    gc_candidate,
    manifest,
    registry_setting,
    repository,
    repository_blob,
)

_REQUESTS: Final = "reencryption_requests"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How things are to be stored: sealed with the newest key of their domain, or plain; all, or a domain's."""

    seals: bool
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class StaleManifest:
    """A manifest that is not stored as it should be, and the domain that it belongs to."""

    repository_id: int
    repository: str
    digest: str
    payload: bytes = field(repr=False)
    annotations: str | None = field(repr=False)
    domain: str
    key_version: int
    target: str

    @property
    def place(self) -> tuple[int, str]:
        """Where it is in the order of all."""
        return self.repository_id, self.digest


@dataclass(frozen=True, slots=True)
class Resealed:
    """A manifest as it is to be stored."""

    payload: bytes = field(repr=False)
    annotations: str | None = field(repr=False)
    domain: str = ""
    key_version: int = 0


def list_stale_copies(connection: Connection, wanted: Wanted, *, after: int, limit: int) -> list[StoredBlob]:
    """Served copies that are not stored as they should be, by id."""
    rows = connection.execute(
        select(*COPY).where(_is_stale_copy(wanted), blob.c.id > after).order_by(blob.c.id).limit(limit)
    )
    return [StoredBlob(*row) for row in rows]


def list_stale_manifests(
    connection: Connection, wanted: Wanted, *, after: tuple[int, str], limit: int
) -> list[StaleManifest]:
    """Manifests that are not stored as they should be, in a fixed order."""
    target = repository.c.domain if wanted.seals else func.coalesce("", "")
    rows = connection.execute(
        select(
            manifest.c.repository_id,
            repository.c.name,
            manifest.c.digest,
            manifest.c.payload,
            manifest.c.annotations,
            manifest.c.domain,
            manifest.c.key_version,
            target,
        )
        .join(repository, repository.c.id == manifest.c.repository_id)
        .where(_is_stale_manifest(wanted), tuple_(manifest.c.repository_id, manifest.c.digest) > after)
        .order_by(manifest.c.repository_id, manifest.c.digest)
        .limit(limit)
    )
    return [StaleManifest(*row) for row in rows]


def count_stale(connection: Connection, wanted: Wanted) -> int:
    """How many copies and manifests are not stored as they should be."""
    copies = select(func.count()).select_from(blob).where(_is_stale_copy(wanted))
    manifests = (
        select(func.count())
        .select_from(manifest)
        .join(repository, repository.c.id == manifest.c.repository_id)
        .where(_is_stale_manifest(wanted))
    )
    return int(connection.execute(copies).scalar_one() + connection.execute(manifests).scalar_one())


def targets_of(connection: Connection, blob_id: int, wanted: Wanted) -> list[str]:
    """The domains of the repositories that read a copy, of those that are wanted."""
    asked = (
        select(repository.c.domain)
        .distinct()
        .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
        .where(repository_blob.c.blob_id == blob_id)
        .order_by(repository.c.domain)
    )
    if wanted.domain is not None:
        asked = asked.where(repository.c.domain == wanted.domain)
    return list(connection.execute(asked).scalars())


def replace_copy(connection: Connection, old: StoredBlob, new: NewCopy | None, target: str, now: float) -> bool:
    """Have the repositories of a domain (all, where it is `""`) read a new copy, and let go of the old one.

    With `new` None another copy serves the domain already. False, and nothing is done, where the old copy is not served
    any more, or there is no other; and where another took the new one's place, which is the one that is read then.
    """
    held = connection.execute(
        select(blob.c.id)
        .where(blob.c.id == old.id, blob.c.storage_key == old.storage_key, blob.c.state == BlobState.STORED.value)
        .with_for_update()
    ).scalar_one_or_none()
    if held is None:
        return False
    if old.domain == target:  # one copy is served in a domain
        _let_go(connection, old.id, now)
    new_id = None if new is None else add_copy(connection, new, now)
    is_new = new_id is not None
    if new_id is None:
        new_id = connection.execute(
            select(blob.c.id).where(
                blob.c.digest == old.digest, blob.c.domain == target, blob.c.state == BlobState.STORED.value
            )
        ).scalar_one_or_none()
    if new_id is None:
        return False
    _repoint(connection, old.id, new_id, target, now)
    read = exists().where(repository_blob.c.blob_id == old.id)
    if not connection.execute(select(read)).scalar_one():
        _let_go(connection, old.id, now)
    return is_new or new is None


def let_go_of_unread(connection: Connection, old: StoredBlob, now: float) -> bool:
    """Have a copy removed that nobody reads; False where somebody does by now."""
    connection.execute(select(blob.c.id).where(blob.c.id == old.id).with_for_update())
    read = exists().where(repository_blob.c.blob_id == old.id)
    if connection.execute(select(read)).scalar_one():
        return False
    _let_go(connection, old.id, now)
    return True


def list_replaced(connection: Connection, *, before: float, limit: int) -> list[StoredBlob]:
    """Copies that were let go of before a time, and are not removed yet."""
    rows = connection.execute(
        select(*COPY)
        .join(gc_candidate, and_(gc_candidate.c.blob_id == blob.c.id, gc_candidate.c.repository_id == NO_REPOSITORY))
        .where(blob.c.state == BlobState.DELETING.value, gc_candidate.c.since < before)
        .order_by(blob.c.id)
        .limit(limit)
    )
    return [StoredBlob(*row) for row in rows]


def count_replaced(connection: Connection) -> int:
    """How many copies were let go of and are not removed yet."""
    asked = select(func.count()).select_from(blob).where(blob.c.state == BlobState.DELETING.value)
    return int(connection.execute(asked).scalar_one())


def forget_replaced(connection: Connection, blob_id: int) -> None:
    """Remove the row of a copy whose bytes are gone."""
    connection.execute(delete(blob).where(blob.c.id == blob_id, blob.c.state == BlobState.DELETING.value))


def replace_manifest(connection: Connection, old: StaleManifest, new: Resealed) -> bool:
    """Store a manifest otherwise; False where it was changed or deleted meanwhile."""
    changed = connection.execute(
        update(manifest)
        .where(
            manifest.c.repository_id == old.repository_id,
            manifest.c.digest == old.digest,
            manifest.c.payload == old.payload,
        )
        .values(payload=new.payload, annotations=new.annotations, domain=new.domain, key_version=new.key_version)
    )
    return changed.rowcount > 0


def requested(connection: Connection) -> list[str]:
    """The domains that somebody wants re-encrypted."""
    found = connection.execute(
        select(registry_setting.c.value).where(registry_setting.c.name == _REQUESTS)
    ).scalar_one_or_none()
    return [] if found is None else list(orjson.loads(found))


def request(connection: Connection, domain: str) -> None:
    """Have a domain re-encrypted in the background."""
    _put_requests(connection, sorted({*requested(connection), domain}))


def finish_request(connection: Connection, domain: str) -> None:
    """A domain was re-encrypted."""
    _put_requests(connection, [name for name in requested(connection) if name != domain])


def _put_requests(connection: Connection, domains: Sequence[str]) -> None:
    text = orjson.dumps(domains).decode()
    new = insert(connection, registry_setting).values(name=_REQUESTS, value=text)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": text}))


def _let_go(connection: Connection, blob_id: int, now: float) -> None:
    connection.execute(update(blob).where(blob.c.id == blob_id).values(state=BlobState.DELETING.value))
    restart_grace(connection, blob_id=blob_id, repository_id=NO_REPOSITORY, now=now)


def _repoint(connection: Connection, old_id: int, new_id: int, target: str, now: float) -> None:
    """Have readers of one copy read another, with their candidates."""
    readers = select(repository_blob.c.repository_id).where(repository_blob.c.blob_id == old_id)
    if target:
        readers = readers.join(repository, repository.c.id == repository_blob.c.repository_id).where(
            repository.c.domain == target
        )
    ids = list(connection.execute(readers).scalars())
    for repository_id in ids:
        ours = and_(gc_candidate.c.blob_id == old_id, gc_candidate.c.repository_id == repository_id)
        since = connection.execute(select(gc_candidate.c.since).where(ours)).scalar_one_or_none()
        connection.execute(delete(gc_candidate).where(ours))
        if since is not None:
            restart_grace(connection, blob_id=new_id, repository_id=repository_id, now=now)
        connection.execute(
            update(repository_blob)
            .where(repository_blob.c.blob_id == old_id, repository_blob.c.repository_id == repository_id)
            .values(blob_id=new_id)
        )
    if ids:
        connection.execute(
            delete(gc_candidate).where(gc_candidate.c.blob_id == new_id, gc_candidate.c.repository_id == NO_REPOSITORY)
        )


def _is_stale_copy(wanted: Wanted) -> ColumnElement[bool]:
    served = blob.c.state == BlobState.STORED.value
    if not wanted.seals:
        only = blob.c.domain == wanted.domain if wanted.domain is not None else blob.c.domain != ""
        return and_(served, only)
    is_old = blob.c.key_version < _newest(blob.c.domain)
    if wanted.domain is None:
        return and_(served, or_(blob.c.domain == "", is_old))
    reader = (
        exists()
        .where(repository_blob.c.blob_id == blob.c.id, repository_blob.c.repository_id == repository.c.id)
        .where(repository.c.domain == wanted.domain)
    )
    return and_(served, or_(and_(blob.c.domain == "", reader), and_(blob.c.domain == wanted.domain, is_old)))


def _is_stale_manifest(wanted: Wanted) -> ColumnElement[bool]:
    if not wanted.seals:
        return manifest.c.domain == wanted.domain if wanted.domain is not None else manifest.c.domain != ""
    is_stale = or_(manifest.c.domain != repository.c.domain, manifest.c.key_version < _newest(manifest.c.domain))
    return is_stale if wanted.domain is None else and_(is_stale, repository.c.domain == wanted.domain)


def _newest(domain: "ColumnElement[str]") -> ColumnElement[int]:
    newest = select(func.max(domain_key.c.version)).where(domain_key.c.domain == domain).scalar_subquery()
    return func.coalesce(newest, 0)
