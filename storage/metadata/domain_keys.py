"""Encryption domains and the versions of their keys, each wrapped by a root key.

- A version is never changed but to wrap the same key anew, or to destroy it.
- A domain that was destroyed keeps its row, so that its name and id never stand for other keys.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, bindparam, distinct, func, select, update

from storage.domain_records import StoredKey
from storage.metadata.blobs import BlobState
from storage.metadata.database import Database, insert
from storage.metadata.generation import touch_generation
from storage.metadata.prepared import Prepared
from storage.metadata.remembered import Remembered
from storage.metadata.schema import blob, domain_key, encryption_domain, manifest, repository, repository_blob


@dataclass(frozen=True, slots=True)
class StoredDomain:
    """A domain; times are in seconds since the epoch, `kms_key` is what wraps its keys in place of the root key."""

    name: str
    id: bytes
    kms_key: str | None
    created_at: float
    destroy_at: float | None = None
    destroyed_at: float | None = None
    reencrypt_to: int | None = None
    """The version of its key that somebody wants all to be sealed with."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A version of a domain's key to record."""

    domain: str
    version: int
    root: str
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """How much is sealed with one version of a domain's key; with version 0, how much of its repositories is plain."""

    version: int
    blobs: int
    manifests: int


_KEYS = select(
    domain_key.c.domain,
    encryption_domain.c.id,
    domain_key.c.version,
    domain_key.c.root,
    domain_key.c.wrapped,
    domain_key.c.created_at,
    encryption_domain.c.kms_key,
    encryption_domain.c.destroy_at,
    encryption_domain.c.destroyed_at,
).join(encryption_domain, encryption_domain.c.name == domain_key.c.domain)

_NEWEST = Prepared(
    _KEYS.where(domain_key.c.domain == bindparam("domain")).order_by(domain_key.c.version.desc()).limit(1)
)
_BY_ID = Prepared(
    _KEYS.where(encryption_domain.c.id == bindparam("domain_id"), domain_key.c.version == bindparam("key_version"))
)


class DomainKeyRows:
    """The keys of all domains, for whoever unwraps them."""

    def __init__(self, database: Database) -> None:
        self._newest = Remembered[str, StoredKey | None](database, newest_key)
        self._found = Remembered[tuple[bytes, int], StoredKey | None](database, lambda c, sought: find_key(c, *sought))

    async def newest(self, domain: str) -> StoredKey | None:
        """The highest version of a domain's key, None for a domain that there is not."""
        return await self._newest.read(domain)

    async def find(self, domain_id: bytes, version: int) -> StoredKey | None:
        """A version of a domain's key, None where there is none such."""
        return await self._found.read((domain_id, version))


def newest_key(connection: Connection, domain: str) -> StoredKey | None:
    """The highest version of a domain's key, None for a domain that there is not."""
    row = _NEWEST.row(connection, domain=domain)
    return None if row is None else StoredKey(*row)


def find_key(connection: Connection, domain_id: bytes, version: int) -> StoredKey | None:
    """A version of the key of the domain with this id, None where there is none such."""
    row = _BY_ID.row(connection, domain_id=domain_id, key_version=version)
    return None if row is None else StoredKey(*row)


def list_keys(connection: Connection, domain: str | None = None) -> list[StoredKey]:
    """Every version of every domain's key, or of one domain's, by name and version."""
    query = _KEYS.order_by(domain_key.c.domain, domain_key.c.version)
    if domain is not None:
        query = query.where(domain_key.c.domain == domain)
    return [StoredKey(*row) for row in connection.execute(query)]


def find_domain(connection: Connection, name: str, *, hold: bool = False) -> StoredDomain | None:
    """A domain, or None; with `hold`, it does not change while the transaction runs."""
    query = select(encryption_domain).where(encryption_domain.c.name == name)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None:
        return None
    return StoredDomain(
        row.name, row.id, row.kms_key, row.created_at, row.destroy_at, row.destroyed_at, row.reencrypt_to
    )


def add_domain(connection: Connection, new: StoredDomain) -> bool:
    """Record a domain; False when there is one of this name."""
    added = connection.execute(
        insert(connection, encryption_domain)
        .values(name=new.name, id=new.id, kms_key=new.kms_key, created_at=new.created_at)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return added.rowcount > 0


def add_key(connection: Connection, new: NewKey, now: float) -> bool:
    """Record a version of a domain's key; False when there is this version."""
    added = connection.execute(
        insert(connection, domain_key)
        .values(domain=new.domain, version=new.version, root=new.root, wrapped=new.wrapped, created_at=now)
        .on_conflict_do_nothing(index_elements=["domain", "version"])
    )
    return added.rowcount > 0


def rewrap_key(connection: Connection, new: NewKey) -> None:
    """Record the same key wrapped anew; one that was destroyed stays so."""
    connection.execute(
        update(domain_key)
        .where(
            domain_key.c.domain == new.domain,
            domain_key.c.version == new.version,
            domain_key.c.wrapped.is_not(None),
        )
        .values(root=new.root, wrapped=new.wrapped)
    )


def plan_destruction(connection: Connection, name: str, destroy_at: float | None) -> None:
    """Say from when on a domain's keys may be destroyed; None for one that is in use again."""
    connection.execute(update(encryption_domain).where(encryption_domain.c.name == name).values(destroy_at=destroy_at))
    touch_generation(connection)


def destroy_keys(connection: Connection, name: str, now: float) -> None:
    """Forget all keys of a domain, for ever."""
    connection.execute(update(domain_key).where(domain_key.c.domain == name).values(wrapped=None))
    connection.execute(update(encryption_domain).where(encryption_domain.c.name == name).values(destroyed_at=now))
    touch_generation(connection)


def count_sealed(connection: Connection, name: str) -> list[Sealed]:
    """How much is sealed with each version of a domain's key, by version; takes as long as there is much stored."""
    blobs = select(blob.c.key_version, func.count()).where(
        blob.c.domain == name, blob.c.state == BlobState.STORED.value
    )
    manifests = select(manifest.c.key_version, func.count()).where(manifest.c.domain == name)
    sealed_blobs = _by_version(connection, blobs.group_by(blob.c.key_version))
    sealed_manifests = _by_version(connection, manifests.group_by(manifest.c.key_version))
    plain = _count_plain(connection, name)
    versions = sorted({key.version for key in list_keys(connection, name)} | {*sealed_blobs, *sealed_manifests})
    sealed = [Sealed(each, sealed_blobs.get(each, 0), sealed_manifests.get(each, 0)) for each in versions]
    return [plain, *sealed]


def _count_plain(connection: Connection, name: str) -> Sealed:
    within = select(repository.c.id).where(repository.c.domain == name)
    blobs = (
        select(func.count(distinct(blob.c.id)))
        .select_from(repository_blob)
        .join(blob, blob.c.id == repository_blob.c.blob_id)
        .where(
            repository_blob.c.repository_id.in_(within),
            blob.c.domain == "",
            blob.c.state == BlobState.STORED.value,
        )
    )
    manifests = (
        select(func.count()).select_from(manifest).where(manifest.c.repository_id.in_(within), manifest.c.domain == "")
    )
    return Sealed(0, connection.execute(blobs).scalar_one(), connection.execute(manifests).scalar_one())


def _by_version(connection: Connection, counted: Select[int, int]) -> dict[int, int]:
    return {row[0]: row[1] for row in connection.execute(counted)}
