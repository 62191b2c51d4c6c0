"""What was revoked or narrowed counts at the next request, whoever did it and on whichever process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.client import Registry, Start, basic
from tests.http.documents import IMAGE, image
from tests.http.people import PULL, People, administered, allow, document, of_resource


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def get(registry: Registry, path: str, authorization: str | None) -> int:
    return (await registry.get(f"/v2/{path}", authorization=authorization)).status


async def push(registry: Registry, tag: str, authorization: str) -> int:
    headers = [("Content-Type", IMAGE)]
    path = f"/v2/app/manifests/{tag}"
    return (await registry.put(path, image(()), headers=headers, authorization=authorization)).status


async def test_narrowed_policy_bites_at_the_next_request(registry: Registry, people: People) -> None:
    """A token from before it is a ceiling and no more."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow("ecr:*"))
    token = await registry.token("repository:app:pull,push", authorization=alice)
    assert await push(registry, "one", token) == 201

    await people.give("alice", allow(*PULL))

    assert await push(registry, "two", token) == 403
    assert await get(registry, "app/manifests/latest", token) == 200


async def test_disabled_user_is_out_at_the_next_request(registry: Registry, people: People) -> None:
    """By token, by password and by key; enabled again, it has to log in anew."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow(*PULL))
    key = await people.keys.create("alice")
    with_key = basic(key.id, key.secret)
    token = await registry.token("repository:app:pull", authorization=alice)
    for credentials in (alice, with_key, token):
        assert await get(registry, "app/manifests/latest", credentials) == 200

    await people.accounts.update_user("alice", disabled=True)

    for credentials in (alice, with_key, token):
        assert await get(registry, "app/manifests/latest", credentials) == 401
    await people.accounts.update_user("alice", disabled=False)
    assert await get(registry, "app/manifests/latest", token) == 401
    again = await registry.token("repository:app:pull", authorization=alice)
    for credentials in (alice, with_key, again):
        assert await get(registry, "app/manifests/latest", credentials) == 200


async def test_disabled_key_is_out_at_the_next_request(registry: Registry, people: People) -> None:
    """With the tokens that were fetched with it; the user's password goes on."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow(*PULL))
    key = await people.keys.create("alice")
    with_key = basic(key.id, key.secret)
    token = await registry.token("repository:app:pull", authorization=with_key)
    other = await registry.token("repository:app:pull", authorization=alice)
    assert await get(registry, "app/manifests/latest", token) == 200

    await people.keys.disable(key.id)

    refused = await registry.get("/v2/app/manifests/latest", authorization=token)
    assert refused.refusal == (401, "UNAUTHORIZED")
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert await get(registry, "app/manifests/latest", with_key) == 401
    assert await get(registry, "app/manifests/latest", other) == 200


async def test_two_workers_agree_at_the_next_request(start: Start) -> None:
    """A change made through one worker is seen by the other, which has the policies in memory."""
    async with start() as one, start() as other, administered(one.root) as people:
        await one.push_image("app", "latest")
        alice = await people.add("alice", allow(*PULL))
        for worker in (one, other):
            assert await get(worker, "app/manifests/latest", alice) == 200

        await people.give("alice", allow("ecr:ListImages"))

        for worker in (one, other):
            assert await get(worker, "app/manifests/latest", alice) == 403


async def test_commands_work_while_the_server_runs(registry: Registry, tmp_path: Path) -> None:
    """From another process, on the same data directory; valid at the next request."""
    await registry.push_image("app", "latest")
    file = tmp_path / "policy.json"
    file.write_text(document(of_resource("Allow", "*", *PULL)))
    assert await get(registry, "app/manifests/latest", None) == 401

    made = await lading(registry, "user", "create", "alice")
    key = json.loads(await lading(registry, "key", "create", "--user", "alice", "--json"))
    await lading(registry, "repo", "policy", "set", "app", "--file", str(file))

    with_key = basic(key["access_key_id"], key["secret_access_key"])
    assert "alice" in made
    assert await get(registry, "", with_key) == 200
    assert await get(registry, "app/manifests/latest", None) == 200
    assert json.loads(await lading(registry, "repo", "policy", "show", "app")) == json.loads(file.read_text())
    await lading(registry, "repo", "policy", "delete", "app")
    assert await get(registry, "app/manifests/latest", None) == 401


async def lading(registry: Registry, *words: str) -> str:
    """Run a command that must succeed; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "registry", *words, "--root", str(registry.root)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
