"""Stored copies, which repository may read them, and which of them may be collected."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, literal_column, select, text, update

from storage.metadata.generation import IS_STILL
from storage.metadata.prepared import Prepared, as_list, in_list, in_place_of_another
from storage.metadata.schema import blob, gc_candidate, manifest_blob, repository, repository_blob

NO_REPOSITORY = 0
"""The repository id of a candidate that is the copy itself: nobody may read it any more."""

_IN_ONE_QUERY = 500  # SQLite takes 32,766 parameters in a statement; a manifest may name more blobs


class BlobState(StrEnum):
    """What may be done with a stored copy."""

    STORED = "stored"
    QUARANTINED = "quarantined"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A copy as the database keeps it; `candidate` tells that it may be collected when its grace is over.

    `domain` and `key_version` name the key it is sealed with, none for a plain one.
    """

    id: int
    digest: str
    size: int
    storage_key: str
    domain: str = ""
    key_version: int = 0
    candidate: bool = False


@dataclass(frozen=True, slots=True)
class NewCopy:
    """A stored copy to record; `domain` and `key_version` name the key it is sealed with, none for a plain one."""

    digest: str
    size: int
    storage_key: str
    domain: str = ""
    key_version: int = 0


# Written out: a partial index answers only for its own words, and SQLite plans anew whenever a parameter is bound that
# could name them.
_IS_STORED = blob.c.state == literal_column(f"'{BlobState.STORED.value}'")
_IS_QUARANTINED = blob.c.state == literal_column(f"'{BlobState.QUARANTINED.value}'")

COPY = (blob.c.id, blob.c.digest, blob.c.size, blob.c.storage_key, blob.c.domain, blob.c.key_version)

_READABLE = (
    select(*COPY, gc_candidate.c.blob_id.is_not(None))
    .select_from(repository)
    .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
    .join(blob, blob.c.id == repository_blob.c.blob_id)
    .outerjoin(
        gc_candidate,
        and_(gc_candidate.c.blob_id == blob.c.id, gc_candidate.c.repository_id == repository.c.id),
    )
    .where(
        repository.c.name == bindparam("repository"),
        repository_blob.c.digest == bindparam("digest"),
        _IS_STORED,
    )
)
_FIND, _FIND_STILL = Prepared(_READABLE), Prepared(_READABLE.where(IS_STILL))
HELD_REPOSITORY = Prepared(
    select(repository.c.id).where(repository.c.name == bindparam("repository")).with_for_update()
)
"""The id of a repository, held until the transaction ends."""

_SERVED = select(*COPY).where(blob.c.digest == bindparam("digest"), blob.c.domain == bindparam("domain"), _IS_STORED)
_SERVED_COPY, _HELD_COPY = Prepared(_SERVED), Prepared(_SERVED.with_for_update())
_NEW_COPY = Prepared(
    lambda insert: (
        insert(blob)
        .on_conflict_do_nothing(index_elements=["digest", "domain"], index_where=text("state = 'stored'"))
        .returning(blob.c.id)
    )
)
_BEFORE = Prepared(
    select(
        select(repository_blob.c.blob_id)
        .where(
            repository_blob.c.repository_id == bindparam("repository_id"),
            repository_blob.c.digest == bindparam("digest"),
        )
        .scalar_subquery(),
        exists().where(
            manifest_blob.c.repository_id == bindparam("repository_id"), manifest_blob.c.digest == bindparam("digest")
        ),
    )
)
"""Which copy a repository reads under a digest, and whether a manifest names it there."""
_LINK = Prepared(lambda insert: in_place_of_another(insert(repository_blob), ["repository_id", "digest"], "blob_id"))
_RESTART_GRACE = Prepared(
    lambda insert: in_place_of_another(insert(gc_candidate), ["blob_id", "repository_id"], "since")
)
_NO_CANDIDATE = Prepared(
    delete(gc_candidate).where(
        gc_candidate.c.blob_id == bindparam("blob_id"), gc_candidate.c.repository_id == bindparam("repository_id")
    )
)
_RENEW = Prepared(
    update(gc_candidate)
    .where(gc_candidate.c.blob_id == bindparam("id"), gc_candidate.c.repository_id == bindparam("reader"))
    .values(since=bindparam("now"))
)
_SIZES = Prepared(
    select(func.json_group_object(repository_blob.c.digest, blob.c.size))
    .select_from(repository_blob)
    .join(blob, repository_blob.c.blob_id == blob.c.id)
    .where(
        repository_blob.c.repository_id == bindparam("repository_id"),
        repository_blob.c.digest.in_(in_list("digests")),
        _IS_STORED,
    )
)
_HOLD = Prepared(
    delete(gc_candidate).where(
        gc_candidate.c.repository_id == bindparam("reader"),
        gc_candidate.c.blob_id.in_(
            select(repository_blob.c.blob_id).where(
                repository_blob.c.repository_id == bindparam("reader"),
                repository_blob.c.digest.in_(in_list("named")),
            )
        ),
    )
)
_QUARANTINED = Prepared(select(blob.c.id).where(blob.c.digest == bindparam("digest"), _IS_QUARANTINED).limit(1))


def find_blob(connection: Connection, repository_name: str, digest: str) -> StoredBlob | None:
    """The copy that a repository reads under a digest, or None."""
    return _stored(_FIND.row(connection, repository=repository_name, digest=digest))


def find_blob_while(connection: Connection, repository_name: str, digest: str, generation: int) -> StoredBlob | None:
    """The same; None also where the generation has moved on."""
    return _stored(_FIND_STILL.row(connection, repository=repository_name, digest=digest, generation=generation))


def _stored(row: Sequence[Any] | None) -> StoredBlob | None:
    if row is None:
        return None
    *copy, is_candidate = row
    return StoredBlob(*[*copy, bool(is_candidate)])


def find_stored_copy(connection: Connection, digest: str, domain: str, *, hold: bool = True) -> StoredBlob | None:
    """The copy that serves a digest in a domain (`""`: the plain one), whoever reads it; never to be told to a caller.

    It is held until the end of the transaction, so that it cannot be on its way out while it is linked.
    """
    row = (_HELD_COPY if hold else _SERVED_COPY).row(connection, digest=digest, domain=domain)
    return None if row is None else StoredBlob(*row)


def is_recorded(connection: Connection, storage_key: str) -> bool:
    """Whether any row names a stored copy."""
    return connection.execute(select(blob.c.id).where(blob.c.storage_key == storage_key)).first() is not None


def list_readers(connection: Connection, digest: str, *, domain: str, limit: int) -> list[str]:
    """Repositories that may read a digest, by name; for a mount that names no source.

    Those that read a copy in the domain come first: a mount from there copies no bytes.
    """
    return list(
        connection.execute(
            select(repository.c.name)
            .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
            .join(blob, blob.c.id == repository_blob.c.blob_id)
            .where(repository_blob.c.digest == digest, blob.c.state == BlobState.STORED.value)
            .order_by(blob.c.domain != domain, repository.c.name)
            .limit(limit)
        ).scalars()
    )


def add_copy(connection: Connection, new: NewCopy, now: float) -> int | None:
    """Record a new stored copy and return its id; None when another copy serves the digest in its domain."""
    return _NEW_COPY.value(connection, **asdict(new), state=BlobState.STORED.value, created_at=now)


def link_blob(
    connection: Connection, *, repository_id: int, digest: str, blob_id: int, now: float, is_new: bool = False
) -> None:
    """Let a repository read a copy; one that it read before in its place becomes a candidate if nobody reads it now.

    A copy that `is_new` was recorded in this transaction.
    """
    before, is_named = _BEFORE.row(connection, repository_id=repository_id, digest=digest) or (None, False)
    _LINK.change(connection, repository_id=repository_id, digest=digest, blob_id=blob_id, linked_at=now)
    if not is_new:
        _NO_CANDIDATE.change(connection, blob_id=blob_id, repository_id=NO_REPOSITORY)
    if not is_named:
        restart_grace(connection, blob_id=blob_id, repository_id=repository_id, now=now)
    if before is not None and before != blob_id:
        _let_go(connection, repository_id, before, now)


def restart_grace(connection: Connection, *, blob_id: int, repository_id: int, now: float) -> None:
    """Make a blob a candidate of collection from this moment on."""
    _RESTART_GRACE.change(connection, blob_id=blob_id, repository_id=repository_id, since=now)


def renew_candidate(connection: Connection, *, repository_name: str, digest: str, now: float) -> bool:
    """Restart the clock of a candidate that a client was told of; False when the repository reads no such blob."""
    # Held, as by every change, for the blob may be on its way to another copy.
    repository_id = HELD_REPOSITORY.value(connection, repository=repository_name)
    found = find_blob(connection, repository_name, digest)
    if repository_id is None or found is None:
        return False
    # A manifest that was pushed meanwhile holds the blob: what is no candidate any more must not become one again.
    _RENEW.change(connection, id=found.id, reader=repository_id, now=now)
    return True


def unlink_blob(connection: Connection, *, repository_id: int, digest: str, now: float) -> bool:
    """Take a blob out of a repository at once; a copy that nobody reads any more becomes a candidate."""
    blob_id = connection.execute(
        delete(repository_blob)
        .where(repository_blob.c.repository_id == repository_id, repository_blob.c.digest == digest)
        .returning(repository_blob.c.blob_id)
    ).scalar_one_or_none()
    if blob_id is None:
        return False
    _let_go(connection, repository_id, blob_id, now)
    return True


def _let_go(connection: Connection, repository_id: int, blob_id: int, now: float) -> None:
    """A repository reads a copy no more: it is no candidate there, and one in itself if it was the last reader."""
    _NO_CANDIDATE.change(connection, blob_id=blob_id, repository_id=repository_id)
    _see_to_unread(connection, blob_id, now)


def sizes_of(connection: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Sizes of those of the digests that the repository may read."""
    found: dict[str, int] = {}
    if connection.dialect.name == "sqlite":
        sizes = _SIZES.value(connection, repository_id=repository_id, digests=as_list(digests))
        found.update(orjson.loads(sizes or "{}"))
        return found
    for part in _in_parts(digests):
        rows = connection.execute(
            select(repository_blob.c.digest, blob.c.size)
            .join(blob, blob.c.id == repository_blob.c.blob_id)
            .where(
                repository_blob.c.repository_id == repository_id,
                repository_blob.c.digest.in_(part),
                blob.c.state == BlobState.STORED.value,
            )
        )
        found.update((digest, size) for digest, size in rows)
    return found


def hold_blobs(connection: Connection, repository_id: int, digests: Iterable[str]) -> None:
    """These blobs are named by a manifest: they are no candidates."""
    if connection.dialect.name == "sqlite":
        _HOLD.change(connection, reader=repository_id, named=as_list(digests))
        return
    for part in _in_parts(digests):
        named = select(repository_blob.c.blob_id).where(
            repository_blob.c.repository_id == repository_id, repository_blob.c.digest.in_(part)
        )
        connection.execute(
            delete(gc_candidate).where(gc_candidate.c.repository_id == repository_id, gc_candidate.c.blob_id.in_(named))
        )


def release_blobs(connection: Connection, repository_id: int, digests: Iterable[str], now: float) -> None:
    """Those of these blobs that no manifest of the repository names any more become candidates from this moment on."""
    for part in _in_parts(digests):
        still_named = exists().where(
            manifest_blob.c.repository_id == repository_id, manifest_blob.c.digest == repository_blob.c.digest
        )
        loose = connection.execute(
            select(repository_blob.c.blob_id).where(
                repository_blob.c.repository_id == repository_id,
                repository_blob.c.digest.in_(part),
                ~still_named,
            )
        ).scalars()
        for blob_id in list(loose):
            restart_grace(connection, blob_id=blob_id, repository_id=repository_id, now=now)


def quarantine(connection: Connection, blob_id: int, storage_key: str) -> bool:
    """Stop serving a copy that was found bad under this key; a push of the same digest stores a new one.

    A row that has another key meanwhile is left alone: its bytes are others than the ones that were found bad. False
    for that, and for a copy that was out of service before.
    """
    quarantined = connection.execute(
        update(blob)
        .where(blob.c.id == blob_id, blob.c.storage_key == storage_key, blob.c.state == BlobState.STORED.value)
        .values(state=BlobState.QUARANTINED.value)
        .returning(blob.c.id)
    )
    return quarantined.scalar_one_or_none() is not None


def repair_readers(connection: Connection, *, digest: str, domain: str, blob_id: int, now: float) -> None:
    """Point repositories that read a quarantined copy of a digest to the good one that was just pushed in a domain.

    Those of the domain are, and all by a plain copy. What was a candidate there stays one; a bad copy becomes one when
    nobody reads it any more.
    """
    if _QUARANTINED.value(connection, digest=digest) is None:
        return
    quarantined = select(blob.c.id).where(blob.c.digest == digest, blob.c.state == BlobState.QUARANTINED.value)
    readers = select(repository.c.id)
    if domain:
        readers = readers.where(repository.c.domain == domain)
    read = (
        select(repository_blob.c.blob_id)
        .distinct()
        .where(repository_blob.c.blob_id.in_(quarantined), repository_blob.c.repository_id.in_(readers))
    )
    bad = list(connection.execute(read).scalars())
    for table in (gc_candidate, repository_blob) if bad else ():
        connection.execute(
            update(table).where(table.c.blob_id.in_(bad), table.c.repository_id.in_(readers)).values(blob_id=blob_id)
        )
    for bad_id in bad:
        _see_to_unread(connection, bad_id, now)


def _see_to_unread(connection: Connection, blob_id: int, now: float) -> None:
    """Make a copy that somebody ceased to read a candidate if nobody reads it any more."""
    # Held before looking for readers: of two repositories that let go at once, the second must see it.
    connection.execute(select(blob.c.id).where(blob.c.id == blob_id).with_for_update())
    read = exists().where(repository_blob.c.blob_id == blob_id)
    if not connection.execute(select(read)).scalar_one():
        restart_grace(connection, blob_id=blob_id, repository_id=NO_REPOSITORY, now=now)


def _in_parts(digests: Iterable[str]) -> Iterator[list[str]]:
    every = sorted(set(digests))
    for start in range(0, len(every), _IN_ONE_QUERY):
        yield every[start : start + _IN_ONE_QUERY]
