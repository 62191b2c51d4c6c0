"""Lists of the admin API: in pages that hold while entries come and go."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.http.admin import READERS, TRUST, call, done
from tests.http.client import Registry

DOCUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "/roles": {"trust_policy": TRUST},
    "/policies": {"document": READERS},
}
LISTS: Final = pytest.mark.parametrize("path", ["/users", "/groups", "/roles", "/policies", "/repositories"])


async def make(registry: Registry, path: str, name: str) -> None:
    await done(registry, "POST", path, {"name": name, **DOCUMENTS.get(path, {})})


async def names(registry: Registry, path: str, query: str = "") -> tuple[list[str], str | None]:
    page = await done(registry, "GET", f"{path}?{query}")
    return [name_of(item) for item in page["items"]], page["next"]


def name_of(item: Any) -> str:
    return str(item["name"] if isinstance(item, dict) else item)


@LISTS
async def test_list_comes_in_pages_in_the_order_of_bytes(registry: Registry, path: str) -> None:
    there, _ = await names(registry, path)
    for name in ("zz1", "zz3", "zz2"):
        await make(registry, path, name)

    first, after = await names(registry, path, f"limit={len(there) + 2}")
    second, end = await names(registry, path, f"limit={len(there) + 2}&after={after}")

    assert first == [*there, "zz1", "zz2"]
    assert after == "zz2"
    assert second == ["zz3"]
    assert end is None


@LISTS
async def test_page_that_ends_with_the_list_is_the_last(registry: Registry, path: str) -> None:
    await make(registry, path, "zz1")

    found, after = await names(registry, path, f"limit={len((await names(registry, path))[0])}")

    assert found[-1] == "zz1"
    assert after is None


@LISTS
async def test_what_comes_between_two_pages_shifts_nothing(registry: Registry, path: str) -> None:
    """Nothing is shown twice or left out; what sorts after the page is in the next one."""
    for name in ("zz2", "zz4", "zz6"):
        await make(registry, path, name)
    _, after = await names(registry, path, "limit=1&after=zz0")
    assert after == "zz2"

    await make(registry, path, "zz1")
    await make(registry, path, "zz3")
    await done(registry, "DELETE", f"{path}/zz2")

    assert (await names(registry, path, f"after={after}"))[0] == ["zz3", "zz4", "zz6"]


@LISTS
async def test_page_after_the_last_is_empty(registry: Registry, path: str) -> None:
    assert await names(registry, path, "after=zzz") == ([], None)


async def test_upper_case_sorts_before_lower_case(registry: Registry) -> None:
    """By bytes, whatever the database's collation."""
    for name in ("b", "A", "a", "B", "_"):
        await make(registry, "/groups", name)

    assert (await names(registry, "/groups"))[0] == ["A", "B", "_", "a", "b"]


async def test_list_without_a_limit_is_a_page_of_a_hundred(registry: Registry) -> None:
    for number in range(101):
        await make(registry, "/groups", f"g{number:03}")

    found, after = await names(registry, "/groups")

    assert len(found) == 100
    assert after == "g099"


async def test_next_page_can_begin_after_any_name(registry: Registry) -> None:
    """Names have characters that mean something in a query: they are escaped, and come back as they are."""
    for name in ("a+b", "a=b", "a@b"):
        await make(registry, "/groups", name)

    assert (await names(registry, "/groups", "limit=1"))[1] == "a+b"
    assert (await names(registry, "/groups", "after=a%2Bb"))[0] == ["a=b", "a@b"]
    assert (await call(registry, "GET", "/groups?after=%F0%9F%90%B3")).document == {"items": [], "next": None}


async def test_tags_of_images_come_in_pages(registry: Registry) -> None:
    for tag in ("v2", "v1", "latest"):
        await registry.push_image("team/app", tag)
    path = "/repositories/team%2Fapp/image-tags"

    first = await done(registry, "GET", f"{path}?limit=2")
    second = await done(registry, "GET", f"{path}?limit=2&after={first['next']}")

    assert [item["tag"] for item in first["items"]] == ["latest", "v1"]
    assert [item["tag"] for item in second["items"]] == ["v2"]
    assert second["next"] is None
    assert len({item["digest"] for item in first["items"]}) == 1
