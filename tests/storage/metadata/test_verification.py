"""What is looked at when everything that is stored is checked, page by page."""

import pytest
from sqlalchemy import Connection

from storage.metadata.blobs import link_blob
from storage.metadata.database import Database
from storage.metadata.manifests import count_manifests, put_manifest
from storage.metadata.verification import (
    CheckedCopy,
    CheckedManifest,
    count_copies,
    list_copies,
    list_manifests,
    restore,
)
from tests.storage.metadata.rows import digest, find_bad, make_blob, make_copy, make_repository, new_manifest


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_pages_of_copies_hold_each_copy_once(database: Database, limit: int) -> None:
    def make(connection: Connection) -> None:
        for number in range(5):
            make_copy(connection, number)

    await database.write(make)
    seen: list[CheckedCopy] = []
    while page := await database.scan(
        lambda c: list_copies(c, after=seen[-1].id if seen else 0, limit=limit)  # noqa: B023  awaited at once
    ):
        seen += page

    assert [copy.storage_key for copy in seen] == [f"key-{number}" for number in range(5)]
    assert await database.read(count_copies) == 5


async def test_a_quarantined_copy_is_looked_at_while_a_repository_misses_it(database: Database) -> None:
    """Until it is repaired, the repository has an image that cannot be pulled."""

    def make(connection: Connection) -> None:
        find_bad(connection, make_blob(connection, make_repository(connection), 1))
        find_bad(connection, make_copy(connection, 2))

    await database.write(make)

    found = await database.read(lambda c: list_copies(c, after=0, limit=9))
    assert [(copy.digest, copy.is_quarantined) for copy in found] == [(digest(1), True)]
    assert await database.read(count_copies) == 1


async def test_a_quarantined_copy_that_is_good_is_served_again(database: Database) -> None:
    def make(connection: Connection) -> int:
        copy = make_blob(connection, make_repository(connection))
        find_bad(connection, copy)
        return copy

    copy = await database.write(make)

    assert await database.write(lambda c: restore(c, copy))
    assert not await database.write(lambda c: restore(c, copy))
    assert [found.is_quarantined for found in await database.read(lambda c: list_copies(c, after=0, limit=9))] == [
        False
    ]


async def test_a_copy_is_not_served_beside_another_of_its_digest(database: Database) -> None:
    """One copy serves a digest: the one that was pushed in place of the bad one."""

    def make(connection: Connection) -> int:
        repository = make_repository(connection)
        copy = make_blob(connection, repository)
        find_bad(connection, copy)
        other = make_copy(connection, key="other")
        link_blob(connection, repository_id=repository, digest=digest(1), blob_id=other, now=2.0)
        return copy

    copy = await database.write(make)

    assert not await database.write(lambda c: restore(c, copy))


@pytest.mark.parametrize("limit_bytes", [1, 12, 25, 1000])
async def test_every_manifest_is_listed_once_for_checking(database: Database, limit_bytes: int) -> None:
    def make(connection: Connection) -> tuple[int, int]:
        repository, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        for number in (102, 101):
            put_manifest(connection, repository, new_manifest(number), 1.0)
            put_manifest(connection, beta, new_manifest(number), 1.0)
        return repository, beta

    repository, beta = await database.write(make)
    seen: list[CheckedManifest] = []
    after = (0, "")
    while page := await database.scan(
        lambda c: list_manifests(c, after=after, limit=3, limit_bytes=limit_bytes)  # noqa: B023  awaited at once
    ):
        seen += page
        after = (page[-1].repository_id, page[-1].digest)

    assert seen == [
        CheckedManifest(repository, "alpha", digest(101), b"manifest 101", 12, None, ""),
        CheckedManifest(repository, "alpha", digest(102), b"manifest 102", 12, None, ""),
        CheckedManifest(beta, "beta", digest(101), b"manifest 101", 12, None, ""),
        CheckedManifest(beta, "beta", digest(102), b"manifest 102", 12, None, ""),
    ]
    assert await database.read(count_manifests) == 4
