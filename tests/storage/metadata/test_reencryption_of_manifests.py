"""Manifests that are not stored as they should be, and who asked for them to be."""

from functools import partial

import pytest
from sqlalchemy import Connection, update

from storage.metadata import schema
from storage.metadata.database import Database
from storage.metadata.domain_keys import NewKey, add_key, find_domain
from storage.metadata.manifests import find_manifest, put_manifest
from storage.metadata.reencryption import (
    ManifestPlace,
    Request,
    Resealed,
    StaleManifest,
    Wanted,
    count_stale,
    find_stale_manifest,
    finish_request,
    list_requests,
    list_stale_manifests,
    replace_manifest,
    request,
)
from tests.storage.metadata.domains import ONE, PLAIN, SEALED, TWO, make_domains
from tests.storage.metadata.rows import digest, make_repository, new_manifest


def make_manifests(connection: Connection) -> dict[str, int]:
    """A plain manifest in each repository, and in `one` sealed ones of both versions."""
    make_domains(connection)
    ids = {name: make_repository(connection, name) for name in ("one", "two")}
    for name, number in (("one", 100), ("one", 101), ("one", 102), ("two", 100)):
        put_manifest(connection, ids[name], new_manifest(number, annotations="{}"), 1.0)
    for number, version in ((101, 1), (102, 2)):
        sealed = schema.manifest.c.digest == digest(number)
        connection.execute(update(schema.manifest).where(sealed).values(domain="one", key_version=version))
    return ids


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SEALED, [("one", 100), ("one", 101), ("two", 100)]),
        (ONE, [("one", 100), ("one", 101)]),
        (TWO, [("two", 100)]),
        (PLAIN, [("one", 101), ("one", 102)]),
        (Wanted(seals=False, domain="two"), []),
    ],
    ids=["all sealed", "one sealed", "two sealed", "all plain", "two plain"],
)
async def test_which_manifests_are_stale(database: Database, wanted: Wanted, expected: list[tuple[str, int]]) -> None:
    ids = await database.write(make_manifests)
    places = [ManifestPlace(ids[name], digest(number)) for name, number in expected]

    listed = partial(list_stale_manifests, wanted=wanted, limit=1)
    found, after = [], ManifestPlace(0, "")
    while page := await database.read(partial(listed, after=after)):
        found += page
        after = page[-1]

    assert found == places
    assert await database.read(lambda c: count_stale(c, wanted)) == len(places)


async def test_a_stale_manifest_tells_where_it_belongs(database: Database) -> None:
    ids = await database.write(make_manifests)
    place = ManifestPlace(ids["one"], digest(101))

    found = await database.read(lambda c: find_stale_manifest(c, SEALED, place))

    assert found == StaleManifest(place, b"manifest 101", "{}", "one", "one")
    plain = await database.read(lambda c: find_stale_manifest(c, PLAIN, place))
    assert plain == StaleManifest(place, b"manifest 101", "{}", "one", "")
    there = ManifestPlace(ids["one"], digest(102))
    assert await database.read(lambda c: find_stale_manifest(c, SEALED, there)) is None


async def test_a_manifest_that_was_changed_meanwhile_stays_so(database: Database) -> None:
    ids = await database.write(make_manifests)
    place = ManifestPlace(ids["one"], digest(100))
    found = await database.read(lambda c: find_stale_manifest(c, SEALED, place))
    assert found is not None

    for payload in (b"sealed", b"too late"):
        await database.write(partial(replace_manifest, old=found, new=Resealed(payload, "sealed", "one", 2)))

    manifest = await database.read(lambda c: find_manifest(c, "one", digest(100)))
    assert manifest is not None
    assert (manifest.payload, manifest.domain) == (b"sealed", "one")
    other = await database.read(lambda c: find_manifest(c, "two", digest(100)))
    assert other is not None
    assert other.payload == b"manifest 100"


async def test_a_request_stands_until_what_it_asked_for_is_done(database: Database) -> None:
    """A rotation during a run asks for more than that run does."""
    await database.write(make_domains)
    await database.write(lambda c: request(c, "one"))
    (first,) = await database.read(list_requests)

    await database.write(lambda c: add_key(c, NewKey("one", 3, "root", b"wrapped"), 1.0))
    await database.write(lambda c: request(c, "one"))
    await database.write(lambda c: finish_request(c, first))

    assert first == Request("one", 2)
    assert await database.read(list_requests) == [Request("one", 3)]
    domain = await database.read(lambda c: find_domain(c, "one"))
    assert domain is not None
    assert domain.reencrypt_to == 3
    await database.write(lambda c: finish_request(c, Request("one", 3)))
    assert await database.read(list_requests) == []
