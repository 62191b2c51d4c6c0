"""Rows that tests need before the one they are about."""

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from storage.metadata.accounts import add_account
from storage.metadata.blobs import NewCopy, add_copy, link_blob, quarantine
from storage.metadata.manifests import NewManifest
from storage.metadata.principals import NewPrincipal, add_principal, find_principal, find_role
from storage.metadata.repositories import add_repository, find_repository
from storage.metadata.schema import account, blob, gc_candidate, repository

ACCOUNT = "123456789012"


def digest(number: int) -> str:
    """A digest that sorts by its number."""
    return f"sha256:{number:064x}"


def make_repository(connection: Connection, name: str = "alpha", now: float = 1.0) -> int:
    """Add a repository, and the account that owns it, and return its id."""
    if connection.execute(select(account.c.id)).first() is None:
        add_account(connection, ACCOUNT, now)
    add_repository(connection, name, now)
    found = find_repository(connection, name)
    assert found is not None
    return found


def make_copy(connection: Connection, number: int = 1, *, key: str = "", size: int = 10, domain: str = "") -> int:
    """Add a stored copy, sealed with the first key of a domain if one is given, and return its id."""
    new = NewCopy(digest(number), size, key or f"key-{number}", domain, key_version=1 if domain else 0)
    blob_id = add_copy(connection, new, 1.0)
    assert blob_id is not None
    return blob_id


def make_blob(connection: Connection, repository_id: int, number: int = 1, *, now: float = 1.0) -> int:
    """Add a stored copy that a repository reads and return its id."""
    blob_id = make_copy(connection, number)
    link_blob(connection, repository_id=repository_id, digest=digest(number), blob_id=blob_id, now=now)
    return blob_id


def find_bad(connection: Connection, blob_id: int) -> None:
    """Quarantine a stored copy."""
    key = connection.execute(select(blob.c.storage_key).where(blob.c.id == blob_id)).scalar_one()
    quarantine(connection, blob_id, key)


def put_in_domain(connection: Connection, repository_id: int, domain: str) -> None:
    """Have a repository be one of a domain."""
    connection.execute(update(repository).where(repository.c.id == repository_id).values(domain=domain))


def new_manifest(
    number: int = 100,
    blobs: Iterable[int] = (),
    children: Iterable[int] = (),
    subject: int | None = None,
    artifact_type: str | None = None,
    annotations: str | None = None,
) -> NewManifest:
    """A manifest that names blobs and manifests by number."""
    return NewManifest(
        digest=digest(number),
        size=len(b"manifest %d" % number),
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact_type=artifact_type,
        subject=None if subject is None else digest(subject),
        config_digest=None,
        total_size=0,
        annotations=annotations,
        payload=b"manifest %d" % number,
        blobs=frozenset(map(digest, blobs)),
        children=frozenset(map(digest, children)),
    )


def candidates(connection: Connection) -> set[tuple[int, int, float]]:
    """What may be collected: copy, repository, and since when."""
    columns = (gc_candidate.c.blob_id, gc_candidate.c.repository_id, gc_candidate.c.since)
    return {(row[0], row[1], row[2]) for row in connection.execute(select(*columns))}


def make_principal(connection: Connection, name: str = "alice", kind: str = "user") -> int:
    """Add a principal, and the account that it belongs to, and return its id."""
    if connection.execute(select(account.c.id)).first() is None:
        add_account(connection, ACCOUNT, 1.0)
    assert add_principal(connection, NewPrincipal(ACCOUNT, name, kind), 1.0)
    found = find_role(connection, name) if kind == "role" else find_principal(connection, name)
    assert found is not None
    return found.id
