"""Which blobs may be collected, and since when.

A blob is a candidate when no manifest of its repository names it; the clock starts when the last reference went.
Whoever is told that a candidate exists restarts its clock.
"""

import asyncio
from functools import partial

from sqlalchemy import Connection

from storage.metadata.blobs import find_blob, link_blob, renew_candidate, repair_readers, unlink_blob
from storage.metadata.database import Database
from storage.metadata.manifests import delete_manifest, put_manifest
from tests.storage.metadata.rows import (
    candidates,
    digest,
    find_bad,
    make_blob,
    make_copy,
    make_repository,
    new_manifest,
    put_in_domain,
)


async def make_both(database: Database, *, now: float = 1.0) -> tuple[int, int]:
    """A repository and a blob that was just pushed to it."""

    def make(connection: Connection) -> tuple[int, int]:
        repository_id = make_repository(connection)
        return repository_id, make_blob(connection, repository_id, now=now)

    return await database.write(make)


async def test_a_blob_that_was_just_pushed_is_a_candidate(database: Database) -> None:
    repository, blob = await make_both(database, now=5.0)

    assert await database.read(candidates) == {(blob, repository, 5.0)}


async def test_pushing_a_candidate_again_restarts_its_clock(database: Database) -> None:
    repository, blob = await make_both(database, now=5.0)

    await database.write(lambda c: link_blob(c, repository_id=repository, digest=digest(1), blob_id=blob, now=9.0))

    assert await database.read(candidates) == {(blob, repository, 9.0)}


async def test_a_blob_that_a_manifest_names_is_no_candidate(database: Database) -> None:
    repository, _ = await make_both(database)

    await database.write(lambda c: put_manifest(c, repository, new_manifest(blobs=[1]), 2.0))

    assert await database.read(candidates) == set()
    found = await database.read(lambda c: find_blob(c, "alpha", digest(1)))
    assert found is not None
    assert found.candidate is False


async def test_a_blob_of_a_manifest_that_was_there_first_is_no_candidate(database: Database) -> None:
    """A sparse manifest may come before what it names."""

    def make(connection: Connection) -> None:
        repository_id = make_repository(connection)
        put_manifest(connection, repository_id, new_manifest(blobs=[1]), 1.0)
        make_blob(connection, repository_id, 1)

    await database.write(make)

    assert await database.read(candidates) == set()


async def test_a_manifest_holds_blobs_of_its_own_repository_alone(database: Database) -> None:
    def make(connection: Connection) -> tuple[int, int, int]:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        blob_id = make_blob(connection, alpha)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=blob_id, now=2.0)
        put_manifest(connection, alpha, new_manifest(blobs=[1]), 3.0)
        return alpha, beta, blob_id

    _, beta, blob = await database.write(make)

    assert await database.read(candidates) == {(blob, beta, 2.0)}


async def test_deleting_the_only_manifest_starts_the_clock_at_that_moment(database: Database) -> None:
    repository, blob = await make_both(database, now=1.0)
    await database.write(lambda c: put_manifest(c, repository, new_manifest(blobs=[1]), 2.0))

    await database.write(lambda c: delete_manifest(c, repository, digest(100), 50.0))

    assert await database.read(candidates) == {(blob, repository, 50.0)}


async def test_deleting_one_of_two_manifests_starts_no_clock(database: Database) -> None:
    repository, _ = await make_both(database)
    for number in (100, 101):
        await database.write(partial(put_manifest, repository_id=repository, new=new_manifest(number, [1]), now=2.0))

    await database.write(lambda c: delete_manifest(c, repository, digest(100), 50.0))

    assert await database.read(candidates) == set()


async def test_deleting_a_manifest_touches_only_what_it_named(database: Database) -> None:
    repository, blob = await make_both(database)

    def make(connection: Connection) -> None:
        make_blob(connection, repository, 2)
        put_manifest(connection, repository, new_manifest(100, [1]), 2.0)
        put_manifest(connection, repository, new_manifest(101, [2]), 2.0)

    await database.write(make)

    await database.write(lambda c: delete_manifest(c, repository, digest(100), 50.0))

    assert await database.read(candidates) == {(blob, repository, 50.0)}


async def test_telling_of_a_candidate_restarts_its_clock(database: Database) -> None:
    repository, blob = await make_both(database, now=1.0)

    kept = await database.write(lambda c: renew_candidate(c, repository_name="alpha", digest=digest(1), now=9.0))

    assert kept is True
    assert await database.read(candidates) == {(blob, repository, 9.0)}


async def test_telling_of_a_blob_in_use_writes_nothing(database: Database) -> None:
    repository, _ = await make_both(database)
    await database.write(lambda c: put_manifest(c, repository, new_manifest(blobs=[1]), 2.0))

    kept = await database.write(lambda c: renew_candidate(c, repository_name="alpha", digest=digest(1), now=9.0))

    assert kept is True
    assert await database.read(candidates) == set()


async def test_a_blob_that_went_meanwhile_is_not_kept(database: Database) -> None:
    repository, _ = await make_both(database)
    await database.write(lambda c: unlink_blob(c, repository_id=repository, digest=digest(1), now=2.0))

    assert not await database.write(lambda c: renew_candidate(c, repository_name="alpha", digest=digest(1), now=9.0))
    assert not await database.write(lambda c: renew_candidate(c, repository_name="beta", digest=digest(1), now=9.0))


async def test_a_copy_that_nobody_reads_is_a_candidate_itself(database: Database) -> None:
    """Repository id 0 stands for no repository."""
    repository, blob = await make_both(database)

    await database.write(lambda c: unlink_blob(c, repository_id=repository, digest=digest(1), now=7.0))

    assert await database.read(candidates) == {(blob, 0, 7.0)}


async def test_a_copy_that_another_repository_reads_is_no_candidate_itself(database: Database) -> None:
    repository, blob = await make_both(database)

    def link(connection: Connection) -> int:
        beta = make_repository(connection, "beta")
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=blob, now=2.0)
        return beta

    beta = await database.write(link)

    await database.write(lambda c: unlink_blob(c, repository_id=repository, digest=digest(1), now=7.0))

    assert await database.read(candidates) == {(blob, beta, 2.0)}


async def test_a_link_takes_a_copy_back(database: Database) -> None:
    repository, blob = await make_both(database)
    await database.write(lambda c: unlink_blob(c, repository_id=repository, digest=digest(1), now=7.0))

    await database.write(lambda c: link_blob(c, repository_id=repository, digest=digest(1), blob_id=blob, now=8.0))

    assert await database.read(candidates) == {(blob, repository, 8.0)}


async def test_a_deleted_blob_that_a_manifest_still_names_leaves_its_copy_to_collect(database: Database) -> None:
    """A person may delete a blob by name; the manifest does not hold what its repository no longer has."""
    repository, blob = await make_both(database)
    await database.write(lambda c: put_manifest(c, repository, new_manifest(blobs=[1]), 2.0))

    await database.write(lambda c: unlink_blob(c, repository_id=repository, digest=digest(1), now=7.0))

    assert await database.read(candidates) == {(blob, 0, 7.0)}


async def test_a_repair_keeps_the_clocks_of_its_readers(database: Database) -> None:
    """A blob that no manifest names stays a candidate whichever copy is read; the bad copy becomes one."""

    def make(connection: Connection) -> tuple[int, int, int]:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        bad = make_blob(connection, alpha, now=1.0)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=bad, now=2.0)
        put_manifest(connection, beta, new_manifest(blobs=[1]), 3.0)
        find_bad(connection, bad)
        good = make_copy(connection, 1, key="good")
        repair_readers(connection, digest=digest(1), domain="", blob_id=good, now=9.0)
        return alpha, bad, good

    alpha, bad, good = await database.write(make)

    assert await database.read(candidates) == {(good, alpha, 1.0), (bad, 0, 9.0)}


async def test_a_second_repair_leaves_the_first_bad_copy_alone(database: Database) -> None:
    def make(connection: Connection) -> tuple[int, list[int]]:
        repository_id = make_repository(connection)
        copies = [make_blob(connection, repository_id, now=1.0)]
        for number in (2, 3):
            find_bad(connection, copies[-1])
            copies.append(make_copy(connection, 1, key=f"copy-{number}"))
            repair_readers(connection, digest=digest(1), domain="", blob_id=copies[-1], now=number * 10.0)
        return repository_id, copies

    repository, copies = await database.write(make)

    assert await database.read(candidates) == {(copies[0], 0, 20.0), (copies[1], 0, 30.0), (copies[2], repository, 1.0)}


async def test_a_clock_is_restarted_only_for_what_is_a_candidate(database: Database) -> None:
    """A manifest that was pushed after the look-up holds the blob."""
    repository, _ = await make_both(database, now=5.0)
    await database.write(lambda c: put_manifest(c, repository, new_manifest(blobs=[1]), 6.0))

    renewed = await database.write(lambda c: renew_candidate(c, repository_name="alpha", digest=digest(1), now=9.0))

    assert renewed
    assert await database.read(candidates) == set()


async def test_repositories_that_let_go_at_once_leave_a_candidate(database: Database, other_database: Database) -> None:
    """The last of them must see that nobody reads the copy any more."""

    def make(connection: Connection) -> tuple[list[int], list[int]]:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        copies = [make_blob(connection, alpha, number) for number in range(1, 31)]
        for number, copy in enumerate(copies, start=1):
            link_blob(connection, repository_id=beta, digest=digest(number), blob_id=copy, now=1.0)
        return [alpha, beta], copies

    (alpha, beta), copies = await database.write(make)

    for number in range(1, 31):
        unlink = partial(unlink_blob, digest=digest(number), now=7.0)
        await asyncio.gather(
            database.write(partial(unlink, repository_id=alpha)),
            other_database.write(partial(unlink, repository_id=beta)),
        )

    assert await database.read(candidates) == {(copy, 0, 7.0) for copy in copies}


async def test_a_copy_that_another_took_the_place_of_becomes_a_candidate(database: Database) -> None:
    """A repository that goes over to a sealed copy was perhaps the last one to read the plain one."""
    repository, plain = await make_both(database, now=1.0)

    def replace(connection: Connection) -> int:
        sealed = make_copy(connection, key="sealed", domain="AES256")
        link_blob(connection, repository_id=repository, digest=digest(1), blob_id=sealed, now=7.0)
        return sealed

    sealed = await database.write(replace)

    assert await database.read(candidates) == {(plain, 0, 7.0), (sealed, repository, 7.0)}


async def test_a_copy_that_others_still_read_is_no_candidate_when_one_goes_over(database: Database) -> None:
    repository, plain = await make_both(database, now=1.0)

    def replace(connection: Connection) -> int:
        put_manifest(connection, repository, new_manifest(blobs=[1]), 2.0)
        beta = make_repository(connection, "beta")
        put_manifest(connection, beta, new_manifest(blobs=[1]), 2.0)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=plain, now=3.0)
        sealed = make_copy(connection, key="sealed", domain="AES256")
        link_blob(connection, repository_id=repository, digest=digest(1), blob_id=sealed, now=7.0)
        return sealed

    await database.write(replace)

    assert await database.read(candidates) == set()


async def test_a_bad_copy_that_another_domain_still_misses_is_no_candidate(database: Database) -> None:
    """It is what a later push there repairs."""

    def make(connection: Connection) -> tuple[int, int, int, int]:
        alpha, beta = make_repository(connection, "alpha"), make_repository(connection, "beta")
        put_in_domain(connection, beta, "kms-key")
        bad = make_blob(connection, alpha, now=1.0)
        link_blob(connection, repository_id=beta, digest=digest(1), blob_id=bad, now=2.0)
        find_bad(connection, bad)
        good = make_copy(connection, key="good", domain="AES256")
        repair_readers(connection, digest=digest(1), domain="AES256", blob_id=good, now=9.0)
        return alpha, beta, bad, good

    alpha, beta, bad, good = await database.write(make)

    assert await database.read(candidates) == {(good, alpha, 1.0), (bad, beta, 2.0)}
