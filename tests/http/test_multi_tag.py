"""Pushing one manifest under many tags (end-7b)."""

import pytest

from tests.http.client import Answer, Registry
from tests.http.documents import CONFIG_BYTES, image, sha256

PAYLOAD = image(())


async def push(registry: Registry, tags: list[str], reference: str = sha256(PAYLOAD)) -> Answer:
    await registry.push_blob("a", CONFIG_BYTES)
    return await registry.put_manifest("a", f"{reference}?{'&'.join(f'tag={tag}' for tag in tags)}", PAYLOAD)


async def tags_of(registry: Registry) -> list[str]:
    tags: list[str] = (await registry.get("/v2/a/tags/list")).document["tags"]
    return tags


async def test_every_tag_is_set(registry: Registry) -> None:
    """And listed in OCI-Tag."""
    tags = [f"v{number}" for number in range(10)]

    answer = await push(registry, tags)

    assert answer.status == 201
    assert answer.headers["OCI-Tag"] == "v0, v1, v2, v3, v4, v5, v6, v7, v8, v9"
    assert answer.headers["Docker-Content-Digest"] == sha256(PAYLOAD)
    assert await tags_of(registry) == tags
    assert (await registry.get("/v2/a/manifests/v7")).body == PAYLOAD


async def test_tag_of_the_path_counts_among_them(registry: Registry) -> None:
    """A tag in the path and more in the query."""
    answer = await push(registry, ["two", "one"], "one")

    assert answer.headers["OCI-Tag"] == "one, two"
    assert await tags_of(registry) == ["one", "two"]


async def test_tag_that_is_named_twice_is_set_once(registry: Registry) -> None:
    """Repetition means nothing."""
    answer = await push(registry, ["one", "one"])

    assert answer.headers["OCI-Tag"] == "one"


async def test_hundred_tags_are_accepted(registry: Registry) -> None:
    """The bound is inclusive."""
    answer = await push(registry, [f"v{number}" for number in range(100)])

    assert answer.status == 201
    assert len(await tags_of(registry)) == 100


async def test_more_tags_are_too_many(registry: Registry) -> None:
    """414, and none of them is set."""
    answer = await push(registry, [f"v{number}" for number in range(101)])

    assert answer.refusal == (414, "MANIFEST_INVALID")
    assert "100" in answer.message
    assert await tags_of(registry) == []


@pytest.mark.settings(limits={"tags_per_push": 1})
async def test_bound_is_a_setting(registry: Registry) -> None:
    """One, here."""
    assert (await push(registry, ["one"])).status == 201
    assert (await push(registry, ["one", "two"])).refusal == (414, "MANIFEST_INVALID")


@pytest.mark.parametrize("bad", ["-x", "", "a%20b", "sha256:x", "a%0d%0aSet-Cookie:%20x"])
async def test_one_bad_tag_refuses_them_all(registry: Registry, bad: str) -> None:
    """Nothing is stored."""
    answer = await push(registry, ["good", bad])

    assert answer.refusal == (400, "MANIFEST_INVALID")
    assert "Set-Cookie" not in answer.headers
    assert await tags_of(registry) == []
    assert (await registry.get(f"/v2/a/manifests/{sha256(PAYLOAD)}")).status == 404


async def test_tags_do_not_move_to_what_is_refused(registry: Registry) -> None:
    """All tags move in one step, or none."""
    await push(registry, ["one", "two"])
    wrong = image((b"missing",))

    answer = await registry.put_manifest("a", f"{sha256(wrong)}?tag=one&tag=two&tag=three", wrong)

    assert answer.status == 400
    assert await tags_of(registry) == ["one", "two"]
    assert (await registry.get("/v2/a/manifests/two")).body == PAYLOAD
