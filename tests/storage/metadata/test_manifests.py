"""Manifests as rows."""

import pytest
from sqlalchemy import Connection, select

from storage.metadata.database import Database
from storage.metadata.manifests import (
    ManifestSummary,
    Referrer,
    ReferrersOf,
    StoredManifest,
    delete_manifest,
    find_manifest,
    find_tagged,
    list_referrers,
    put_manifest,
    summaries_of,
)
from storage.metadata.schema import manifest, manifest_blob, manifest_child
from storage.metadata.tags import list_tags, put_tag
from tests.storage.metadata.rows import digest, make_repository, new_manifest

IMAGE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
async def repository(database: Database) -> int:
    return await database.write(make_repository)


async def test_a_manifest_is_served_as_it_was_received(database: Database, repository: int) -> None:
    await database.write(lambda c: put_manifest(c, repository, new_manifest(), 1.0))

    found = await database.read(lambda c: find_manifest(c, "alpha", digest(100)))

    assert found == StoredManifest(digest(100), IMAGE, b"manifest 100")


async def test_a_manifest_belongs_to_one_repository(database: Database, repository: int) -> None:
    await database.write(lambda c: put_manifest(c, repository, new_manifest(), 1.0))
    await database.write(lambda c: make_repository(c, "beta"))

    assert await database.read(lambda c: find_manifest(c, "beta", digest(100))) is None
    assert await database.read(lambda c: find_manifest(c, "gamma", digest(100))) is None


async def test_pushing_the_same_manifest_again_keeps_its_push_time(database: Database, repository: int) -> None:
    assert await database.write(lambda c: put_manifest(c, repository, new_manifest(), 1.0)) is True

    assert await database.write(lambda c: put_manifest(c, repository, new_manifest(), 2.0)) is False

    assert await database.read(lambda c: c.execute(select(manifest.c.pushed_at)).scalar_one()) == 1.0


async def test_deleting_a_manifest_removes_its_tags_and_no_others(database: Database, repository: int) -> None:
    def make(connection: Connection) -> None:
        for number in (100, 101):
            put_manifest(connection, repository, new_manifest(number), 1.0)
        for name, number in (("a", 100), ("b", 101), ("c", 100)):
            put_tag(connection, repository, name, digest(number), 1.0)

    await database.write(make)

    assert await database.write(lambda c: delete_manifest(c, repository, digest(100), 2.0)) is True

    assert await database.read(lambda c: list_tags(c, repository, after="", limit=9)) == ["b"]
    assert await database.read(lambda c: find_manifest(c, "alpha", digest(100))) is None
    assert await database.read(lambda c: find_tagged(c, "alpha", "a")) is None
    assert await database.read(lambda c: find_tagged(c, "alpha", "b")) == StoredManifest(
        digest(101), IMAGE, b"manifest 101"
    )


async def test_deleting_a_manifest_forgets_what_it_named(database: Database, repository: int) -> None:
    await database.write(lambda c: put_manifest(c, repository, new_manifest(100, [1], [2]), 1.0))

    await database.write(lambda c: delete_manifest(c, repository, digest(100), 2.0))

    assert await database.read(lambda c: c.execute(select(manifest_blob)).all()) == []
    assert await database.read(lambda c: c.execute(select(manifest_child)).all()) == []


async def test_a_manifest_in_another_repository_outlives_a_deletion(database: Database, repository: int) -> None:
    def make(connection: Connection) -> None:
        beta = make_repository(connection, "beta")
        for repository_id in (repository, beta):
            put_manifest(connection, repository_id, new_manifest(), 1.0)
            put_tag(connection, repository_id, "v1", digest(100), 1.0)

    await database.write(make)

    await database.write(lambda c: delete_manifest(c, repository, digest(100), 2.0))

    assert await database.read(lambda c: find_tagged(c, "beta", "v1")) is not None


async def test_deleting_a_manifest_that_is_not_there_says_so(database: Database, repository: int) -> None:
    assert await database.write(lambda c: delete_manifest(c, repository, digest(100), 2.0)) is False


async def test_a_manifest_may_name_more_than_a_statement_takes(database: Database, repository: int) -> None:
    new = new_manifest(50_000, range(9_000), range(10_000, 12_000))

    await database.write(lambda c: put_manifest(c, repository, new, 1.0))

    assert await database.scan(lambda c: len(c.execute(select(manifest_blob)).all())) == 9_000
    assert await database.scan(lambda c: len(c.execute(select(manifest_child)).all())) == 2_000


async def test_summaries_are_of_the_manifests_that_are_there(database: Database, repository: int) -> None:
    await database.write(lambda c: put_manifest(c, repository, new_manifest(100), 1.0))

    found = await database.read(lambda c: summaries_of(c, repository, map(digest, (*range(2_000), 100))))

    assert found == {digest(100): ManifestSummary(digest(100), IMAGE, 12)}


async def test_referrers_are_listed_by_digest(database: Database, repository: int) -> None:
    def make(connection: Connection) -> None:
        put_manifest(connection, repository, new_manifest(103, subject=1, artifact_type="x/y"), 1.0)
        put_manifest(connection, repository, new_manifest(101, subject=1, annotations='{"a":"b"}'), 1.0)
        put_manifest(connection, repository, new_manifest(102, subject=2), 1.0)
        put_manifest(connection, repository, new_manifest(104), 1.0)

    await database.write(make)

    found = await database.scan(lambda c: list_referrers(c, ReferrersOf(repository, digest(1)), after="", limit=9))

    assert found == [
        Referrer(digest(101), IMAGE, 12, None, '{"a":"b"}'),
        Referrer(digest(103), IMAGE, 12, "x/y", None),
    ]


async def test_referrers_can_be_filtered_by_type(database: Database, repository: int) -> None:
    def make(connection: Connection) -> None:
        for number, artifact_type in ((101, "a/b"), (102, "c/d"), (103, None), (104, "a/b"), (105, "A/b")):
            put_manifest(connection, repository, new_manifest(number, subject=1, artifact_type=artifact_type), 1.0)

    await database.write(make)

    found = await database.scan(
        lambda c: list_referrers(c, ReferrersOf(repository, digest(1), "a/b"), after="", limit=9)
    )

    assert [entry.digest for entry in found] == [digest(101), digest(104)]


async def test_referrers_are_those_of_one_repository(database: Database, repository: int) -> None:
    def make(connection: Connection) -> int:
        put_manifest(connection, repository, new_manifest(101, subject=1), 1.0)
        return make_repository(connection, "beta")

    beta = await database.write(make)

    found = await database.scan(lambda c: list_referrers(c, ReferrersOf(beta, digest(1)), after="", limit=9))

    assert found == []


async def test_pages_of_referrers_hold_each_once(database: Database, repository: int) -> None:
    def make(connection: Connection) -> None:
        for number in range(101, 108):
            put_manifest(connection, repository, new_manifest(number, subject=1), 1.0)

    await database.write(make)
    seen: list[str] = []

    def next_page(connection: Connection) -> list[Referrer]:
        after = seen[-1] if seen else ""
        return list_referrers(connection, ReferrersOf(repository, digest(1)), after=after, limit=3)

    while page := await database.scan(next_page):
        seen += [entry.digest for entry in page]

    assert seen == [digest(number) for number in range(101, 108)]
