"""Listing repositories."""

import pytest

from tests.http.client import USER, Registry
from tests.http.paging import next_of, pages

SORTED = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "b", "library/alpine", "z__z"]


async def filled(registry: Registry) -> None:
    for name in SORTED[::-1]:
        await registry.push_blob(name, b"x")


async def test_empty_registry_has_an_empty_catalog(registry: Registry) -> None:
    """A list, not null."""
    answer = await registry.get("/v2/_catalog")

    assert (answer.status, answer.document) == (200, {"repositories": []})
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_catalog_is_sorted_by_bytes(registry: Registry) -> None:
    """The slash is a character like others."""
    await filled(registry)

    answer = await registry.get("/v2/_catalog")

    assert answer.document == {"repositories": SORTED}
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?n=2", ["a", "a-b"]),
        ("?n=2&last=a.b", ["a/b", "a/b/c"]),
        ("?last=b", ["library/alpine", "z__z"]),
        ("?last=a%2Fb", ["a/b/c", "a0", "b", "library/alpine", "z__z"]),
        ("?n=0", []),
        ("?n=1000000", SORTED),
        ("?last=%F0%9F%90%B3", []),
    ],
)
async def test_page_is_what_was_asked_for(registry: Registry, query: str, expected: list[str]) -> None:
    """At most n names that sort after last."""
    await filled(registry)

    assert (await registry.get(f"/v2/_catalog{query}")).document == {"repositories": expected}


@pytest.mark.parametrize("asked", ["-1", "x", ""])
async def test_what_is_no_count_is_refused(registry: Registry, asked: str) -> None:
    """400, not a guess."""
    assert (await registry.get(f"/v2/_catalog?n={asked}")).refusal == (400, "UNSUPPORTED")


@pytest.mark.parametrize("size", [1, 4, 8, 9])
async def test_pages_together_are_the_whole(registry: Registry, size: int) -> None:
    """The Link is followed to the end."""
    await filled(registry)

    found = [answer.document["repositories"] async for answer in pages(registry, f"/v2/_catalog?n={size}")]

    assert [name for page in found for name in page] == SORTED
    assert all(len(page) == size for page in found[:-1])


@pytest.mark.settings(limits={"page": 3})
async def test_catalog_is_bounded_with_and_without_n(registry: Registry) -> None:
    """A Link leads on."""
    await filled(registry)

    for query in ("", "?n=100"):
        found = [answer.document["repositories"] async for answer in pages(registry, f"/v2/_catalog{query}")]

        assert found == [SORTED[:3], SORTED[3:6], SORTED[6:]]


async def test_link_names_the_last_entry(registry: Registry) -> None:
    """Encoded, for a name has slashes."""
    await filled(registry)

    assert next_of(await registry.get("/v2/_catalog?n=4")) == "/v2/_catalog?n=4&last=a%2Fb"


async def test_catalog_needs_its_own_scope(registry: Registry) -> None:
    """A token for a repository is not one for the registry; the challenge says which is."""
    await filled(registry)
    narrow, wide = await registry.token("repository:a:pull"), await registry.token("registry:catalog:*")

    refused = await registry.get("/v2/_catalog", authorization=narrow)
    granted = await registry.get("/v2/_catalog", authorization=wide)

    assert refused.refusal == (401, "DENIED")
    assert 'scope="registry:catalog:*"' in refused.headers["WWW-Authenticate"]
    assert granted.document == {"repositories": SORTED}


async def test_catalog_is_denied_to_who_may_not_describe(registry: Registry) -> None:
    """403, without a name in it."""
    await filled(registry)

    answer = await registry.get("/v2/_catalog", authorization=USER)

    assert answer.refusal == (403, "DENIED")
    assert b"library/alpine" not in answer.body


@pytest.mark.settings(auth={"anonymous": "pull"})
async def test_catalog_is_shown_to_anonymous_readers(registry: Registry) -> None:
    """Who may read everything may know of everything."""
    await filled(registry)

    assert (await registry.get("/v2/_catalog", authorization=None)).document == {"repositories": SORTED}


async def test_started_upload_makes_no_repository(registry: Registry) -> None:
    """A name appears with its first content, and stays when that is deleted."""
    await registry.start_upload("later")
    digest = await registry.push_blob("kept", b"x")
    await registry.delete(f"/v2/kept/blobs/{digest}")

    assert (await registry.get("/v2/_catalog")).document == {"repositories": ["kept"]}
