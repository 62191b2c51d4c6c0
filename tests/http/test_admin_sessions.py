"""Sessions by the admin API: the password of half a day, and roles that users assume."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.http.client import ADMIN, USER, Answer, Registry, basic
from tests.http.people import PULL, PUSH, People, administered, allow, deny, document
from tests.http.trail import noted, recorded


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def send(registry: Registry, path: str, authorization: str | None, **body: Any) -> Answer:
    headers = [("Content-Type", "application/json")]
    content = json.dumps(body).encode() if body else None
    return await registry.ask("POST", f"/admin/v1{path}", body=content, headers=headers, authorization=authorization)


def seconds_left(document: dict[str, Any]) -> float:
    return (datetime.fromisoformat(document["expires_at"]) - datetime.now(UTC)).total_seconds()


def trust(*arns: str) -> str:
    """Who may assume the role."""
    return document({"Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "sts:AssumeRole"})


async def assume(registry: Registry, authorization: str | None, **members: Any) -> Answer:
    return await send(registry, "/roles/ops/sessions", authorization, **{"session_name": "night", **members})


async def test_password_of_half_a_day_stands_for_its_user(registry: Registry, people: People) -> None:
    """As ECR's GetAuthorizationToken: user AWS, no colon, twelve hours; everywhere where a password does."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow(*PULL))

    made = (await send(registry, "/authorization-token", alice)).document
    login = basic(made["user"], made["password"])

    assert made["user"] == "AWS"
    assert ":" not in made["password"]
    assert made["arn"] == people.arn("alice")
    assert 43_100 < seconds_left(made) <= 43_202
    assert (await registry.get("/v2/app/manifests/latest", authorization=login)).status == 200
    token = await registry.token("repository:app:pull", authorization=login)
    assert (await registry.get("/v2/app/manifests/latest", authorization=token)).status == 200
    assert (await registry.post("/v2/app/blobs/uploads/", authorization=login)).status == 403
    await people.accounts.update_user("alice", disabled=True)
    assert (await registry.get("/v2/app/manifests/latest", authorization=login)).status == 401


async def test_bearer_token_gets_no_password(registry: Registry) -> None:
    """A stolen token must end with its own expiry."""
    token = await registry.token("registry:admin:*")

    assert (await send(registry, "/authorization-token", token)).status == 401
    assert (await assume(registry, token)).status == 401
    assert (await send(registry, "/authorization-token", None)).status == 401


async def test_user_whose_login_is_denied_gets_no_password(registry: Registry, people: People) -> None:
    alice = await people.add("alice", deny("ecr:GetAuthorizationToken"))

    assert (await send(registry, "/authorization-token", alice)).status == 403


async def test_conditions_on_a_login_see_the_request(registry: Registry, people: People) -> None:
    """Who may log in from one network only gets a password there, and nowhere else."""
    statement = {"Resource": "*", "Action": "*", "Effect": "Deny"}
    inside = await people.add("inside", statement | {"Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}})
    outside = await people.add("outside", statement | {"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})

    assert (await send(registry, "/authorization-token", inside)).status == 201
    assert (await send(registry, "/authorization-token", outside)).status == 403


async def test_user_acts_in_a_role_that_trusts_it(registry: Registry, people: People) -> None:
    """With the role's rights in place of its own; the trust policy is enough to assume it."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow(*PUSH))
    await people.accounts.create_role("ops", trust(people.arn("alice")))
    await people.give_role("ops", allow(*PULL))

    made = (await assume(registry, alice)).document
    login = basic(made["user"], made["password"])

    assert made["arn"] == f"arn:aws:sts::{people.account_id}:assumed-role/ops/night"
    assert 3500 < seconds_left(made) <= 3602
    assert (await registry.get("/v2/app/manifests/latest", authorization=login)).status == 200
    refused = await registry.post("/v2/app/blobs/uploads/", authorization=login)
    assert (refused.status, refused.detail["action"]) == (403, "ecr:InitiateLayerUpload")
    assert made["arn"] in refused.message


async def test_the_trail_tells_who_acts_in_a_role(registry: Registry, people: People) -> None:
    """Whatever the session is called, in the role as well as in one that was assumed from there."""
    alice = await people.add("alice")
    await people.accounts.create_role("ops", trust(people.arn("alice")))
    await people.accounts.create_role("far", trust(people.arn("x").replace("user/x", "role/ops")))
    made = (await assume(registry, alice, session_name="bob")).document
    near = basic(made["user"], made["password"])
    made = (await send(registry, "/roles/far/sessions", near, session_name="bob")).document

    for authorization in (near, basic(made["user"], made["password"])):
        await registry.get("/v2/app/tags/list", authorization=authorization)

    events = await recorded(registry.root, "refuse")
    openers = [[arn.rpartition(":")[2] for arn in event["details"]["opened_by"]] for event in events]
    assert openers == [["user/alice"], ["user/alice", "role/ops"]]


async def test_a_role_that_is_named_by_its_arn_is_the_same_to_policies_and_the_trail(
    registry: Registry, people: People
) -> None:
    """A Deny on its sessions holds however it is written."""
    role = f"arn:aws:iam::{people.account_id}:role/ops"
    await people.accounts.create_role("ops", trust(people.arn("alice"), people.arn("bob")))
    alice = await people.add("alice", deny("ecr:GetAuthorizationToken", Resource=role))
    path = f"/roles/{quote(role, safe='')}/sessions"

    refused = await send(registry, path, alice, session_name="night")
    made = await send(registry, path, USER, session_name="night")

    assert (refused.status, made.status) == (403, 201)
    events = await noted(registry, 2, "refuse", "authenticate")
    assert {event["resource"] for event in events} == {role}


async def test_role_that_does_not_trust_and_role_that_is_not_there_answer_alike(
    registry: Registry, people: People
) -> None:
    """Nobody finds out which roles there are."""
    await people.accounts.create_role("ops", trust(people.arn("bob")))
    alice = await people.add("alice", allow("*"))

    refused = await assume(registry, alice)
    missing = await send(registry, "/roles/ops2/sessions", alice, session_name="night")

    assert (refused.status, missing.status) == (403, 403)
    assert refused.document["detail"] == missing.document["detail"].replace("ops2", "ops")


async def test_root_user_assumes_no_role(registry: Registry, people: People) -> None:
    await people.accounts.create_role("ops", trust("*"))

    assert (await assume(registry, ADMIN)).status == 403
    assert (await assume(registry, USER)).status == 201


async def test_session_policy_limits_the_role(registry: Registry, people: People) -> None:
    """The session may do what both allow; the policy goes with its tokens."""
    await registry.push_image("app", "latest")
    await people.accounts.create_role("ops", trust(people.arn("bob")))
    await people.give_role("ops", allow("ecr:*"))
    policy = {"Version": "2012-10-17", "Statement": [allow(*PULL)]}

    made = (await assume(registry, USER, policy=policy)).document
    login = basic(made["user"], made["password"])
    token = await registry.token("repository:app:pull,push", authorization=login)

    for authorization in (login, token):
        assert (await registry.get("/v2/app/manifests/latest", authorization=authorization)).status == 200
        assert (await registry.post("/v2/app/blobs/uploads/", authorization=authorization)).status == 403


async def test_session_ends_when_the_sessions_of_its_role_are_revoked(registry: Registry, people: People) -> None:
    """And what is opened afterwards does not."""
    await registry.push_image("app", "latest")
    await people.accounts.create_role("ops", trust(people.arn("bob")))
    await people.give_role("ops", allow(*PULL))
    made = (await assume(registry, USER)).document
    login = basic(made["user"], made["password"])
    token = await registry.token("repository:app:pull", authorization=login)

    await registry.delete("/admin/v1/roles/ops/sessions")

    for authorization in (login, token):
        assert (await registry.get("/v2/app/manifests/latest", authorization=authorization)).status == 401
    again = (await assume(registry, USER)).document
    login = basic(again["user"], again["password"])
    assert (await registry.get("/v2/app/manifests/latest", authorization=login)).status == 200


@pytest.mark.parametrize(
    "members",
    [
        {"session_name": "x"},
        {"session_name": "no spaces"},
        {"session_name": "a" * 65},
        {"duration_seconds": 899},
        {"duration_seconds": 3601},
        {"policy": "{}"},
        {"policy": {"Version": "2012-10-17", "Statement": [allow("s3:" + "x" * 2100)]}},
    ],
)
async def test_session_out_of_bounds_is_refused(registry: Registry, people: People, members: dict[str, Any]) -> None:
    """Its name, its duration, and its policy."""
    await people.accounts.create_role("ops", trust(people.arn("bob")))

    assert (await assume(registry, USER, **members)).status == 400
