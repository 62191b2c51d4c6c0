"""What is not stored as it should be, what takes its place, and who asked for that."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, select, update

from storage.metadata import schema
from storage.metadata.blobs import (
    NewCopy,
    StoredBlob,
    find_blob,
    find_stored_copy,
    link_blob,
    quarantine,
    renew_candidate,
    unlink_blob,
)
from storage.metadata.database import Database
from storage.metadata.manifests import put_manifest
from storage.metadata.reencryption import (
    Wanted,
    count_replaced,
    count_stale,
    forget_replaced,
    has_replaced,
    is_named,
    let_go_of_unread,
    list_replaced,
    list_stale_copies,
    replace_copy,
    targets_of,
)
from tests.storage.metadata.domains import ONE, PLAIN, SEALED, TWO, make_domains
from tests.storage.metadata.rows import (
    candidates,
    digest,
    find_bad,
    make_copy,
    make_repository,
    new_manifest,
    put_in_domain,
)


def copy_of(
    connection: Connection, *readers: str, number: int = 1, domain: str = "", version: int = 0, key: str = ""
) -> StoredBlob:
    """A stored copy that repositories read."""
    blob_id = make_copy(connection, number, key=key or f"{domain or 'plain'}-{number}", domain=domain)
    connection.execute(update(schema.blob).where(schema.blob.c.id == blob_id).values(key_version=version))
    for name in readers:
        repository_id = make_repository(connection, name)
        link_blob(connection, repository_id=repository_id, digest=digest(number), blob_id=blob_id, now=5.0)
    found = find_stored_copy(connection, digest(number), domain)
    assert found is not None
    return found


def new(domain: str = "one", version: int = 2, *, key: str = "new") -> NewCopy:
    return NewCopy(digest(1), 10, key, domain, version)


def read_by(connection: Connection, name: str) -> str | None:
    """The key that a repository reads digest 1 under."""
    found = find_blob(connection, name, digest(1))
    return found.storage_key if found else None


def states(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(schema.blob.c.storage_key, schema.blob.c.state))
    return {row[0]: row[1] for row in rows}


def stale(connection: Connection, wanted: Wanted) -> list[str]:
    return [copy.storage_key for copy in list_stale_copies(connection, wanted, after=0, limit=99)]


async def made(database: Database, make: Callable[[Connection], StoredBlob]) -> StoredBlob:
    """Domains, and a copy."""

    def change(connection: Connection) -> StoredBlob:
        make_domains(connection)
        return make(connection)

    return await database.write(change)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SEALED, ["plain-1", "plain-2", "plain-3", "one-4", "one-8"]),
        (ONE, ["plain-1", "plain-3", "one-4", "one-8"]),
        (TWO, ["plain-2", "plain-3"]),
        (PLAIN, ["one-4", "one-5", "two-5", "one-8"]),
        (Wanted(seals=False, domain="two"), ["two-5"]),
    ],
    ids=["all sealed", "one sealed", "two sealed", "all plain", "two plain"],
)
async def test_what_is_stale(database: Database, wanted: Wanted, expected: list[str]) -> None:
    """Plain copies, and those of earlier versions; or, where nothing is to be sealed, what is. Served ones alone."""

    def make(connection: Connection) -> None:
        make_domains(connection)
        copy_of(connection, "one", number=1)
        copy_of(connection, "two", number=2)
        copy_of(connection, "one", "two", number=3)
        copy_of(connection, "one", number=4, domain="one", version=1)
        copy_of(connection, "one", number=5, domain="one", version=2)
        copy_of(connection, "two", number=5, domain="two", version=1)
        find_bad(connection, copy_of(connection, "one", "two", number=6).id)
        let_go_of_unread(connection, copy_of(connection, number=7), 1.0)
        copy_of(connection, number=8, domain="one", version=1)

    await database.write(make)

    assert await database.read(lambda c: stale(c, wanted)) == expected
    assert await database.read(lambda c: count_stale(c, wanted)) == len(expected)


async def test_stale_copies_come_in_pages(database: Database) -> None:
    await made(database, lambda c: [copy_of(c, "one", number=number) for number in range(1, 6)][-1])

    first = await database.read(lambda c: list_stale_copies(c, SEALED, after=0, limit=3))
    last = await database.read(lambda c: list_stale_copies(c, SEALED, after=first[-1].id, limit=3))

    assert [copy.digest for copy in [*first, *last]] == [digest(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("readers", "domain", "wanted", "expected"),
    [
        (("one", "two", "one-too"), "", SEALED, ["one", "two"]),
        (("one", "two"), "", ONE, ["one"]),
        (("one",), "one", SEALED, ["one"]),
        (("one",), "one", PLAIN, [""]),
        ((), "", SEALED, []),
        ((), "one", SEALED, []),
        ((), "one", PLAIN, []),
    ],
)
async def test_the_domains_that_need_another_copy(
    database: Database, readers: tuple[str, ...], domain: str, wanted: Wanted, expected: list[str]
) -> None:
    def make(connection: Connection) -> StoredBlob:
        put_in_domain(connection, make_repository(connection, "one-too"), "one")
        return copy_of(connection, *readers, domain=domain)

    copy = await made(database, make)

    assert await database.read(lambda c: targets_of(c, copy, wanted)) == expected


async def test_a_copy_that_is_not_what_it_was_needs_nothing(database: Database) -> None:
    copy = await made(database, lambda c: copy_of(c, "one"))

    await database.write(lambda c: quarantine(c, copy.id, copy.storage_key))

    assert await database.read(lambda c: targets_of(c, copy, SEALED)) is None


async def test_a_copy_of_the_same_domain_takes_the_place_of_one(database: Database) -> None:
    """The old bytes stay until nobody can be reading them."""

    def make(connection: Connection) -> StoredBlob:
        put_in_domain(connection, make_repository(connection, "one-too"), "one")
        return copy_of(connection, "one", "one-too", domain="one", version=1)

    old = await made(database, make)

    assert await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    assert await database.read(lambda c: (read_by(c, "one"), read_by(c, "one-too"))) == ("new", "new")
    assert await database.read(states) == {"one-1": "deleting", "new": "stored"}
    assert await database.read(lambda c: list_replaced(c, before=9.1, limit=9)) == [old]


async def test_each_domain_gets_a_copy_of_a_plain_one(database: Database) -> None:
    """The plain one goes with the last of its readers."""
    old = await made(database, lambda c: copy_of(c, "one", "two"))

    assert await database.write(lambda c: replace_copy(c, old, new("one"), "one", 9.0))
    assert await database.read(lambda c: (read_by(c, "one"), read_by(c, "two"))) == ("new", "plain-1")
    assert await database.read(count_replaced) == 0
    assert await database.write(lambda c: replace_copy(c, old, new("two", 1, key="newer"), "two", 9.0))

    assert await database.read(lambda c: (read_by(c, "one"), read_by(c, "two"))) == ("new", "newer")
    assert await database.read(states) == {"plain-1": "deleting", "new": "stored", "newer": "stored"}


async def test_all_domains_share_a_plain_copy(database: Database) -> None:
    def make(connection: Connection) -> StoredBlob:
        copy_of(connection, "two", domain="two", version=1)
        return copy_of(connection, "one", domain="one", version=2)

    old = await made(database, make)
    other = await database.read(lambda c: find_stored_copy(c, digest(1), "two", hold=False))
    assert other is not None

    assert await database.write(lambda c: replace_copy(c, old, new("", 0), "", 9.0))
    assert await database.write(lambda c: replace_copy(c, other, None, "", 9.0))

    assert await database.read(lambda c: (read_by(c, "one"), read_by(c, "two"))) == ("new", "new")
    assert await database.read(states) == {"two-1": "deleting", "one-1": "deleting", "new": "stored"}


async def test_candidates_move_along_with_their_times(database: Database) -> None:
    """Being stored anew makes nothing more or less worth keeping."""

    def make(connection: Connection) -> StoredBlob:
        repository_id = make_repository(connection, "one-too")
        put_in_domain(connection, repository_id, "one")
        old = copy_of(connection, "one", "one-too")
        put_manifest(connection, repository_id, new_manifest(100, blobs=[1]), 6.0)
        return old

    old = await made(database, make)

    await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    repository_id = await database.write(lambda c: make_repository(c, "one"))
    served = await database.read(lambda c: find_blob(c, "one", digest(1)))
    assert served is not None
    assert await database.read(candidates) == {(served.id, repository_id, 5.0), (old.id, 0, 9.0)}


async def test_the_copy_that_is_there_is_read_rather_than_a_new_one(database: Database) -> None:
    """Whoever makes another learns that it is not needed. One that nobody read is no candidate any more."""

    def make(connection: Connection) -> StoredBlob:
        there = copy_of(connection, "two", domain="one", version=2, key="there")
        unlink_blob(connection, repository_id=make_repository(connection, "two"), digest=digest(1), now=6.0)
        assert (there.id, 0, 6.0) in candidates(connection)
        return copy_of(connection, "one")

    old = await made(database, make)

    assert not await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    assert await database.read(partial(read_by, name="one")) == "there"
    assert await database.read(states) == {"there": "stored", "plain-1": "deleting"}
    assert {since for _, _, since in await database.read(candidates)} == {5.0, 9.0}


async def test_without_another_copy_nothing_happens(database: Database) -> None:
    old = await made(database, lambda c: copy_of(c, "one"))

    assert not await database.write(lambda c: replace_copy(c, old, None, "one", 9.0))

    assert await database.read(partial(read_by, name="one")) == "plain-1"
    assert await database.read(states) == {"plain-1": "stored"}


def _quarantined(connection: Connection, old: StoredBlob) -> None:
    find_bad(connection, old.id)


def _stored_anew(connection: Connection, old: StoredBlob) -> None:
    connection.execute(update(schema.blob).where(schema.blob.c.id == old.id).values(storage_key="anew"))


def _let_go(connection: Connection, old: StoredBlob) -> None:
    assert replace_copy(connection, old, new(key="faster"), "one", 8.0)


def _removed(connection: Connection, old: StoredBlob) -> None:
    _let_go(connection, old)
    forget_replaced(connection, old.id)


@pytest.mark.parametrize("meanwhile", [_quarantined, _stored_anew, _let_go, _removed])
@pytest.mark.parametrize("domain", ["", "one"])
async def test_a_copy_that_is_not_what_it_was_is_not_replaced(
    database: Database, domain: str, meanwhile: Callable[[Connection, StoredBlob], None]
) -> None:
    """What happened to it meanwhile counts."""
    old = await made(database, lambda c: copy_of(c, "one", domain=domain, version=1 if domain else 0))
    await database.write(lambda c: meanwhile(c, old))
    before = await database.read(states)

    assert not await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))
    await database.write(lambda c: let_go_of_unread(c, old, 9.0))

    assert await database.read(states) == before
    assert not await database.write(lambda c: is_named(c, old, "new"))


@pytest.mark.parametrize("domain", ["", "one"])
async def test_a_copy_whose_readers_left_meanwhile_is_let_go_of(database: Database, domain: str) -> None:
    """A new one would be read by nobody, and be nobody's to remove."""
    old = await made(database, lambda c: copy_of(c, "one", domain=domain, version=1 if domain else 0))
    await database.write(lambda c: unlink_blob(c, repository_id=make_repository(c, "one"), digest=digest(1), now=6.0))

    assert not await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    assert await database.read(states) == {old.storage_key: "deleting"}


async def test_readers_that_came_meanwhile_read_the_new_copy_too(database: Database) -> None:
    old = await made(database, lambda c: copy_of(c, "one", domain="one", version=1))

    def link(connection: Connection) -> None:
        repository_id = make_repository(connection, "later")
        put_in_domain(connection, repository_id, "one")
        link_blob(connection, repository_id=repository_id, digest=digest(1), blob_id=old.id, now=6.0)

    await database.write(link)

    assert await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    assert await database.read(partial(read_by, name="later")) == "new"


async def test_a_new_copy_repairs_those_who_read_a_bad_one(database: Database) -> None:
    """As a push of the same bytes does, in its domain alone."""

    def make(connection: Connection) -> StoredBlob:
        put_in_domain(connection, make_repository(connection, "one-too"), "one")
        for domain, reader in (("one", "one-too"), ("two", "two")):
            find_bad(connection, copy_of(connection, reader, domain=domain, version=1).id)
        return copy_of(connection, "one")

    old = await made(database, make)

    await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))

    assert await database.read(lambda c: (read_by(c, "one-too"), read_by(c, "two"))) == ("new", None)


async def test_a_copy_that_is_read_is_not_let_go_of(database: Database) -> None:
    old = await made(database, lambda c: copy_of(c, "one"))

    await database.write(lambda c: let_go_of_unread(c, old, 9.0))

    assert await database.read(states) == {"plain-1": "stored"}


async def test_replaced_copies_are_listed_when_their_grace_is_over(database: Database) -> None:
    """And forgotten once their bytes are gone; those that are served never are."""

    def make(connection: Connection) -> StoredBlob:
        for number, now in ((1, 10.0), (2, 20.0)):
            let_go_of_unread(connection, copy_of(connection, number=number), now)
        return copy_of(connection, "one", number=3)

    served = await made(database, make)
    assert await database.read(has_replaced)

    early = await database.read(lambda c: list_replaced(c, before=10.0, limit=9))
    due = await database.read(lambda c: list_replaced(c, before=20.0, limit=9))
    await database.write(lambda c: forget_replaced(c, due[0].id))
    await database.write(lambda c: forget_replaced(c, served.id))

    assert (early, [copy.storage_key for copy in due]) == ([], ["plain-1"])
    assert await database.read(count_replaced) == 1
    assert await database.read(states) == {"plain-2": "deleting", "plain-3": "stored"}


async def test_a_candidate_whose_copy_is_replaced_can_be_renewed(database: Database) -> None:
    """Who is told that a blob is there may build on it, before and after."""
    old = await made(database, lambda c: copy_of(c, "one"))
    renew = partial(renew_candidate, repository_name="one", digest=digest(1))

    assert await database.write(partial(renew, now=7.0))
    await database.write(lambda c: replace_copy(c, old, new(), "one", 9.0))
    assert {since for _, repository_id, since in await database.read(candidates) if repository_id} == {7.0}
    assert await database.write(partial(renew, now=10.0))

    assert {since for _, repository_id, since in await database.read(candidates) if repository_id} == {10.0}
