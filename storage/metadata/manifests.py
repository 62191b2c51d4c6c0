"""Manifests, what they name, and what refers to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, bindparam, delete, func, insert, select, update

from storage.metadata.blobs import hold_blobs, release_blobs
from storage.metadata.generation import IS_STILL
from storage.metadata.prepared import Prepared, Value
from storage.metadata.schema import manifest, manifest_blob, manifest_child, repository, tag

_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest; its payload is sealed in a domain, or plain where that is empty."""

    digest: str
    media_type: str
    payload: bytes
    domain: str = ""


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """A manifest without its bytes."""

    digest: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A manifest to record, with everything that is queried about it.

    `size` counts the bytes that were received. Payload and annotations are sealed in a domain with a version of its
    key, or plain where that is empty.
    """

    digest: str
    size: int
    media_type: str
    artifact_type: str | None
    subject: str | None
    config_digest: str | None
    total_size: int
    annotations: str | None
    payload: bytes
    blobs: frozenset[str]
    children: frozenset[str]
    domain: str = ""
    key_version: int = 0


class Referrer(NamedTuple):
    """A manifest whose subject is another, as a referrers list shows it; a tuple, for there are many."""

    digest: str
    media_type: str
    size: int
    artifact_type: str | None
    annotations: str | None
    domain: str = ""
    key_version: int = 0


_SERVED = (manifest.c.digest, manifest.c.media_type, manifest.c.payload, manifest.c.domain)
_BY_DIGEST = (
    select(*_SERVED)
    .join(repository, repository.c.id == manifest.c.repository_id)
    .where(repository.c.name == bindparam("repository"), manifest.c.digest == bindparam("digest"))
)
_BY_TAG = (
    select(*_SERVED)
    .select_from(repository)
    .join(tag, tag.c.repository_id == repository.c.id)
    .join(manifest, (manifest.c.repository_id == repository.c.id) & (manifest.c.digest == tag.c.digest))
    .where(repository.c.name == bindparam("repository"), tag.c.name == bindparam("tag"))
)
_FIND_BY_DIGEST, _FIND_BY_TAG = Prepared(_BY_DIGEST), Prepared(_BY_TAG)
_STILL_BY_DIGEST, _STILL_BY_TAG = Prepared(_BY_DIGEST.where(IS_STILL)), Prepared(_BY_TAG.where(IS_STILL))

_NEW = Prepared(lambda insert: insert(manifest).on_conflict_do_nothing(index_elements=["repository_id", "digest"]))
_THERE = (manifest.c.repository_id == bindparam("reader")) & (manifest.c.digest == bindparam("named"))
_MEND = Prepared(
    update(manifest)
    .where(_THERE, manifest.c.payload != bindparam("true_payload"))
    .values(
        payload=bindparam("true_payload"),
        annotations=bindparam("true_annotations"),
        domain=bindparam("newest_domain"),
        key_version=bindparam("newest_version"),
    )
)
_TYPE = Prepared(select(manifest.c.media_type).where(_THERE))
_TYPE_OF_THE_SAME = Prepared(
    select(manifest.c.media_type).where(_THERE, manifest.c.payload == bindparam("true_payload"))
)
_NAME_BLOB, _NAME_CHILD = Prepared(insert(manifest_blob)), Prepared(insert(manifest_child))
_SUMMARY = Prepared(select(manifest.c.digest, manifest.c.media_type, manifest.c.size).where(_THERE))


def find_manifest(connection: Connection, repository_name: str, digest: str) -> StoredManifest | None:
    """A manifest by digest, or None."""
    row = _FIND_BY_DIGEST.row(connection, repository=repository_name, digest=digest)
    return None if row is None else StoredManifest(*row)


def find_tagged(connection: Connection, repository_name: str, tag_name: str) -> StoredManifest | None:
    """The manifest that a tag names, or None."""
    row = _FIND_BY_TAG.row(connection, repository=repository_name, tag=tag_name)
    return None if row is None else StoredManifest(*row)


def find_while(connection: Connection, repository_name: str, reference: str, generation: int) -> StoredManifest | None:
    """The manifest of a tag or digest; None also where the generation has moved on."""
    if ":" in reference:
        row = _STILL_BY_DIGEST.row(connection, repository=repository_name, digest=reference, generation=generation)
    else:
        row = _STILL_BY_TAG.row(connection, repository=repository_name, tag=reference, generation=generation)
    return None if row is None else StoredManifest(*row)


def type_of_the_same(connection: Connection, repository_id: int, new: NewManifest) -> str | None:
    """The media type of a manifest that is there byte for byte; None where none is. What is sealed always differs."""
    if new.domain:
        return None
    found = _TYPE_OF_THE_SAME.value(connection, reader=repository_id, named=new.digest, true_payload=new.payload)
    return None if found is None else str(found)


def put_manifest(connection: Connection, repository_id: int, new: NewManifest, now: float) -> bool:
    """Record a manifest and hold what it names; False when one of this digest was there (see `mend_manifest`)."""
    added = _NEW.change(
        connection,
        repository_id=repository_id,
        digest=new.digest,
        media_type=new.media_type,
        artifact_type=new.artifact_type,
        subject=new.subject,
        config_digest=new.config_digest,
        size=new.size,
        total_size=new.total_size,
        pushed_at=now,
        annotations=new.annotations,
        payload=new.payload,
        domain=new.domain,
        key_version=new.key_version,
    )
    if added == 0:
        return False
    _name(connection, repository_id, new)
    hold_blobs(connection, repository_id, new.blobs)
    return True


def mend_manifest(connection: Connection, repository_id: int, new: NewManifest) -> str:
    """Give a manifest that was there its true bytes again, should they have rotted; returns its media type.

    What is sealed differs each time, and is sealed with the newest key then.
    """
    _MEND.change(
        connection,
        reader=repository_id,
        named=new.digest,
        true_payload=new.payload,
        true_annotations=new.annotations,
        newest_domain=new.domain,
        newest_version=new.key_version,
    )
    return str(_TYPE.value(connection, reader=repository_id, named=new.digest))


def _name(connection: Connection, repository_id: int, new: NewManifest) -> None:
    """Record which blobs and manifests a new manifest names."""
    blobs: list[dict[str, Value]] = [
        {"repository_id": repository_id, "manifest": new.digest, "digest": named} for named in sorted(new.blobs)
    ]
    _NAME_BLOB.many(connection, blobs)
    children: list[dict[str, Value]] = [
        {"repository_id": repository_id, "parent": new.digest, "child": child} for child in sorted(new.children)
    ]
    _NAME_CHILD.many(connection, children)


def delete_manifest(connection: Connection, repository_id: int, digest: str, now: float) -> bool:
    """Delete a manifest and the tags that name it; blobs that nothing names any more become candidates."""
    deleted = connection.execute(
        delete(manifest).where(manifest.c.repository_id == repository_id, manifest.c.digest == digest)
    )
    if deleted.rowcount == 0:
        return False
    connection.execute(delete(tag).where(tag.c.repository_id == repository_id, tag.c.digest == digest))
    named = list(
        connection.execute(
            delete(manifest_blob)
            .where(manifest_blob.c.repository_id == repository_id, manifest_blob.c.manifest == digest)
            .returning(manifest_blob.c.digest)
        ).scalars()
    )
    connection.execute(
        delete(manifest_child).where(manifest_child.c.repository_id == repository_id, manifest_child.c.parent == digest)
    )
    release_blobs(connection, repository_id, named, now)
    return True


def summaries_of(connection: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, ManifestSummary]:
    """Those of the digests that are manifests of the repository."""
    found: dict[str, ManifestSummary] = {}
    every = sorted(set(digests))
    if connection.dialect.name == "sqlite":  # where asking often costs less than building one question
        for digest in every:
            if (row := _SUMMARY.row(connection, reader=repository_id, named=digest)) is not None:
                found[digest] = ManifestSummary(*row)
        return found
    for start in range(0, len(every), _IN_ONE_QUERY):
        rows = connection.execute(
            select(manifest.c.digest, manifest.c.media_type, manifest.c.size).where(
                manifest.c.repository_id == repository_id,
                manifest.c.digest.in_(every[start : start + _IN_ONE_QUERY]),
            )
        )
        found.update((row[0], ManifestSummary(*row)) for row in rows)
    return found


@dataclass(frozen=True, slots=True)
class ReferrersOf:
    """Which referrers are asked for: those of a subject, of one artifact type or (None) of any."""

    repository_id: int
    subject: str
    artifact_type: str | None = None


def referrer_sizes(connection: Connection, asked: ReferrersOf, *, after: str, limit: int) -> list[int]:
    """Bytes of the manifests that `list_referrers` would describe, read without what makes them large."""
    return [size for (size,) in _SIZES.rows(connection, asked, after, limit)]


def list_referrers(connection: Connection, asked: ReferrersOf, *, after: str, limit: int) -> list[Referrer]:
    """Manifests that refer to a subject, by digest, after `after`, at most `limit`."""
    return [Referrer._make(row) for row in _ENTRIES.rows(connection, asked, after, limit)]


class _Referring:
    """Columns of the manifests that refer to a subject."""

    def __init__(self, *columns: Column[Any]) -> None:
        every = (
            select(*columns)
            .where(
                manifest.c.repository_id == bindparam("repository_id"),
                manifest.c.subject == bindparam("subject"),
                manifest.c.digest > bindparam("after"),
            )
            .order_by(manifest.c.digest)
            .limit(bindparam("most"))
        )
        self._every = Prepared(every)
        self._of_type = Prepared(every.where(manifest.c.artifact_type == bindparam("artifact_type")))

    def rows(self, connection: Connection, asked: ReferrersOf, after: str, most: int) -> list[Any]:
        """Those after a digest, at most so many."""
        place: dict[str, Value] = {
            "repository_id": asked.repository_id,
            "subject": asked.subject,
            "after": after,
            "most": most,
        }
        if asked.artifact_type is None:
            return self._every.rows(connection, **place)
        return self._of_type.rows(connection, artifact_type=asked.artifact_type, **place)


_SIZES = _Referring(manifest.c.size)
_ENTRIES = _Referring(
    manifest.c.digest,
    manifest.c.media_type,
    manifest.c.size,
    manifest.c.artifact_type,
    manifest.c.annotations,
    manifest.c.domain,
    manifest.c.key_version,
)


def count_manifests(connection: Connection) -> int:
    """How many manifests there are."""
    count: int = connection.execute(select(func.count()).select_from(manifest)).scalar_one()
    return count
