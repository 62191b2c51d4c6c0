"""Programs that log in with what their platform vouches for, over HTTP: as docker does, and by token exchange."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from auth.identity_providers import IdentityProviders
from auth.policy_documents import Owner, OwnerKind
from auth.roles import Roles
from tests.auth.issuer import RSA_KEY, Issuer, claims, issuing, signed
from tests.http.client import Answer, Registry, basic, eventually
from tests.http.people import PULL, PUSH, People, administered, allow, document
from tests.http.trail import recorded

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
REPOSITORY_OF_GITHUB = "octo-org/octo-repo"


@dataclass(frozen=True)
class Platform:
    """A registry, and an issuer whose tokens it takes for its roles."""

    registry: Registry
    issuer: Issuer
    people: People
    roles: Roles

    def token(self, **changed: Any) -> str:
        now = time.time()
        times = {"iat": now - 1, "nbf": now - 1, "exp": now + 300}
        return signed(claims(self.issuer.url, **{"repository": REPOSITORY_OF_GITHUB, **times, **changed}), RSA_KEY)

    async def role(self, name: str, *statements: dict[str, Any], condition: dict[str, Any] | None = None) -> None:
        """A role for the workflows of one repository."""
        provider = self.issuer.url.partition("://")[2]
        trust = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{self.people.account_id}:oidc-provider/{provider}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{provider}:repository": REPOSITORY_OF_GITHUB}} | (condition or {}),
        }
        await self.people.accounts.create_role(name, document(trust))
        if statements:
            await self.people.policies.put_inline(Owner(OwnerKind.ROLE, name), "own", document(*statements))

    async def exchange(self, **fields: str) -> Answer:
        form = {"grant_type": EXCHANGE, "subject_token_type": ID_TOKEN, "role": "ci", **fields}
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        sent = urlencode(form).encode()
        return await self.registry.ask("POST", "/auth/token", body=sent, headers=headers, authorization=None)


@pytest.fixture
async def platform(registry: Registry) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(issuing())
        people = await stack.enter_async_context(administered(registry.root))
        database = people.accounts._database
        await IdentityProviders(database, time.time).create(issuer.url, ["lading"], allow_private=True)
        yield Platform(registry, issuer, people, Roles(database, time.time))


async def test_docker_logs_in_as_a_role(platform: Platform) -> None:
    """`docker login -u role/ci`, with the identity token as the password; then a push with the token that it gets."""
    await platform.role("ci", allow(*PULL, *PUSH))
    login = await platform.registry.get("/v2/", authorization=basic("role/ci", platform.token()))
    bearer = await platform.registry.token("repository:app:pull,push", authorization=basic("role/ci", platform.token()))

    started = await platform.registry.post("/v2/app/blobs/uploads/", authorization=bearer)

    assert (login.status, started.status) == (200, 202)


async def test_an_identity_token_is_exchanged_for_one_of_the_registry(platform: Platform) -> None:
    """RFC 8693."""
    await platform.role("ci", allow(*PULL))

    answer = await platform.exchange(
        subject_token=platform.token(), scope="repository:app:pull,push", role_session_name="run-7"
    )

    assert answer.status == 200
    assert answer.document["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer.document["scope"] == "repository:app:pull"
    bearer = f"Bearer {answer.document['access_token']}"
    refused = await platform.registry.post("/v2/app/blobs/uploads/", authorization=bearer)
    assert refused.refusal == (403, "DENIED")
    assert (await platform.registry.get("/v2/app/manifests/x", authorization=bearer)).status == 404


async def test_a_refusal_names_the_session(platform: Platform) -> None:
    await platform.role("ci")

    answer = await platform.registry.get("/v2/app/tags/list", authorization=basic("role/ci", platform.token()))

    assert answer.refusal == (403, "DENIED")
    assert f"arn:aws:sts::{platform.people.account_id}:assumed-role/ci/somebody is not allowed" in answer.message


async def test_the_trail_tells_whom_a_session_stands_for(platform: Platform) -> None:
    """Whatever its holder called it."""
    await platform.role("ci")
    answer = await platform.exchange(subject_token=platform.token(), role_session_name="somebody-else")
    bearer = f"Bearer {answer.document['access_token']}"

    await platform.registry.get("/v2/app/tags/list", authorization=bearer)

    (event,) = await recorded(platform.registry.root, "refuse")
    assert event["principal"].endswith("assumed-role/ci/somebody-else")
    assert event["details"]["subject"] == "somebody"
    assert event["details"]["provider"].endswith(platform.issuer.url.partition("://")[2])


async def test_a_roles_policies_look_at_the_claims(platform: Platform) -> None:
    """Each repository pulls from where its name says, with one role for all; a claim may be a list."""
    own = "arn:aws:ecr:*:*:repository/${jwt:repository}"
    team = {"ForAnyValue:StringEquals": {"jwt:teams": "release"}}
    await platform.role("ci", allow(*PULL, Resource=own), allow("ecr:ListImages", Condition=team))
    bearer = await platform.registry.token(
        "repository:octo-org/octo-repo:pull",
        "repository:other:pull",
        authorization=basic("role/ci", platform.token(teams=["build", "release"])),
    )

    asked = [
        await platform.registry.get(path, authorization=bearer)
        for path in ("/v2/octo-org/octo-repo/manifests/x", "/v2/other/manifests/x", "/v2/other/tags/list")
    ]
    without = basic("role/ci", platform.token(teams=["build"]))

    assert [answer.status for answer in asked] == [404, 403, 404]
    assert (await platform.registry.get("/v2/other/tags/list", authorization=without)).status == 403


async def test_a_stranger_is_told_to_log_in(platform: Platform) -> None:
    """The same for a role that is missing as for one that does not trust it."""
    await platform.role("ci", allow(*PULL))
    stranger = platform.token(repository="evil/fork")

    answers = [
        await platform.registry.get(path, authorization=basic(name, stranger))
        for path in ("/v2/", "/auth/token")
        for name in ("role/ci", "role/missing")
    ]
    answers.append(await platform.exchange(subject_token=stranger))
    answers.append(await platform.exchange(subject_token=stranger, role="missing"))

    assert [answer.refusal for answer in answers] == [(401, "UNAUTHORIZED")] * 6
    assert len({answer.message for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"] for answer in answers)


async def test_a_trust_policy_sees_the_request(platform: Platform) -> None:
    """Where it comes from, and how."""
    inside = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    outside = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    for name, condition in {"inside": inside, "outside": outside, "secure": secure}.items():
        await platform.role(name, condition=condition)

    logins = {
        name: (await platform.registry.get("/v2/", authorization=basic(f"role/{name}", platform.token()))).status
        for name in ("inside", "outside", "secure")
    }
    exchanges = {
        name: (await platform.exchange(subject_token=platform.token(), role=name)).status
        for name in ("inside", "outside", "secure")
    }

    assert logins == exchanges == {"inside": 200, "outside": 401, "secure": 401}


async def test_revoked_sessions_end_at_the_next_request(platform: Platform) -> None:
    await platform.role("ci", allow(*PULL))
    bearer = await platform.registry.token("repository:app:pull", authorization=basic("role/ci", platform.token()))
    before = await platform.registry.get("/v2/app/manifests/x", authorization=bearer)

    await platform.roles.revoke_sessions("ci")

    after = await platform.registry.get("/v2/app/manifests/x", authorization=bearer)
    again = await platform.registry.token("repository:app:pull", authorization=basic("role/ci", platform.token()))
    assert (before.status, after.status) == (404, 401)
    assert (await platform.registry.get("/v2/app/manifests/x", authorization=again)).status == 404


async def test_an_issuer_that_is_away_is_no_fault_of_the_client(platform: Platform) -> None:
    await platform.role("ci", allow(*PULL))
    platform.issuer.is_away = True

    answer = await platform.registry.get("/v2/", authorization=basic("role/ci", platform.token()))

    assert answer.refusal == (503, "UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_slow_issuer_holds_up_nobody_else(platform: Platform) -> None:
    await platform.role("ci", allow(*PULL))
    platform.issuer.held = asyncio.Event()
    waiting = asyncio.create_task(platform.registry.get("/v2/", authorization=basic("role/ci", platform.token())))
    await eventually(_value(platform.issuer.asked), bool)

    others = await platform.registry.get("/v2/")
    platform.issuer.held.set()

    assert others.status == 200
    assert (await waiting).status == 200


def _value(asked: list[str]) -> Callable[[], Awaitable[list[str]]]:
    async def look() -> list[str]:
        return asked

    return look


@pytest.mark.parametrize("fields", [{"role_session_name": "a/b"}, {"role_session_name": "x"}])
async def test_a_name_that_no_session_can_have_is_refused(platform: Platform, fields: dict[str, str]) -> None:
    await platform.role("ci")

    assert (await platform.exchange(subject_token=platform.token(), **fields)).status == 400


async def test_a_provider_is_managed_by_the_admin_api(platform: Platform) -> None:
    """With a name that holds a slash."""
    ask = platform.registry.ask
    headers = [("Content-Type", "application/json")]
    new = {"issuer": "https://gitlab.example.com/group", "audiences": ["lading"]}
    path = "/admin/v1/identity-providers/gitlab.example.com%2Fgroup"

    made = await ask("POST", "/admin/v1/identity-providers", body=json.dumps(new).encode(), headers=headers)
    changed = await ask("PUT", path, body=json.dumps({"audiences": ["other"]}).encode(), headers=headers)
    shown = await ask("GET", path)
    deleted = await ask("DELETE", path)
    gone = await ask("GET", path)

    assert (made.status, changed.status, shown.status, deleted.status, gone.status) == (201, 200, 200, 204, 404)
    assert shown.document["audiences"] == ["other"]


async def test_a_roles_trust_is_managed_by_the_admin_api(platform: Platform) -> None:
    await platform.role("ci")
    ask = platform.registry.ask
    headers = [("Content-Type", "application/json")]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    written = {"Version": "2012-10-17", "Statement": [trust]}

    changed = await ask(
        "PUT", "/admin/v1/roles/ci/trust-policy", body=json.dumps({"document": written}).encode(), headers=headers
    )
    longer = await ask(
        "PATCH", "/admin/v1/roles/ci", body=json.dumps({"max_session_seconds": 7200}).encode(), headers=headers
    )
    too_long = await ask(
        "PATCH", "/admin/v1/roles/ci", body=json.dumps({"max_session_seconds": 86_400}).encode(), headers=headers
    )
    revoked = await ask("DELETE", "/admin/v1/roles/ci/sessions")

    assert json.loads(changed.document["trust_policy"]) == written
    assert longer.document["max_session_seconds"] == 7200
    assert (too_long.status, revoked.status) == (400, 204)
    assert (await platform.exchange(subject_token=platform.token())).status == 401
