"""Tags as rows."""

from functools import partial

import pytest
from sqlalchemy import Connection

from storage.metadata.database import Database
from storage.metadata.manifests import find_tagged, put_manifest
from storage.metadata.tags import delete_tag, list_tags, put_tag
from tests.storage.metadata.rows import digest, make_repository, new_manifest

# As bytes sort: `-` `.` digits, upper case, `_`, lower case.
BY_BYTES = [
    "1",
    "10",
    "2",
    "A",
    "B",
    "V1",
    "_",
    "__a",
    "_a",
    "a",
    "a-b",
    "a.b",
    "a1",
    "aB",
    "a_b",
    "ab",
    "b",
    "v1",
    "v10",
]
BY_BYTES += ["v2"]


@pytest.fixture
async def repository(database: Database) -> int:
    """A repository with manifests 100 and 101."""

    def make(connection: Connection) -> int:
        made = make_repository(connection)
        for number in (100, 101):
            put_manifest(connection, made, new_manifest(number), 1.0)
        return made

    return await database.write(make)


def tagged(connection: Connection, name: str, repository: str = "alpha") -> str | None:
    found = find_tagged(connection, repository, name)
    return found.digest if found else None


async def test_a_tag_names_its_manifest(database: Database, repository: int) -> None:
    await database.write(lambda c: put_tag(c, repository, "v1", digest(100), 1.0))

    assert await database.read(lambda c: tagged(c, "v1")) == digest(100)


async def test_a_tag_moves(database: Database, repository: int) -> None:
    await database.write(lambda c: put_tag(c, repository, "v1", digest(100), 1.0))

    await database.write(lambda c: put_tag(c, repository, "v1", digest(101), 2.0))

    assert await database.read(lambda c: tagged(c, "v1")) == digest(101)
    assert await database.read(lambda c: list_tags(c, repository, after="", limit=10)) == ["v1"]


@pytest.mark.parametrize("other", ["V1", "v", "v1 ", "v_", "v%"])
async def test_tags_are_compared_exactly(database: Database, repository: int, other: str) -> None:
    await database.write(lambda c: put_tag(c, repository, "v1", digest(100), 1.0))

    assert await database.read(lambda c: tagged(c, other)) is None


async def test_a_tag_belongs_to_one_repository(database: Database, repository: int) -> None:
    await database.write(lambda c: put_tag(c, repository, "v1", digest(100), 1.0))
    other = await database.write(lambda c: make_repository(c, "beta"))

    assert await database.read(lambda c: tagged(c, "v1", "beta")) is None
    assert await database.read(lambda c: list_tags(c, other, after="", limit=10)) == []


async def test_a_deleted_tag_is_gone_and_its_manifest_stays(database: Database, repository: int) -> None:
    await database.write(lambda c: put_tag(c, repository, "v1", digest(100), 1.0))
    await database.write(lambda c: put_tag(c, repository, "v2", digest(100), 1.0))

    assert await database.write(lambda c: delete_tag(c, repository, "v1")) is True

    assert await database.read(lambda c: tagged(c, "v1")) is None
    assert await database.read(lambda c: tagged(c, "v2")) == digest(100)


async def test_deleting_a_tag_that_is_not_there_says_so(database: Database, repository: int) -> None:
    assert await database.write(lambda c: delete_tag(c, repository, "v1")) is False


async def test_tags_are_listed_by_bytes(database: Database, repository: int) -> None:
    """The specification asks for ASCII order; a database sorts by a language unless it is told otherwise."""
    for name in reversed(BY_BYTES):
        await database.write(partial(put_tag, repository_id=repository, name=name, digest=digest(100), now=1.0))

    assert await database.scan(lambda c: list_tags(c, repository, after="", limit=100)) == BY_BYTES


@pytest.mark.parametrize("limit", [1, 4, 19])
async def test_pages_of_tags_hold_each_tag_once(database: Database, repository: int, limit: int) -> None:
    for name in BY_BYTES:
        await database.write(partial(put_tag, repository_id=repository, name=name, digest=digest(100), now=1.0))
    seen: list[str] = []
    while page := await database.scan(
        lambda c: list_tags(c, repository, after=seen[-1] if seen else "", limit=limit)  # noqa: B023  awaited at once
    ):
        assert len(page) <= limit
        seen += page

    assert seen == BY_BYTES


async def test_a_page_of_tags_may_start_at_a_tag_that_is_not_there(database: Database, repository: int) -> None:
    for name in ("A", "b"):
        await database.write(partial(put_tag, repository_id=repository, name=name, digest=digest(100), now=1.0))

    assert await database.scan(lambda c: list_tags(c, repository, after="B", limit=10)) == ["b"]
