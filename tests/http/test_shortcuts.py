"""Reads that are answered where they arrive: the same answers, the same rules, the same records as any others."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from auth.last_use import LastUse
from registry.http.connection import Connection
from tests.http.client import ADMIN, Registry
from tests.http.documents import image, sha256
from tests.http.kept_connection import LAYER, TAGGED, Kept, kept, settle
from tests.http.people import PULL, People, administered, allow, deny, of_resource
from tests.http.test_metrics import numbers, requests
from tests.http.trail import noted, recorded


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


def paths() -> list[tuple[str, str]]:
    by_digest = f"/v2/team/app/manifests/{sha256(image((LAYER,)))}"
    blob = f"/v2/team/app/blobs/{sha256(LAYER)}"
    return [(method, path) for method in ("GET", "HEAD") for path in (TAGGED, by_digest, blob)]


@pytest.mark.parametrize(("method", "path"), paths())
async def test_answer_is_the_same_as_the_ordinary_one(connection: Kept, method: str, path: str) -> None:
    """Status, every header, every byte."""
    ordinary, took = await connection.took(method, path)
    assert not took

    shortened, took = await connection.took(method, path)

    assert took
    assert shortened == ordinary
    assert ordinary.status == 200


@pytest.mark.settings(encryption={"mode": "local"})
async def test_sealed_manifests_are_answered_so_too(connection: Kept) -> None:
    """Sealed blobs are not, before their keys are in memory."""
    await settle(connection)

    _, took = await connection.took("GET", f"/v2/team/app/blobs/{sha256(LAYER)}")

    assert not took


@pytest.mark.settings(auth={"anonymous": "pull"})
async def test_anonymous_reads_are_answered_so_too(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody needs a token."""
    await registry.push_image("team/app", "latest", LAYER)
    async with kept(registry, None, monkeypatch) as connection:
        await settle(connection)


async def test_passwords_are_checked_in_the_ordinary_way(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread does it."""
    await registry.push_image("team/app", "latest", LAYER)
    async with kept(registry, ADMIN, monkeypatch) as connection:
        for _ in range(3):
            assert (await connection.ask("GET", TAGGED)).status == 200
        assert not connection.shortcuts


@pytest.mark.parametrize("path", ["/v2/_catalog?n=1", "/v2/_catalog", "/v2/_catalog?n=1&last=team/app"])
async def test_catalog_is_the_same_as_the_ordinary_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """With the link to its next page."""
    for name in ("team/app", "team/other", "zoo"):
        await registry.push_image(name, "latest", LAYER)
    token = await registry.token("registry:catalog:*")
    async with kept(registry, token, monkeypatch) as connection:
        ordinary, _ = await connection.took("GET", path)
        shortened, took = await connection.took("GET", path)

    assert took
    assert shortened == ordinary
    assert ordinary.status == 200


async def test_another_path_takes_the_shortcut_as_well(registry: Registry, connection: Kept) -> None:
    """It is the headers that have to be the same."""
    await registry.push_image("team/other", "v1", LAYER)
    await settle(connection)

    reply, took = await connection.took("HEAD", f"/v2/team/app/blobs/{sha256(LAYER)}")

    assert (reply.status, took) == (200, True)


async def test_what_the_token_does_not_cover_is_refused(registry: Registry, connection: Kept) -> None:
    """Whatever the connection was let through to before."""
    await registry.push_image("team/other", "v1", LAYER)
    await settle(connection)

    assert (await connection.ask("GET", "/v2/team/other/manifests/v1")).status == 401
    assert (await connection.took("GET", TAGGED))[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/team/app/manifests/absent", 404),
        (f"/v2/team/app/manifests/{sha256(b'absent')}", 404),
        (f"/v2/team/app/blobs/{sha256(b'absent')}", 404),
        ("/v2/team/app/blobs/nothing", 400),
        ("/v2/Team/app/manifests/latest", 401),
        ("/v2/team//app/manifests/latest", 401),
        ("/v2/team/../app/manifests/latest", 401),
        ("/v2/team/app/manifests/-", 400),
        ("/v2/team/app/tags/latest", 404),
    ],
)
async def test_what_is_no_success_is_told_in_the_ordinary_way(connection: Kept, path: str, status: int) -> None:
    """With its error document."""
    await settle(connection)

    reply, took = await connection.took("GET", path)

    assert (reply.status, took) == (status, False)


async def test_moved_tag_is_seen_at_the_next_request(registry: Registry, connection: Kept) -> None:
    """Nothing of what is stored is remembered."""
    await settle(connection)
    newer = await registry.push_image("team/app", "latest", LAYER, annotations={"newer": "yes"})

    reply, took = await connection.took("GET", TAGGED)

    assert (reply.body, took) == (newer, True)


async def test_deleted_manifest_is_gone_at_the_next_request(registry: Registry, connection: Kept) -> None:
    """By its tag and by its digest."""
    await settle(connection)
    await registry.delete(f"/v2/team/app/manifests/{sha256(image((LAYER,)))}")

    assert (await connection.ask("GET", TAGGED)).status == 404


async def test_lost_blob_is_found_out(registry: Registry, connection: Kept) -> None:
    """By whoever asks for it, in the ordinary way."""
    path = f"/v2/team/app/blobs/{sha256(LAYER)}"
    await connection.ask("HEAD", path)
    assert (await connection.took("HEAD", path))[1]
    for file in (registry.root / "blobs" / "sha256").rglob("*"):
        if file.is_file():
            file.unlink()

    assert (await connection.took("GET", path))[0].status == 404
    assert (await connection.took("HEAD", path))[0].status == 404


async def test_damaged_manifest_is_told_of_before_its_answer(
    registry: Registry, people: People, connection: Kept
) -> None:
    """Once, whoever found it."""
    await settle(connection)
    await people.database.write(lambda c: c.exec_driver_sql("UPDATE manifest SET payload = zeroblob(300)"))

    for _ in range(2):
        assert (await connection.ask("GET", TAGGED)).status == 404
        assert len(await recorded(registry.root, "damage")) == 1


@pytest.mark.settings(encryption={"mode": "off"})
async def test_blob_that_may_be_collected_gets_its_grace(registry: Registry, connection: Kept) -> None:
    """Whoever is told that it is there may build on it, so its grace begins anew: in the ordinary way."""
    digest = await registry.push_blob("team/app", b"nobody names it")
    path = f"/v2/team/app/blobs/{digest}"

    assert [(await connection.took("HEAD", path))[1] for _ in range(3)] == [False, False, False]
    assert [(await connection.took("GET", path))[1] for _ in range(2)] == [True, True]


class TestAccess:
    """Who may do what is asked at every request."""

    @pytest.fixture
    async def alices(self, registry: Registry, people: People, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
        """A connection of a user who may pull, settled."""
        await registry.push_image("team/app", "latest", LAYER)
        alice = await people.add("alice", allow(*PULL))
        token = await registry.token("repository:team/app:pull", authorization=alice)
        async with asyncio.timeout(30), kept(registry, token, monkeypatch) as opened:
            await settle(opened)
            yield opened

    async def test_narrowed_policy_bites_at_the_next_request(self, people: People, alices: Kept) -> None:
        """And what is allowed again is answered again."""
        await people.give("alice", allow("ecr:PutImage"))
        assert (await alices.ask("GET", TAGGED)).status == 403

        await people.give("alice", allow(*PULL))
        assert (await alices.ask("GET", TAGGED)).status == 200
        assert (await alices.took("GET", TAGGED))[1]

    async def test_disabled_user_is_out_at_the_next_request(self, people: People, alices: Kept) -> None:
        """Though the token lasts."""
        await people.accounts.update_user("alice", disabled=True)

        assert (await alices.ask("GET", TAGGED)).status == 401

    async def test_policy_of_the_repository_bites_at_the_next_request(self, registry: Registry, alices: Kept) -> None:
        """A Deny there is heard by who was allowed before."""
        policy = {"Version": "2012-10-17", "Statement": [of_resource("Deny", "*", "ecr:BatchGetImage")]}
        body = json.dumps({"document": policy}).encode()
        path = "/admin/v1/repositories/team%2Fapp/policy"
        answer = await registry.put(path, body, headers=[("Content-Type", "application/json")])
        assert answer.status < 300, answer.body

        assert (await alices.ask("GET", TAGGED)).status == 403

    async def test_conditions_see_every_request(self, people: People, alices: Kept) -> None:
        """A tag that a policy names is allowed, another is not, and neither speaks for the other."""
        only_latest = {"Condition": {"StringEquals": {"ecr:ImageTag": "latest"}}}
        await people.give("alice", allow("ecr:BatchGetImage", **only_latest))
        assert [(await alices.ask("GET", TAGGED)).status for _ in range(3)] == [200, 200, 200]

        by_digest = TAGGED.replace("latest", sha256(image((LAYER,))))
        assert [(await alices.ask("GET", by_digest)).status for _ in range(2)] == [403, 403]
        assert (await alices.ask("GET", TAGGED)).status == 200

    async def test_time_in_a_policy_is_the_time_of_the_request(self, people: People, alices: Kept) -> None:
        """What was allowed until then is not after."""
        past = {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}
        await people.give("alice", allow(*PULL), deny(*PULL, **past))

        assert (await alices.ask("GET", TAGGED)).status == 403

    async def test_expired_token_is_refused(self, alices: Kept, registry: Registry) -> None:
        """At the very moment that it would be refused on another connection."""
        assert (await alices.took("GET", TAGGED))[1]
        (opened,) = [each for each in registry.server.connections if isinstance(each, Connection) and each.shortcut]
        shortcut: Any = opened.shortcut
        shortcut._caller = replace(shortcut._caller, until=0.0)

        _, took = await alices.took("GET", TAGGED)

        assert took
        assert shortcut._caller.until > 0  # who asks was looked up again


class TestRecords:
    """Every answer leaves the same traces."""

    async def test_pulls_are_in_the_audit_trail(self, registry: Registry, connection: Kept) -> None:
        """Event by event as those of the ordinary way, by tag, by digest and of a blob."""
        await connection.ask("HEAD", TAGGED)
        for method, path in paths():
            async with connection.another() as fresh:
                await fresh.ask(method, path)
            _, took = await connection.took(method, path)
            assert took

        events = await noted(registry, 6, "pull")

        assert len({event.pop("request_id") for event in events}) == 6
        for event in events:
            del event["id"], event["time"]
        assert events[0::2] == events[1::2]

    async def test_use_of_credentials_is_noted(
        self, registry: Registry, connection: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As at any other request, whether the answer is short or long."""
        blob = f"/v2/team/app/blobs/{await registry.push_blob('team/app', bytes(100_000))}"
        await connection.ask("GET", blob)
        noted: list[tuple[str, str]] = []
        monkeypatch.setattr(LastUse, "note", lambda _, caller, client: noted.append((caller.principal.name, client)))

        for path in (TAGGED, blob):
            await connection.rested()
            _, took = await connection.took("GET", path)
            assert took

        assert noted == [("admin", "127.0.0.1")] * 2

    async def test_answers_are_counted(self, registry: Registry, connection: Kept) -> None:
        """By method, action and status, with their bytes."""
        await settle(connection)
        await connection.ask("HEAD", TAGGED)

        found = await numbers(registry)

        assert found[requests("GET", "ecr:BatchGetImage", 200)] == 2
        assert found[requests("HEAD", "ecr:BatchGetImage", 200)] == 1
        pulls = frozenset({("action", "ecr:BatchGetImage")})
        assert found["lading_http_response_bytes_total", pulls] == 2 * len(image((LAYER,)))

    @pytest.mark.settings(log={"access": True, "level": "info", "format": "json"})
    async def test_answers_are_logged(self, connection: Kept, capfd: pytest.CaptureFixture[str]) -> None:
        """A line each, of the same members."""
        await connection.ask("GET", TAGGED)
        await connection.took("GET", TAGGED)

        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if f'"{TAGGED}"' in line]
        ordinary, shortened = (
            {name: value for name, value in line.items() if name not in {"time", "request_id", "milliseconds"}}
            for line in lines
        )
        assert shortened == ordinary
