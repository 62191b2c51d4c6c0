"""When and from where an access key was last used, as its owner can see."""

import time

import pytest

from auth.last_use import LastUse
from storage.metadata.last_use import LastUsed
from storage.metadata.sqlite import SqliteDatabase
from tests.http.client import Registry, Start, basic
from tests.http.people import administered


async def last_use_of(registry: Registry, credential: str) -> LastUsed | None:
    activity = SqliteDatabase(registry.root / "activity.db", durable=False)
    uses = await LastUse(activity, time.time).of([credential])
    await activity.close()
    return uses.get(credential)


@pytest.mark.parametrize("path", ["/v2/", "/auth/token"])
async def test_use_of_a_key_is_written_before_the_server_ends(start: Start, path: str) -> None:
    """At every door, with the address of the client; who waits five seconds sees it sooner."""
    began = time.time()
    async with start(server={"trusted_proxies": ["127.0.0.1"]}) as registry:
        async with administered(registry.root) as people:
            used, unused = await people.keys.create("bob"), await people.keys.create("bob")
        header = (("X-Forwarded-For", "192.0.2.7"),)
        answer = await registry.get(path, headers=header, authorization=basic(used.id, used.secret))
        assert answer.status == 200
        await registry.get(path, headers=header, authorization=basic(unused.id, "wrong"))

    found = await last_use_of(registry, used.id)
    assert found is not None
    assert found.source == "192.0.2.7"
    assert began <= found.used_at <= time.time()
    assert await last_use_of(registry, unused.id) is None


async def test_owner_is_shown_when_and_from_where_a_key_was_used(start: Start) -> None:
    async with start() as registry:
        async with administered(registry.root) as people:
            used, unused = await people.keys.create("bob"), await people.keys.create("bob")
        await registry.get("/v2/", authorization=basic(used.id, used.secret))

    async with start() as registry:
        shown = (await registry.get("/admin/v1/users/bob/access-keys")).document["items"]

    by_id = {key["access_key_id"]: key for key in shown}
    assert by_id[used.id]["last_used_from"] == "127.0.0.1"
    assert by_id[used.id]["last_used_at"].startswith("20")
    assert (by_id[unused.id]["last_used_at"], by_id[unused.id]["last_used_from"]) == (None, None)


async def test_key_opens_while_its_use_cannot_be_written(start: Start) -> None:
    """A read never fails because of what is only noted."""
    async with start() as registry:
        async with administered(registry.root) as people:
            key = await people.keys.create("bob")
        (registry.root / "activity.db").rename(registry.root / "elsewhere.db")

        assert (await registry.get("/v2/", authorization=basic(key.id, key.secret))).status == 200
