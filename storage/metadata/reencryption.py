"""What is not stored as it should be, putting other copies in its place, and who asked for that.

- Pages go on where the one before ended, in the order of a key: all of them together read a table once.
- A copy that others took the place of, or that nobody reads, is let go of: it is served to nobody from then on, and
  its bytes stay until nobody can be reading them any more.
"""

from dataclasses import dataclass, field

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)

from storage.metadata.blobs import (
    COPY,
    NO_REPOSITORY,
    BlobState,
    NewCopy,
    StoredBlob,
    add_copy,
    find_stored_copy,
    repair_readers,
    restart_grace,
)
from storage.metadata.schema import (
    blob,
    domain_key,
    encryption_domain,
    gc_candidate,
    manifest,
    repository,
    repository_blob,
)

# Written out, for a partial index answers only for its own words.
_IS_REPLACED = text("blob.state = 'deleting'")
_MANIFESTS = manifest.join(repository, repository.c.id == manifest.c.repository_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How things are to be stored: sealed with the newest key of their domain, or plain; all, or a domain's."""

    seals: bool
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class ManifestPlace:
    """Where a manifest is in the order of all."""

    repository_id: int
    digest: str


@dataclass(frozen=True, slots=True)
class StaleManifest:
    """A manifest that is not stored as it should be, and the domain it belongs in: none where it is to be plain."""

    place: ManifestPlace
    payload: bytes = field(repr=False)
    annotations: str | None = field(repr=False)
    domain: str
    target: str


@dataclass(frozen=True, slots=True)
class Resealed:
    """A manifest as it is to be stored."""

    payload: bytes = field(repr=False)
    annotations: str | None = field(repr=False)
    domain: str = ""
    key_version: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A domain of which all is to be sealed with this version of its key, or a later one."""

    domain: str
    version: int


def count_stale(connection: Connection, wanted: Wanted) -> int:
    """How many copies and manifests are not stored as they should be; reads both tables."""
    copies = select(func.count()).select_from(blob).where(_is_stale_copy(wanted))
    manifests = select(func.count()).select_from(_MANIFESTS).where(_is_stale_manifest(wanted))
    return int(connection.execute(copies).scalar_one() + connection.execute(manifests).scalar_one())


def list_stale_copies(connection: Connection, wanted: Wanted, *, after: int, limit: int) -> list[StoredBlob]:
    """Served copies that are not stored as they should be, by id."""
    rows = connection.execute(
        select(*COPY).where(_is_stale_copy(wanted), blob.c.id > after).order_by(blob.c.id).limit(limit)
    )
    return [StoredBlob(*row) for row in rows]


def targets_of(connection: Connection, old: StoredBlob, wanted: Wanted) -> list[str] | None:
    """The domains (`""`: none) that need another copy in place of one, none where nobody reads it.

    None for a copy that is not served any more, or was stored anew.
    """
    readers = (
        select(repository.c.domain)
        .distinct()
        .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
        .where(repository_blob.c.blob_id == old.id)
        .order_by(repository.c.domain)
    )
    if connection.execute(select(blob.c.id).where(_is_as_it_was(old))).first() is None:
        return None
    domains = list(connection.execute(readers).scalars())
    if not domains or not wanted.seals or old.domain:
        return [old.domain if wanted.seals else ""] if domains else []
    return [domain for domain in domains if wanted.domain in {None, domain}]


def replace_copy(connection: Connection, old: StoredBlob, new: NewCopy | None, target: str, now: float) -> bool:
    """Have the repositories of a domain (all, where it is `""`) read another copy, and let go of the old one unread.

    With `new` None it is the one that serves the domain already, if there is one. Whether it is done: not where the old
    copy is not served any more, or was stored anew, or where none of them reads it; nor by a new copy that another was
    faster than, which is read then. As after a push, who reads a quarantined copy gets the new one too.
    """
    _hold_readers(connection, old.id)
    if not _hold(connection, old):
        return False
    _hold_readers(connection, old.id)  # those too that began to read it before it was held
    if not connection.execute(select(_readers(old, target).exists())).scalar_one():
        _let_go_unless_read(connection, old.id, now)
        return False
    if new is not None and old.domain == target:
        _let_go(connection, old.id, now)  # one copy is served in a domain
    new_id = None if new is None else add_copy(connection, new, now)
    served_id = _serving(connection, old, target) if new_id is None else new_id
    if served_id is None:
        return False
    _move_readers(connection, old, target, served_id)
    if new_id is not None:
        repair_readers(connection, digest=old.digest, domain=target, blob_id=new_id, now=now)
    _let_go_unless_read(connection, old.id, now)
    return new is None or new_id is not None


def let_go_of_unread(connection: Connection, old: StoredBlob, now: float) -> None:
    """Let go of a copy if nobody reads it."""
    if _hold(connection, old):
        _let_go_unless_read(connection, old.id, now)


def is_named(connection: Connection, old: StoredBlob, storage_key: str) -> bool:
    """Whether a row names the copy that was to replace another, once every change that was to do so has ended."""
    connection.execute(select(blob.c.id).where(blob.c.id == old.id).with_for_update())
    return connection.execute(select(blob.c.id).where(blob.c.storage_key == storage_key)).first() is not None


def list_replaced(connection: Connection, *, before: float, limit: int) -> list[StoredBlob]:
    """Copies that were let go of before a time, and are not removed yet."""
    rows = connection.execute(
        select(*COPY)
        .join(gc_candidate, and_(gc_candidate.c.blob_id == blob.c.id, gc_candidate.c.repository_id == NO_REPOSITORY))
        .where(_IS_REPLACED, gc_candidate.c.since < before)
        .order_by(blob.c.id)
        .limit(limit)
    )
    return [StoredBlob(*row) for row in rows]


def count_replaced(connection: Connection) -> int:
    """How many copies were let go of and are not removed yet."""
    return int(connection.execute(select(func.count()).select_from(blob).where(_IS_REPLACED)).scalar_one())


def has_replaced(connection: Connection) -> bool:
    """Whether any copy was let go of and is not removed yet."""
    return connection.execute(select(blob.c.id).where(_IS_REPLACED).limit(1)).first() is not None


def forget_replaced(connection: Connection, blob_id: int) -> None:
    """Remove the row of a copy whose bytes are gone."""
    connection.execute(delete(blob).where(blob.c.id == blob_id, _IS_REPLACED))


def list_stale_manifests(
    connection: Connection, wanted: Wanted, *, after: ManifestPlace, limit: int
) -> list[ManifestPlace]:
    """Where manifests are that are not stored as they should be, in a fixed order."""
    place = (manifest.c.repository_id, manifest.c.digest)
    rows = connection.execute(
        select(*place)
        .select_from(_MANIFESTS)
        .where(_is_stale_manifest(wanted), tuple_(*place) > (after.repository_id, after.digest))
        .order_by(*place)
        .limit(limit)
    )
    return [ManifestPlace(*row) for row in rows]


def find_stale_manifest(connection: Connection, wanted: Wanted, place: ManifestPlace) -> StaleManifest | None:
    """The manifest that is there, None where it is as it should be, or gone."""
    found = connection.execute(
        select(
            manifest.c.payload,
            manifest.c.annotations,
            manifest.c.domain,
            repository.c.domain if wanted.seals else literal(""),
        )
        .select_from(_MANIFESTS)
        .where(_is_at(place), _is_stale_manifest(wanted))
    ).one_or_none()
    return None if found is None else StaleManifest(place, *found)


def replace_manifest(connection: Connection, old: StaleManifest, new: Resealed) -> None:
    """Store a manifest otherwise, unless it was changed or deleted meanwhile."""
    connection.execute(
        update(manifest)
        .where(_is_at(old.place), manifest.c.payload == old.payload)
        .values(payload=new.payload, annotations=new.annotations, domain=new.domain, key_version=new.key_version)
    )


def list_requests(connection: Connection) -> list[Request]:
    """The domains that somebody wants re-encrypted, by name."""
    version = encryption_domain.c.reencrypt_to
    rows = connection.execute(
        select(encryption_domain.c.name, version).where(version.is_not(None)).order_by(encryption_domain.c.name)
    )
    return [Request(*row) for row in rows]


def request(connection: Connection, domain: str) -> None:
    """Have a domain re-encrypted in the background."""
    newest = select(func.max(domain_key.c.version)).where(domain_key.c.domain == domain).scalar_subquery()
    connection.execute(update(encryption_domain).where(encryption_domain.c.name == domain).values(reencrypt_to=newest))


def finish_request(connection: Connection, done: Request) -> None:
    """A domain was re-encrypted as far as it can be; what was asked for meanwhile, with a later key, is to be done."""
    connection.execute(
        update(encryption_domain)
        .where(encryption_domain.c.name == done.domain, encryption_domain.c.reencrypt_to == done.version)
        .values(reencrypt_to=None)
    )


def _is_as_it_was(old: StoredBlob) -> ColumnElement[bool]:
    return and_(blob.c.id == old.id, blob.c.storage_key == old.storage_key, blob.c.state == BlobState.STORED.value)


def _hold(connection: Connection, old: StoredBlob) -> bool:
    """Have nobody begin to read a copy until the transaction ends; False where it is not what it was."""
    held = select(blob.c.id).where(_is_as_it_was(old)).with_for_update()
    return connection.execute(held).scalar_one_or_none() is not None


def _hold_readers(connection: Connection, blob_id: int) -> None:
    """Hold the repositories that read a copy; first, as every change does, so that no two wait for each other."""
    readers = select(repository_blob.c.repository_id).where(repository_blob.c.blob_id == blob_id)
    connection.execute(
        select(repository.c.id).where(repository.c.id.in_(readers)).order_by(repository.c.id).with_for_update()
    )


def _readers(old: StoredBlob, target: str) -> Select[int]:
    """The repositories that read a copy: of the target domain, where a plain one is read by several domains'."""
    readers = select(repository_blob.c.repository_id).where(repository_blob.c.blob_id == old.id)
    if old.domain or not target:
        return readers
    return readers.where(
        repository_blob.c.repository_id.in_(select(repository.c.id).where(repository.c.domain == target))
    )


def _serving(connection: Connection, old: StoredBlob, target: str) -> int | None:
    """The copy that serves a domain by now; none is in the domain of the old one but that, which is held."""
    served = find_stored_copy(connection, old.digest, target)
    if served is None and old.domain == target:
        raise AssertionError
    return None if served is None else served.id


def _move_readers(connection: Connection, old: StoredBlob, target: str, new_id: int) -> None:
    """Have readers of one copy read another; what was a candidate there stays one, and since when."""
    readers = _readers(old, target)
    for table in (gc_candidate, repository_blob):
        moved = and_(table.c.blob_id == old.id, table.c.repository_id.in_(readers))
        connection.execute(update(table).where(moved).values(blob_id=new_id))
    connection.execute(
        delete(gc_candidate).where(gc_candidate.c.blob_id == new_id, gc_candidate.c.repository_id == NO_REPOSITORY)
    )


def _let_go_unless_read(connection: Connection, blob_id: int, now: float) -> None:
    read = exists().where(repository_blob.c.blob_id == blob_id)
    if not connection.execute(select(read)).scalar_one():
        _let_go(connection, blob_id, now)


def _let_go(connection: Connection, blob_id: int, now: float) -> None:
    connection.execute(update(blob).where(blob.c.id == blob_id).values(state=BlobState.DELETING.value))
    restart_grace(connection, blob_id=blob_id, repository_id=NO_REPOSITORY, now=now)


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


def _is_at(place: ManifestPlace) -> ColumnElement[bool]:
    return and_(manifest.c.repository_id == place.repository_id, manifest.c.digest == place.digest)


def _is_stale_manifest(wanted: Wanted) -> ColumnElement[bool]:
    if not wanted.seals:
        return manifest.c.domain == wanted.domain if wanted.domain is not None else manifest.c.domain != ""
    is_stale = or_(manifest.c.domain != repository.c.domain, manifest.c.key_version < _newest(manifest.c.domain))
    return is_stale if wanted.domain is None else and_(is_stale, repository.c.domain == wanted.domain)


def _newest(domain: "ColumnElement[str]") -> ColumnElement[int]:
    newest = select(func.max(domain_key.c.version)).where(domain_key.c.domain == domain).scalar_subquery()
    return func.coalesce(newest, 0)
