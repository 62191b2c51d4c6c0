"""What becomes an event of the audit trail, and what is told of it."""

import json
import re
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from registry.http.auditing import _OUTCOMES
from registry.http.routes import Route
from registry.oci.routes import ROUTES
from tests.http.client import USER, USER_PASSWORD, Registry, Start, basic
from tests.http.documents import CONFIG_BYTES, sha256
from tests.http.people import PULL, PUSH, administered, allow, deny, document, of_resource
from tests.http.trail import Event, history, lines, noted, recorded

AGENT = [("User-Agent", "docker/28.0.1 go/go1.23")]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


def brief(event: Event) -> tuple[str, str, str, str, str]:
    """What an event is about, in a line; ARNs by their last part."""
    names = [event[name].rpartition(":")[2] for name in ("principal", "resource")]
    return event["event"], names[0], event["action"], names[1], event["decision"]


async def test_a_push_tells_who_and_what(registry: Registry) -> None:
    """Each blob and the manifest, recorded when the answer comes."""
    payload = await registry.push_image("team/app", "1.0", b"layer")

    events = await recorded(registry.root)

    assert [brief(event) for event in events] == [
        ("push", "root", "ecr:InitiateLayerUpload", "repository/team/app", "allowed"),
        ("push", "root", "ecr:InitiateLayerUpload", "repository/team/app", "allowed"),
        ("push", "root", "ecr:PutImage", "repository/team/app", "allowed"),
    ]
    assert [event["details"]["digest"] for event in events] == [
        sha256(CONFIG_BYTES),
        sha256(b"layer"),
        sha256(payload),
    ]
    assert events[2]["details"]["tags"] == ["1.0"]
    assert events[2]["details"]["credential"] == "password"
    assert events[2]["details"]["status"] == 201
    assert events[2]["source"] == "127.0.0.1"
    assert re.fullmatch(r"[0-9a-f]{16}", events[2]["request_id"])
    assert events[2]["id"] == 3
    assert events[2]["statement"] is None


async def test_an_upload_is_one_event_when_it_is_finished(registry: Registry) -> None:
    """What is under way, or cancelled, has changed nothing."""
    location = await registry.start_upload("a")
    location = (await registry.patch(location, b"content")).location
    digest = sha256(b"content")
    separator = "&" if "?" in location else "?"
    await registry.put(f"{location}{separator}digest={digest}")
    await registry.delete(await registry.start_upload("a"))

    (event,) = await recorded(registry.root)

    assert brief(event) == ("push", "root", "ecr:CompleteLayerUpload", "repository/a", "allowed")
    assert event["details"]["digest"] == digest


async def test_a_mount_tells_where_the_blob_came_from(registry: Registry) -> None:
    digest = await registry.push_blob("a", b"content")

    answer = await registry.post(f"/v2/b/blobs/uploads/?mount={digest}&from=a")

    assert answer.status == 201
    event = (await recorded(registry.root))[-1]
    assert brief(event) == ("push", "root", "ecr:InitiateLayerUpload", "repository/b", "allowed")
    assert (event["details"]["digest"], event["details"]["from"]) == (digest, "a")


async def test_every_tag_of_a_push_is_told(registry: Registry) -> None:
    payload = await registry.push_image("a", "1.0")

    await registry.put_manifest("a", f"{sha256(payload)}?tag=2.0&tag=3.0", payload)

    event = (await recorded(registry.root))[-1]
    assert event["details"]["tags"] == ["2.0", "3.0"]


async def test_a_pull_tells_what_went_out(registry: Registry) -> None:
    """Manifest and blobs, whole and in part, but nothing that only looks."""
    payload = await registry.push_image("a", "1.0", b"layer")
    layer = sha256(b"layer")
    for path in ("manifests/1.0", f"manifests/{sha256(payload)}", f"blobs/{layer}"):
        await registry.head(f"/v2/a/{path}")
        await registry.get(f"/v2/a/{path}", headers=AGENT)
    await registry.get(f"/v2/a/blobs/{layer}", headers=[("Range", "bytes=1-2")])
    await registry.get("/v2/a/manifests/1.0", headers=[("If-None-Match", f'"{sha256(payload)}"')])
    await registry.get("/v2/a/tags/list")
    await registry.get(f"/v2/a/referrers/{layer}")
    await registry.get("/v2/_catalog")
    await registry.get("/v2/a/manifests/missing")

    pulls = await noted(registry, 4, "pull")

    details = [event["details"] for event in pulls]
    assert [brief(event)[:4] for event in pulls] == [
        ("pull", "root", "ecr:BatchGetImage", "repository/a"),
        ("pull", "root", "ecr:BatchGetImage", "repository/a"),
        ("pull", "root", "ecr:GetDownloadUrlForLayer", "repository/a"),
        ("pull", "root", "ecr:GetDownloadUrlForLayer", "repository/a"),
    ]
    assert [each["digest"] for each in details] == [sha256(payload), sha256(payload), layer, layer]
    assert [each.get("tags") for each in details] == [["1.0"], None, None, None]
    assert [(each["status"], each["bytes"]) for each in details[2:]] == [(200, 5), (206, 2)]
    assert details[0]["user_agent"] == AGENT[0][1]


async def test_a_deletion_tells_what_went(registry: Registry) -> None:
    payload = await registry.push_image("a", "1.0", b"layer")
    for path in ("manifests/1.0", f"manifests/{sha256(payload)}", f"blobs/{sha256(b'layer')}"):
        assert (await registry.delete(f"/v2/a/{path}")).status == 202
    await registry.delete("/v2/a/manifests/missing")

    events = await recorded(registry.root, "delete")

    assert {brief(event) for event in events} == {("delete", "root", "ecr:BatchDeleteImage", "repository/a", "allowed")}
    assert [event["details"].get("tags") for event in events] == [["1.0"], None, None]
    assert [event["details"].get("digest") for event in events] == [None, sha256(payload), sha256(b"layer")]


async def test_a_login_tells_what_was_granted(registry: Registry) -> None:
    """As docker logs in and pulls: the challenge, a token, and what is done with it."""
    await registry.push_image("a", "1.0")
    await registry.get("/v2/", authorization=None)
    token = await registry.token("repository:a:pull,push", "repository:b:pull")
    await registry.get("/v2/a/manifests/1.0", authorization=token)

    login, pull = await noted(registry, 2, "authenticate", "pull", "refuse")

    assert brief(login) == ("authenticate", "root", "ecr:GetAuthorizationToken", "*", "allowed")
    assert login["details"]["asked"] == ["repository:a:pull,push", "repository:b:pull"]
    assert login["details"]["granted"] == ["repository:a:pull,push", "repository:b:pull"]
    assert login["details"]["credential"] == "password"
    assert brief(pull)[:2] == ("pull", "root")
    assert pull["details"]["credential"] == "bearer-token"


async def test_a_login_in_a_form_and_one_at_the_base_are_told(registry: Registry) -> None:
    form = urlencode({"grant_type": "password", "username": "bob", "password": USER_PASSWORD, "service": "lading"})
    answer = await registry.ask("POST", "/auth/token", body=form.encode(), headers=FORM, authorization=None)
    assert answer.status == 200
    await registry.get("/v2/", authorization=USER)
    await registry.get("/v2/", authorization=await registry.token())

    events = await noted(registry, 3, "authenticate")

    assert [brief(event)[:2] for event in events] == [("authenticate", "user/bob")] * 2 + [("authenticate", "root")]


async def test_a_login_with_an_access_key_tells_its_id(registry: Registry) -> None:
    async with administered(registry.root) as people:
        await people.add("carol", allow(*PULL))
        key = await people.keys.create("carol")
    await registry.token(authorization=basic(key.id, key.secret))

    (event,) = await noted(registry, 1, "authenticate")

    assert (event["details"]["credential"], event["details"]["credential_id"]) == ("access-key", key.id)


async def test_a_denial_names_the_statement(registry: Registry) -> None:
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow(*PUSH), deny("ecr:PutImage", Sid="NoImages"))
    await registry.put("/v2/a/manifests/1.0", b"{}", authorization=carol)
    await registry.get("/v2/a/tags/list", authorization=carol)

    explicit, implicit = await recorded(registry.root, "refuse")

    assert brief(explicit) == ("refuse", "user/carol", "ecr:PutImage", "repository/a", "explicitDeny")
    assert explicit["statement"]["sid"] == "NoImages"
    assert explicit["statement"]["index"] == 1
    assert explicit["details"]["status"] == 403
    assert brief(implicit) == ("refuse", "user/carol", "ecr:ListImages", "repository/a", "implicitDeny")
    assert implicit["statement"] is None
    assert "no identity-based" in implicit["details"]["reason"]


async def test_an_allowed_request_names_the_statement_that_allowed_it(registry: Registry) -> None:
    await registry.push_image("a", "1.0")
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("ecr:ListImages"), allow(*PULL, Sid="Reading"))
    await registry.get("/v2/a/manifests/1.0", authorization=carol)

    (event,) = await noted(registry, 1, "pull")

    assert (event["statement"]["sid"], event["statement"]["index"]) == ("Reading", 1)


async def test_a_push_that_may_not_make_its_repository_is_told(registry: Registry) -> None:
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow(*PUSH), deny("ecr:CreateRepository"))
    answer = await registry.post("/v2/fresh/blobs/uploads/", authorization=carol)

    assert answer.status == 403
    (event,) = await recorded(registry.root, "refuse")
    assert brief(event) == ("refuse", "user/carol", "ecr:CreateRepository", "repository/fresh", "explicitDeny")


async def test_a_token_that_covers_too_little_is_told(registry: Registry) -> None:
    await registry.get("/v2/a/tags/list", authorization=await registry.token("repository:b:pull"))

    (event,) = await recorded(registry.root, "refuse")

    assert brief(event) == ("refuse", "root", "ecr:ListImages", "repository/a", "implicitDeny")


async def test_a_wrong_password_is_told_with_the_name_that_was_tried(registry: Registry) -> None:
    form = urlencode({"grant_type": "password", "username": "dave", "password": "wrong", "service": "lading"})
    await registry.get("/v2/", authorization=basic("mallory", "wrong"))
    await registry.get("/auth/token", authorization=basic("bob", "wrong"))
    await registry.ask("POST", "/auth/token", body=form.encode(), headers=FORM, authorization=None)

    events = await recorded(registry.root, "refuse")

    assert [brief(event) for event in events] == [
        ("refuse", "unknown", "ecr:GetAuthorizationToken", "*", "refused")
    ] * 3
    assert [event["details"]["user"] for event in events] == ["mallory", "bob", "dave"]


@pytest.mark.settings(limits={"login_attempts": 1})
async def test_who_has_to_wait_is_told(registry: Registry) -> None:
    answers = [await registry.get("/v2/", authorization=basic("bob", f"wrong {number}")) for number in range(3)]

    assert answers[-1].status == 429
    event = (await recorded(registry.root, "refuse"))[-1]
    assert brief(event)[1:] == ("unknown", "ecr:GetAuthorizationToken", "*", "refused")
    assert (event["details"]["status"], event["details"]["user"]) == (429, "bob")


async def test_a_bad_token_is_told(registry: Registry) -> None:
    await registry.get("/v2/a/tags/list", authorization="Bearer a.b.c")

    (event,) = await recorded(registry.root, "refuse")

    assert brief(event) == ("refuse", "unknown", "ecr:ListImages", "repository/a", "refused")
    assert "user" not in event["details"]


async def test_who_comes_without_credentials_is_noted_but_not_for_the_challenge(registry: Registry) -> None:
    await registry.get("/v2/", authorization=None)
    await registry.get("/v2/a/tags/list", authorization=None)

    (event,) = await noted(registry, 1, "refuse")

    assert brief(event) == ("refuse", "anonymous", "ecr:ListImages", "repository/a", "implicitDeny")


async def test_a_change_is_told_with_its_path_and_without_its_body(registry: Registry) -> None:
    """And what only looks is no change."""
    body = json.dumps({"name": "erin", "password": "canary of erin"}).encode()
    kind = [("Content-Type", "application/json")]
    answer = await registry.ask("POST", "/admin/v1/users", body=body, headers=kind)
    assert answer.status in {200, 201}
    await registry.get("/admin/v1/users")
    await registry.ask("POST", "/admin/v1/users", body=body, headers=kind)
    await registry.ask("POST", "/admin/v1/users", body=body, headers=kind, authorization=USER)

    events = await recorded(registry.root)

    assert [brief(event) for event in events] == [
        ("change", "root", "lading:CreateUser", "user/erin", "allowed"),
        ("refuse", "user/bob", "lading:CreateUser", "user/erin", "implicitDeny"),
    ]
    assert events[0]["details"]["path"] == "/admin/v1/users"


async def test_what_a_policy_calls_its_statement_is_bounded(registry: Registry) -> None:
    """A repository's policy may call it anything that can be read, at any length."""
    await registry.push_image("app", "latest")
    async with administered(registry.root) as people:
        statement = of_resource("Deny", "*", "ecr:BatchGetImage", Sid="s" * 2000)
        await people.policies.put_of_repository("app", document(statement))

    assert (await registry.get("/v2/app/manifests/latest", authorization=USER)).status == 403

    (event,) = await recorded(registry.root, "refuse")
    assert event["statement"]["sid"] == "s" * 128


async def test_hostile_texts_are_inert(start: Start, tmp_path: Path) -> None:
    """In the database, the file and the lines of an export: one line each, and nothing that steers a terminal."""
    file = tmp_path / "audit.log"
    async with start(audit={"file": str(file)}) as registry:
        agent = [("User-Agent", "a\x9b31m\xe9" + "x" * 2000)]
        for name in ("%00", "%1b%5b31m", "%E2%80%AE", "%ff%fe", "a%0a%7b%7d", "x" * 5000):
            await registry.get(f"/v2/{name}/tags/list", headers=agent, authorization=USER)
        await registry.get("/v2/", authorization=basic("eve\u202e" + "x" * 1000, "wrong"))
        await registry.get(f"/v2/a/manifests/{'y' * 5000}", authorization=USER)

        events = await noted(registry, 8, "refuse")

    content = file.read_bytes()
    assert len(content.splitlines()) == 8
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", content.decode())
    assert [{**event, "seal": None} for event in events] == [{**line, "seal": None} for line in lines(file)]
    assert max(len(line) for line in content.splitlines()) < 4000
    assert events[6]["details"]["user"].startswith("eve\\u202ex")
    assert events[0]["resource"].endswith("repository/\\u0000")


CANARY = "canary-7f3a"


async def test_nothing_secret_is_written(start: Start, tmp_path: Path) -> None:
    """No password, token or body, whether right or wrong."""
    file = tmp_path / "audit.log"
    async with start(audit={"file": str(file)}) as registry:
        async with administered(registry.root) as people:
            await people.accounts.create_user("carol", CANARY)
            key = await people.keys.create("carol")
        token = await registry.token("repository:a:pull", authorization=basic("carol", CANARY))
        await registry.token(authorization=basic(key.id, key.secret))
        form = urlencode({"grant_type": "password", "username": "carol", "password": CANARY, "service": "lading"})
        for path in ("/auth/token", f"/auth/token?password={CANARY}", f"/v2/?token={CANARY}"):
            await registry.ask("POST", path, body=form.encode(), headers=FORM, authorization=None)
            await registry.get(path, authorization=basic("bob", CANARY))
            await registry.get(path, authorization=f"Bearer {CANARY}")
            await registry.get(path, authorization=f"Bearer {token[7:]}x")
            await registry.get(path, authorization=f"Basic {CANARY}")
        await registry.get(f"/v2/a/tags/list?x={CANARY}", authorization=token)
        body = json.dumps({"name": "erin", "password": CANARY}).encode()
        await registry.ask("POST", "/admin/v1/users", body=body, headers=[("Content-Type", "application/json")])
    assert len(lines(file)) > 10

    for name in (file, *registry.root.glob("activity.db*")):
        content = name.read_bytes()
        for secret in (CANARY, token[7:], token.rpartition(".")[2], key.secret, basic("bob", CANARY)[6:]):
            assert secret.encode() not in content, name


async def test_what_was_noted_is_written_when_the_server_stops(start: Start) -> None:
    async with start() as registry:
        await registry.push_image("a", "1.0")
        for _ in range(70):
            await registry.get("/v2/a/manifests/1.0")

    assert len(await recorded(registry.root, "pull")) == 70
    async with history(registry.root) as opened:
        assert await opened.check() == 72


async def test_a_trail_that_is_away_stops_nobody(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """Pulls go on, and so do pushes; what is missing is counted, and a change is kept in the log."""
    async with start() as registry:
        await registry.push_image("a", "1.0")
        with sqlite3.connect(registry.root / "activity.db") as other:
            other.execute("ALTER TABLE audit_event RENAME TO elsewhere")
        pushed = await registry.push_blob("a", b"more")
        pulled = await registry.get("/v2/a/manifests/1.0")
        other.execute("ALTER TABLE elsewhere RENAME TO audit_event")
        other.close()
        await registry.push_blob("a", b"still more")
        counts = (await registry.get("/metrics")).body.decode()

    assert pulled.status == 200
    assert "lading_audit_lost_events_total 1.0" in counts
    assert pushed in "".join(capfd.readouterr())
    assert len(await recorded(registry.root, "push")) == 3


@pytest.mark.settings(audit={"retention": 60})
async def test_old_events_are_cut_off_by_the_job(registry: Registry) -> None:
    await registry.push_image("a", "1.0")
    async with history(registry.root) as opened:
        assert await opened.cut(time.time() - 60) == 0
        assert await opened.cut(time.time() + 60) == 1
        assert await opened.check() == 2


def test_routes_that_change_are_events() -> None:
    """A route that is added under another action is thought of."""

    def is_told(route: Route) -> bool:
        return (route.method, route.actions[0]) in _OUTCOMES

    changing = [route for route in ROUTES if route.method in {"PUT", "POST", "DELETE", "PATCH"} and route.actions]
    assert [route.handler.__name__ for route in changing if not is_told(route)] == ["append_chunk", "cancel_upload"]
