"""Stored copies as rows: who reads them, and what happens to a bad one."""

import asyncio
from functools import partial

from sqlalchemy import Connection

from storage.metadata.blobs import (
    NewCopy,
    StoredBlob,
    add_copy,
    find_blob,
    find_stored_copy,
    link_blob,
    list_readers,
    quarantine,
    repair_readers,
    sizes_of,
    unlink_blob,
)
from storage.metadata.database import Database
from storage.metadata.verification import count_copies, list_copies
from tests.storage.metadata.rows import digest, find_bad, make_blob, make_copy, make_repository, put_in_domain


def read_one(connection: Connection, name: str = "alpha", number: int = 1) -> str | None:
    """The storage key that a repository reads under a digest."""
    found = find_blob(connection, name, digest(number))
    return found.storage_key if found else None


async def test_a_linked_blob_is_found(database: Database) -> None:
    blob_id = await database.write(lambda c: make_blob(c, make_repository(c)))

    found = await database.read(lambda c: find_blob(c, "alpha", digest(1)))

    assert found == StoredBlob(blob_id, digest(1), 10, "key-1", candidate=True)


async def test_a_blob_is_found_only_where_it_was_linked(database: Database) -> None:
    """A repository is a boundary, whatever else is stored."""

    def make(connection: Connection) -> None:
        make_blob(connection, make_repository(connection, "alpha"))
        make_repository(connection, "beta")

    await database.write(make)

    assert await database.read(lambda c: read_one(c, "beta")) is None
    assert await database.read(lambda c: read_one(c, "gamma")) is None


async def test_a_copy_that_nobody_reads_is_found_by_its_digest(database: Database) -> None:
    blob_id = await database.write(make_copy)

    found = await database.write(lambda c: find_stored_copy(c, digest(1), ""))

    assert found == StoredBlob(blob_id, digest(1), 10, "key-1")
    assert await database.write(lambda c: find_stored_copy(c, digest(2), "")) is None


async def test_one_copy_serves_a_digest(database: Database) -> None:
    await database.write(make_copy)

    added = await database.write(lambda c: add_copy(c, NewCopy(digest(1), 10, "other"), 2.0))

    assert added is None
    assert await database.read(lambda c: [copy.storage_key for copy in list_copies(c, after=0, limit=9)]) == ["key-1"]


async def test_of_many_copies_added_at_once_one_serves_the_digest(database: Database, other_database: Database) -> None:
    """The same layer is pushed by many clients at the same time."""
    both = (database, other_database)

    def push(connection: Connection, number: int) -> int:
        added = add_copy(connection, NewCopy(digest(1), 10, f"key-{number}"), 1.0)
        served = find_stored_copy(connection, digest(1), "")
        assert served is not None
        assert added in {None, served.id}
        return served.id

    served = await asyncio.gather(*(both[n % 2].write(partial(push, number=n)) for n in range(20)))

    assert len(set(served)) == 1
    assert await database.read(count_copies) == 1


async def test_linking_twice_changes_nothing(database: Database) -> None:
    def link(connection: Connection) -> None:
        repository_id = make_repository(connection)
        found = find_stored_copy(connection, digest(1), "")
        blob_id = found.id if found else make_copy(connection)
        link_blob(connection, repository_id=repository_id, digest=digest(1), blob_id=blob_id, now=1.0)

    await database.write(link)
    await database.write(link)

    assert await database.read(read_one) == "key-1"


async def test_an_unlinked_blob_is_gone_from_its_repository_alone(database: Database) -> None:
    def make(connection: Connection) -> int:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        blob_id = make_blob(connection, alpha)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=blob_id, now=1.0)
        return alpha

    alpha = await database.write(make)

    assert await database.write(lambda c: unlink_blob(c, repository_id=alpha, digest=digest(1), now=2.0)) is True

    assert await database.read(lambda c: read_one(c, "alpha")) is None
    assert await database.read(lambda c: read_one(c, "beta")) == "key-1"


async def test_unlinking_what_is_not_there_says_so(database: Database) -> None:
    repository_id = await database.write(make_repository)

    assert not await database.write(lambda c: unlink_blob(c, repository_id=repository_id, digest=digest(1), now=1.0))


async def test_readers_are_listed_by_name(database: Database) -> None:
    def make(connection: Connection) -> None:
        blob_id = make_copy(connection)
        for name in ("b", "a-b", "a", "a.b"):
            repository_id = make_repository(connection, name)
            link_blob(connection, repository_id=repository_id, digest=digest(1), blob_id=blob_id, now=1.0)
        make_repository(connection, "none")

    await database.write(make)

    assert await database.read(lambda c: list_readers(c, digest(1), domain="", limit=9)) == ["a", "a-b", "a.b", "b"]
    assert await database.read(lambda c: list_readers(c, digest(1), domain="", limit=2)) == ["a", "a-b"]
    assert await database.read(lambda c: list_readers(c, digest(2), domain="", limit=9)) == []


async def test_a_quarantined_copy_is_read_by_nobody(database: Database) -> None:
    def make(connection: Connection) -> None:
        find_bad(connection, make_blob(connection, make_repository(connection)))

    await database.write(make)

    assert await database.read(read_one) is None
    assert await database.read(lambda c: list_readers(c, digest(1), domain="", limit=9)) == []
    assert await database.write(lambda c: find_stored_copy(c, digest(1), "")) is None


async def test_a_quarantined_copy_makes_way_for_another(database: Database) -> None:
    def make(connection: Connection) -> int:
        find_bad(connection, make_blob(connection, make_repository(connection)))
        return make_copy(connection, 1, key="good")

    good = await database.write(make)

    found = await database.write(lambda c: find_stored_copy(c, digest(1), ""))
    assert found == StoredBlob(good, digest(1), 10, "good")


async def test_a_repair_points_every_reader_to_the_good_copy(database: Database) -> None:
    def make(connection: Connection) -> None:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        bad = make_blob(connection, alpha)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=bad, now=1.0)
        make_blob(connection, beta, 2)
        find_bad(connection, bad)
        repair_readers(connection, digest=digest(1), domain="", blob_id=make_copy(connection, 1, key="good"), now=2.0)

    await database.write(make)

    assert await database.read(lambda c: read_one(c, "alpha")) == "good"
    assert await database.read(lambda c: read_one(c, "beta")) == "good"
    assert await database.read(lambda c: read_one(c, "beta", 2)) == "key-2"


async def test_sizes_are_those_that_the_repository_may_read(database: Database) -> None:
    def make(connection: Connection) -> int:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        make_blob(connection, alpha, 1)
        make_blob(connection, beta, 2)
        find_bad(connection, make_blob(connection, alpha, 3))
        return alpha

    alpha = await database.write(make)

    assert await database.read(lambda c: sizes_of(c, alpha, map(digest, (1, 2, 3, 4)))) == {digest(1): 10}


async def test_sizes_of_more_blobs_than_a_statement_takes(database: Database) -> None:
    """A manifest may name more blobs than a statement has parameters."""

    def make(connection: Connection) -> int:
        alpha = make_repository(connection)
        for number in (1, 40_000):
            make_blob(connection, alpha, number)
        return alpha

    alpha = await database.write(make)

    found = await database.read(lambda c: sizes_of(c, alpha, map(digest, range(40_001))))
    assert found == {digest(1): 10, digest(40_000): 10}


async def test_a_domain_has_a_copy_of_its_own(database: Database) -> None:
    """Across domains bytes are stored once for each, for none may need the key of another."""

    def make(connection: Connection) -> tuple[int, int]:
        return make_copy(connection), make_copy(connection, key="sealed", domain="AES256")

    plain, sealed = await database.write(make)

    find = partial(find_stored_copy, digest=digest(1))
    assert await database.write(partial(find, domain="")) == StoredBlob(plain, digest(1), 10, "key-1")
    assert await database.write(partial(find, domain="AES256")) == StoredBlob(
        sealed, digest(1), 10, "sealed", "AES256", key_version=1
    )
    assert await database.write(partial(find, domain="other")) is None


async def test_one_copy_serves_a_digest_in_a_domain(database: Database) -> None:
    await database.write(partial(make_copy, domain="AES256"))
    another = NewCopy(digest(1), 10, "other", "AES256", key_version=2)

    assert await database.write(lambda c: add_copy(c, another, 2.0)) is None


async def test_readers_of_a_copy_in_the_domain_come_first(database: Database) -> None:
    """A mount from there copies no bytes."""

    def make(connection: Connection) -> None:
        make_blob(connection, make_repository(connection, "a"))
        sealed = make_copy(connection, key="sealed", domain="AES256")
        repository_id = make_repository(connection, "b")
        link_blob(connection, repository_id=repository_id, digest=digest(1), blob_id=sealed, now=1.0)

    await database.write(make)

    assert await database.read(lambda c: list_readers(c, digest(1), domain="AES256", limit=9)) == ["b", "a"]


async def test_a_copy_that_was_replaced_is_not_quarantined(database: Database) -> None:
    """What was found bad under one key says nothing about the bytes that took its place."""
    blob_id = await database.write(lambda c: make_blob(c, make_repository(c)))

    await database.write(lambda c: quarantine(c, blob_id, "key-of-before"))

    assert await database.read(read_one) == "key-1"


async def test_a_repair_in_a_domain_leaves_repositories_of_others_alone(database: Database) -> None:
    """They may not come to need a key that they were not made with."""

    def make(connection: Connection) -> None:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        put_in_domain(connection, beta, "kms-key")
        bad = make_blob(connection, alpha)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=bad, now=1.0)
        find_bad(connection, bad)
        good = make_copy(connection, key="good", domain="AES256")
        repair_readers(connection, digest=digest(1), domain="AES256", blob_id=good, now=2.0)

    await database.write(make)

    assert await database.read(lambda c: read_one(c, "alpha")) == "good"
    assert await database.read(lambda c: read_one(c, "beta")) is None


async def test_a_plain_repair_reaches_the_repositories_of_every_domain(database: Database) -> None:
    """Plain copies are for everybody: they are made where encryption is off."""

    def make(connection: Connection) -> None:
        beta = make_repository(connection, "beta")
        put_in_domain(connection, beta, "kms-key")
        find_bad(connection, make_blob(connection, beta))
        good = make_copy(connection, key="good")
        repair_readers(connection, digest=digest(1), domain="", blob_id=good, now=2.0)

    await database.write(make)

    assert await database.read(lambda c: read_one(c, "beta")) == "good"
