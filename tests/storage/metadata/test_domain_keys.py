"""Encryption domains and their keys as rows."""

from functools import partial

from sqlalchemy import Connection, update

from storage.domain_records import StoredKey
from storage.metadata.blobs import link_blob
from storage.metadata.database import Database
from storage.metadata.domain_keys import (
    DomainKeyRows,
    NewKey,
    Sealed,
    StoredDomain,
    add_domain,
    add_key,
    count_sealed,
    destroy_keys,
    find_domain,
    list_keys,
    plan_destruction,
    rewrap_key,
)
from storage.metadata.manifests import put_manifest
from storage.metadata.repositories import add_repository, describe_repository, domain_of
from storage.metadata.schema import manifest
from storage.metadata.secrets_key import add_secrets_key, read_secrets_key, replace_secrets_key
from storage.roots.interface import Wrapped
from tests.storage.metadata.rows import digest, make_blob, make_copy, make_repository, new_manifest, put_in_domain

_ID = bytes(range(16))


def _make(connection: Connection, name: str = "AES256", domain_id: bytes = _ID, *, versions: int = 1) -> None:
    assert add_domain(connection, StoredDomain(name, domain_id, None, 1.0))
    for version in range(1, versions + 1):
        assert add_key(connection, NewKey(name, version, "root-1", b"wrapped %d" % version), float(version))


def _key(version: int, wrapped: bytes | None, root: str = "root-1") -> StoredKey:
    return StoredKey("AES256", _ID, version, root, wrapped, created_at=float(version))


async def test_the_newest_key_of_a_domain_seals(database: Database) -> None:
    await database.write(partial(_make, versions=11))
    rows = DomainKeyRows(database)

    assert await rows.newest("AES256") == _key(11, b"wrapped 11")
    assert await rows.newest("other") is None


async def test_every_key_is_found_by_what_headers_say(database: Database) -> None:
    await database.write(partial(_make, versions=2))
    rows = DomainKeyRows(database)

    assert await rows.find(_ID, 1) == _key(1, b"wrapped 1")
    assert await rows.find(_ID, 3) is None
    assert await rows.find(bytes(16), 1) is None


async def test_a_domain_and_a_version_are_made_once(database: Database) -> None:
    """Of two processes that make one, the second finds it."""
    await database.write(_make)

    assert not await database.write(lambda c: add_domain(c, StoredDomain("AES256", bytes(16), "kms", 9.0)))
    assert not await database.write(lambda c: add_key(c, NewKey("AES256", 1, "root-2", b"other"), 9.0))

    assert await database.read(lambda c: find_domain(c, "AES256")) == StoredDomain("AES256", _ID, None, 1.0)
    assert await database.read(list_keys) == [_key(1, b"wrapped 1")]


async def test_a_key_is_wrapped_anew(database: Database) -> None:
    await database.write(partial(_make, versions=2))

    await database.write(lambda c: rewrap_key(c, NewKey("AES256", 1, "root-2", b"anew")))

    assert await database.read(list_keys) == [_key(1, b"anew", "root-2"), _key(2, b"wrapped 2")]


async def test_a_destruction_is_planned_and_called_off(database: Database) -> None:
    await database.write(_make)

    await database.write(lambda c: plan_destruction(c, "AES256", 50.0))
    (planned,) = await database.read(list_keys)
    await database.write(lambda c: plan_destruction(c, "AES256", None))

    assert (planned.destroy_at, planned.wrapped) == (50.0, b"wrapped 1")
    assert await database.read(list_keys) == [_key(1, b"wrapped 1")]


async def test_destroyed_keys_are_gone_for_ever_and_no_others(database: Database) -> None:
    """A rotation of the root key that read them before does not bring them back."""

    def make(connection: Connection) -> None:
        _make(connection, versions=2)
        _make(connection, "other", bytes(16))
        destroy_keys(connection, "AES256", 9.0)
        rewrap_key(connection, NewKey("AES256", 1, "root-2", b"anew"))

    await database.write(make)

    found = await database.read(list_keys)
    assert [(key.domain, key.wrapped, key.destroyed_at) for key in found] == [
        ("AES256", None, 9.0),
        ("AES256", None, 9.0),
        ("other", b"wrapped 1", None),
    ]


async def test_what_is_sealed_is_counted_by_version(database: Database) -> None:
    """And what is plain in the domain's repositories, as version 0."""

    def make(connection: Connection) -> None:
        _make(connection, versions=2)
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        put_in_domain(connection, beta, "other")
        make_blob(connection, alpha, 1)
        make_blob(connection, beta, 2)
        sealed = make_copy(connection, 3, domain="AES256")
        link_blob(connection, repository_id=alpha, digest=digest(3), blob_id=sealed, now=1.0)
        put_manifest(connection, alpha, new_manifest(100), 1.0)
        put_manifest(connection, alpha, new_manifest(101), 1.0)
        newer = manifest.c.digest == digest(101)
        connection.execute(update(manifest).where(newer).values(domain="AES256", key_version=2))

    await database.write(make)

    assert await database.scan(lambda c: count_sealed(c, "AES256")) == [
        Sealed(0, blobs=1, manifests=1),
        Sealed(1, blobs=1, manifests=0),
        Sealed(2, blobs=0, manifests=1),
    ]


async def test_a_repository_has_the_domain_that_it_was_made_with(database: Database) -> None:
    await database.write(lambda c: make_repository(c, "alpha"))
    await database.write(lambda c: add_repository(c, "beta", 1.0, "kms-key"))

    assert not await database.write(lambda c: add_repository(c, "alpha", 2.0, "kms-key"))

    assert await database.read(lambda c: domain_of(c, "alpha")) == "AES256"
    assert await database.read(lambda c: domain_of(c, "beta")) == "kms-key"
    assert await database.read(lambda c: domain_of(c, "gamma")) is None
    described = await database.read(lambda c: describe_repository(c, "beta"))
    assert described is not None
    assert described.domain == "kms-key"


async def test_the_secrets_key_is_replaced_only_where_it_is_as_it_was(database: Database) -> None:
    first, second, third = Wrapped("root-1", b"1"), Wrapped("root-2", b"2"), Wrapped("root-3", b"3")
    assert await database.read(read_secrets_key) is None
    await database.write(lambda c: add_secrets_key(c, first))

    assert await database.write(lambda c: replace_secrets_key(c, first, second))
    assert not await database.write(lambda c: replace_secrets_key(c, first, third))

    assert await database.write(lambda c: read_secrets_key(c, hold=True)) == second
