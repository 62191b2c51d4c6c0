"""Listing tags (end-8)."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.client import Registry
from tests.http.documents import INDEX, index, sha256
from tests.http.paging import next_of, pages

SORTED = ["10", "2", "A", "B.c", "Z", "_x", "a", "a-b", "a.b", "a0", "a_b", "b", "z"]


async def tagged(registry: Registry, tags: list[str]) -> None:
    payload = index()
    for start in range(0, len(tags), 100):
        query = "&".join(f"tag={tag}" for tag in tags[start : start + 100])
        await registry.push_manifest("a", f"{sha256(payload)}?{query}", payload, media_type=INDEX)


async def listed(registry: Registry, query: str) -> list[str]:
    answer = await registry.get(f"/v2/a/tags/list{query}")
    assert answer.status == 200
    tags: list[str] = answer.document["tags"]
    return tags


async def test_tags_are_listed_by_bytes(registry: Registry) -> None:
    """Digits, upper case, underscore, lower case, whatever order they came in."""
    await tagged(registry, SORTED[::-1])

    answer = await registry.get("/v2/a/tags/list")

    assert (answer.status, answer.document) == (200, {"name": "a", "tags": SORTED})
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert "Link" not in answer.headers


async def test_repository_without_tags_has_an_empty_list(registry: Registry) -> None:
    """A list, not null."""
    await registry.push_blob("a/b", b"x")

    answer = await registry.get("/v2/a/b/tags/list")

    assert (answer.status, answer.document) == (200, {"name": "a/b", "tags": []})


async def test_tags_of_an_unknown_repository_are_not_found(registry: Registry) -> None:
    """404, with the name as the problem."""
    assert (await registry.get("/v2/nobody/tags/list")).refusal == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?n=3", SORTED[:3]),
        ("?n=13", SORTED),
        ("?n=100", SORTED),
        ("?n=1000000000000", SORTED),
        ("?n=99999999999999999999", SORTED),
        ("?n=003", SORTED[:3]),
        ("?n=2&last=Z", ["_x", "a"]),
        ("?last=a_b", ["b", "z"]),
        ("?last=a_a", ["a_b", "b", "z"]),
        ("?last=", SORTED),
        ("?last=zz", []),
        ("?last=%C3%A4", []),
        ("?last=~", []),
        ("?last=..%2f..", SORTED),
        ("?n=0", []),
        ("?n=0&last=a", []),
    ],
)
async def test_page_is_what_was_asked_for(registry: Registry, query: str, expected: list[str]) -> None:
    """At most n tags that sort after last, which need not exist."""
    await tagged(registry, SORTED)

    assert await listed(registry, query) == expected


async def test_nothing_asked_for_has_no_next_page(registry: Registry) -> None:
    """n=0 is an empty list without a Link."""
    await tagged(registry, SORTED)

    assert "Link" not in (await registry.get("/v2/a/tags/list?n=0")).headers


@pytest.mark.parametrize("asked", ["-1", "x", "", "1.0", "1e3", "%2B1", "0x10", "9" * 21, "%D9%A3", "1%0a", "%201"])
async def test_what_is_no_count_is_refused(registry: Registry, asked: str) -> None:
    """400, not a guess."""
    await tagged(registry, ["one"])

    assert (await registry.get(f"/v2/a/tags/list?n={asked}")).refusal == (400, "UNSUPPORTED")


@pytest.mark.parametrize("size", [1, 2, 5, 12, 13])
async def test_pages_together_are_the_whole(registry: Registry, size: int) -> None:
    """The Link is followed to the end, every page but the last is full."""
    await tagged(registry, SORTED)

    found = [answer.document["tags"] async for answer in pages(registry, f"/v2/a/tags/list?n={size}")]

    assert [tag for page in found for tag in page] == SORTED
    assert all(len(page) == size for page in found[:-1])
    assert found[-1] != []


@pytest.mark.settings(limits={"page": 5})
async def test_page_is_bounded(registry: Registry) -> None:
    """More than the bound is not given at once, and the Link says where the rest is."""
    await tagged(registry, SORTED)

    found = [answer.document["tags"] async for answer in pages(registry, "/v2/a/tags/list?n=1000")]

    assert [len(page) for page in found] == [5, 5, 3]
    assert [tag for page in found for tag in page] == SORTED


@pytest.mark.settings(limits={"page": 1})
async def test_whole_list_is_bounded_too(registry: Registry) -> None:
    """Without n the whole list is given, up to a hundred pages of it; then a Link leads on."""
    await tagged(registry, [f"t{number:03}" for number in range(150)])

    answer = await registry.get("/v2/a/tags/list")

    assert len(answer.document["tags"]) == 100
    assert next_of(answer) is not None


async def test_link_keeps_other_parameters(registry: Registry) -> None:
    """ns, for a mirror, goes along."""
    await tagged(registry, SORTED)

    following = next_of(await registry.get("/v2/a/tags/list?ns=docker.io%2Fx&n=2"))

    assert following == "/v2/a/tags/list?ns=docker.io%2Fx&n=2&last=2"


async def test_pages_are_stable_while_tags_come_and_go(registry: Registry) -> None:
    """What was there all along is seen exactly once."""
    await tagged(registry, SORTED)
    first = await registry.get("/v2/a/tags/list?n=4")

    await tagged(registry, ["00", "zz"])
    await registry.delete("/v2/a/manifests/B.c")
    following = next_of(first)
    assert following is not None
    rest = [tag async for answer in pages(registry, following) for tag in answer.document["tags"]]

    assert first.document["tags"] + rest == [*SORTED, "zz"]


async def test_deleted_tag_is_not_listed(registry: Registry) -> None:
    """At once."""
    await tagged(registry, ["one", "two"])

    await registry.delete("/v2/a/manifests/one")

    assert await listed(registry, "") == ["two"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(0, 15), last=st.sampled_from(["", *SORTED, "M", "a/", "zzz"]))
async def test_page_is_a_slice_of_the_sorted_list(registry: Registry, n: int, last: str) -> None:
    """For every n and last."""
    await tagged(registry, SORTED)

    found = await listed(registry, f"?n={n}&last={last}")

    assert found == [tag for tag in SORTED if tag > last][:n]
