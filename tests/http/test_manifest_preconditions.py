"""Pushes and deletions that happen only if what is there is what the client has seen (RFC 9110 section 13.1)."""

import asyncio

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, CONFIG_BYTES, INDEX, image, index, sha256

FIRST, SECOND, THIRD = (image((), note=note) for note in ("first", "second", "third"))
PATH = "/v2/a/manifests/1"


@pytest.fixture
async def tagged(registry: Registry) -> Registry:
    """A repository of which the tag `1` names the first manifest."""
    await registry.push_blob("a", CONFIG_BYTES)
    await registry.push_manifest("a", "1", FIRST)
    return registry


async def named(registry: Registry) -> str | None:
    """What the tag names, None for nothing."""
    answer = await registry.head(PATH)
    return answer.headers["Docker-Content-Digest"] if answer.status == 200 else None


def etag(payload: bytes) -> str:
    """The entity tag of a manifest."""
    return f'"{sha256(payload)}"'


@pytest.mark.parametrize("condition", [etag(FIRST), "*", f'"other", {etag(FIRST)}'])
async def test_tag_moves_from_where_the_client_saw_it(tagged: Registry, condition: str) -> None:
    answer = await tagged.put_manifest("a", "1", SECOND, headers=[("If-Match", condition)])

    assert answer.status == 201
    assert await named(tagged) == sha256(SECOND)


@pytest.mark.parametrize("condition", [etag(SECOND), f"W/{etag(FIRST)}", sha256(FIRST), ""])
async def test_tag_that_is_elsewhere_stays_where_it_is(tagged: Registry, condition: str) -> None:
    """Weak tags match nothing here, and neither does what has no quotes, or nothing in it."""
    answer = await tagged.put_manifest("a", "1", SECOND, headers=[("If-Match", condition)])

    assert (answer.status, answer.codes) == (412, ["DENIED"])
    assert sha256(FIRST) in answer.body.decode()
    assert await named(tagged) == sha256(FIRST)
    assert (await tagged.head(f"/v2/a/manifests/{sha256(SECOND)}")).status == 404


async def test_tag_is_made_only_if_there_is_none(tagged: Registry) -> None:
    only_new = [("If-None-Match", "*")]

    assert (await tagged.put_manifest("a", "1", SECOND, headers=only_new)).status == 412
    assert (await tagged.put_manifest("a", "2", SECOND, headers=only_new)).status == 201
    assert await named(tagged) == sha256(FIRST)


async def test_of_many_who_make_a_tag_at_once_one_does(tagged: Registry) -> None:
    payloads = [image((), note=str(number)) for number in range(8)]
    answers = await asyncio.gather(
        *(tagged.put_manifest("a", "new", payload, headers=[("If-None-Match", "*")]) for payload in payloads)
    )

    assert sorted(answer.status for answer in answers) == [201] + [412] * 7


async def test_of_many_who_move_a_tag_from_one_place_one_does(tagged: Registry) -> None:
    payloads = [image((), note=str(number)) for number in range(8)]
    answers = await asyncio.gather(
        *(tagged.put_manifest("a", "1", payload, headers=[("If-Match", etag(FIRST))]) for payload in payloads)
    )

    moved = [payload for payload, answer in zip(payloads, answers, strict=True) if answer.status == 201]
    assert [sha256(payload) for payload in moved] == [await named(tagged)]


async def test_tag_that_is_not_there_matches_nothing(tagged: Registry) -> None:
    answer = await tagged.put_manifest("a", "2", SECOND, headers=[("If-Match", "*")])

    assert answer.status == 412
    assert (await tagged.head("/v2/a/manifests/2")).status == 404


async def test_repository_is_not_made_for_a_push_that_does_not_happen(registry: Registry) -> None:
    answer = await registry.put_manifest("b", "1", index(), media_type=INDEX, headers=[("If-Match", "*")])

    assert answer.status == 412
    assert (await registry.get("/v2/b/tags/list")).status == 404


async def test_manifest_is_pushed_by_digest_only_if_it_is_not_there(tagged: Registry) -> None:
    only_new = [("If-None-Match", "*")]

    assert (await tagged.put_manifest("a", sha256(FIRST), FIRST, headers=only_new)).status == 412
    assert (await tagged.put_manifest("a", sha256(SECOND), SECOND, headers=only_new)).status == 201


async def test_manifest_that_is_invalid_is_refused_as_such(tagged: Registry) -> None:
    """What would fail in any case is told as it is (RFC 9110 section 13.2.1)."""
    answer = await tagged.put_manifest("a", "1", b"{}", headers=[("If-Match", etag(SECOND))])

    assert answer.codes == ["MANIFEST_INVALID"]


@pytest.mark.parametrize("reference", ["1", sha256(FIRST)])
async def test_deletion_happens_only_to_what_the_client_saw(tagged: Registry, reference: str) -> None:
    path = f"/v2/a/manifests/{reference}"

    refused = await tagged.ask("DELETE", path, headers=[("If-Match", etag(SECOND))])
    there = await named(tagged)
    done = await tagged.ask("DELETE", path, headers=[("If-Match", etag(FIRST))])

    assert (refused.status, there, done.status) == (412, sha256(FIRST), 202)
    assert await named(tagged) is None


async def test_deletion_of_what_is_not_there_is_told_as_such(tagged: Registry) -> None:
    answer = await tagged.ask("DELETE", "/v2/a/manifests/2", headers=[("If-Match", "*")])

    assert answer.codes == ["MANIFEST_UNKNOWN"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_not_what_the_client_wants_is_not_sent(tagged: Registry, method: str) -> None:
    digest = await tagged.push_blob("a", b"x")
    wanted = [(PATH, etag(FIRST)), (f"/v2/a/blobs/{digest}", f'"{digest}"')]

    for path, own in wanted:
        assert (await tagged.ask(method, path, headers=[("If-Match", own)])).status == 200
        assert (await tagged.ask(method, path, headers=[("If-Match", f'"{ABSENT}"')])).status == 412
