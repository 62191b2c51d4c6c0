"""Who may do what by the admin API: every operation by the one action that its row names, on the thing it is for."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pytest

from auth.identity_providers import IdentityProviders
from registry.admin.operation import ROOT, AnyOperation
from registry.admin.operations import OPERATIONS as EVERY_OPERATION
from tests.http.client import USER, Answer, Registry
from tests.http.people import People, administered, allow, deny, document

LOGIN: Final = "ecr:GetAuthorizationToken"
OPERATIONS: Final = [operation for operation in EVERY_OPERATION if operation.action != LOGIN]
"""Whoever may log in may ask for a session: what gives one is proven with what it gives."""
TRUST: Final = document({"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"})
THERE: Final = {
    "user": "bob",
    "group": "dev",
    "role": "ops",
    "policy": "put",
    "repository": "own%2Fapp",
    "access_key": "LKAAAAAAAAAAAAAAAAAA",
    "provider": "one.example.com",
    "signing_key": "A" * 43,
    "version": "1",
    "service_token": "cli",
    "domain": "AES256",
}
"""Names of what is there but for the keys, whose ids nobody chooses."""
NOWHERE: Final = {
    "user": "eve",
    "group": "odd",
    "role": "odd",
    "policy": "odd",
    "repository": "far%2Fapp",
    "access_key": "LKBBBBBBBBBBBBBBBBBB",
    "provider": "two.example.com",
    "signing_key": "B" * 43,
    "version": "9",
    "service_token": "odd",
    "domain": "alias2",
}
"""Names of nothing, each as long as the one that is there."""
KINDS: Final = {"user": "user", "group": "group", "role": "role", "policy": "policy", "provider": "oidc-provider"}
BODIES: Final = {
    "lading:CreateUser": {"name": "eve"},
    "lading:CreateGroup": {"name": "odd"},
    "lading:CreateRole": {"name": "odd", "trust_policy": orjson.loads(TRUST)},
    "lading:CreatePolicy": {"name": "odd", "document": orjson.loads(document(allow("ecr:*")))},
    "lading:CreateIdentityProvider": {"issuer": "https://two.example.com", "audiences": ["a"]},
    "lading:CreateRepository": {"name": "far/app"},
}
"""What makes something has to name it before anybody can say whether it may be made."""


@dataclass(frozen=True)
class Door:
    """A registry with something of every kind, and a user whose policy the test writes."""

    registry: Registry
    people: People
    user: str

    async def ask(self, operation: AnyOperation, names: dict[str, str], authorization: str | None) -> Answer:
        """Without credentials the body is none that could be read: it must not be looked at."""
        path, makes = operation.path, BODIES.get(operation.action)
        body = None if makes is None else orjson.dumps(makes)
        for kind, name in names.items():
            path = path.replace(f"{{{kind}}}", name)
        return await self.registry.ask(
            operation.method,
            ROOT + path,
            body=b"{" if authorization is None else body,
            headers=[("Content-Type", "application/json")],
            authorization=authorization,
        )

    def resource(self, operation: AnyOperation) -> str:
        """What a policy has to name: the first thing in the path, or what the body makes; of those that are nowhere."""
        kind = (operation.named_by or operation.placeholders or ("",))[0]
        if kind == "repository":
            return self.people.repository("far/app")
        if kind == "domain":
            return self.people.repository("x").replace("repository/x", f"encryption-domain/{NOWHERE[kind]}")
        return f"arn:aws:iam::{self.people.account_id}:{KINDS[kind]}/{NOWHERE[kind]}" if kind in KINDS else "*"


@pytest.fixture
async def door(registry: Registry) -> AsyncIterator[Door]:
    await registry.push_blob("own/app", b"x")
    async with administered(registry.root) as people:
        await people.accounts.create_group("dev")
        await people.accounts.create_role("ops", TRUST)
        await IdentityProviders(people.database, time.time).create("https://one.example.com", ["a"])
        await people.stored.create_service("bob", "cli")
        await people.policies.put_managed("put", document(allow("ecr:PutImage")))
        yield Door(registry, people, await people.add("alice"))


def plain(answer: Answer) -> dict[str, Any]:
    """What the answer tells, without the request's own id and the names that it was asked for."""
    text = answer.body.decode()
    for kind in THERE.keys() - {"version"}:
        for sent in (THERE[kind], NOWHERE[kind]):
            text = text.replace(sent.replace("%2F", "/"), "NAME")
    found: dict[str, Any] = orjson.loads(text)
    return {name: value for name, value in found.items() if name != "request_id"}


async def test_stranger_learns_nothing_from_any_operation(door: Door) -> None:
    """401 without credentials, 403 with those of a user without rights, of what is there and of what is not."""
    wrong = []
    for operation in OPERATIONS:
        for authorization, status in ((None, 401), (USER, 403)):
            there = await door.ask(operation, THERE, authorization)
            nowhere = await door.ask(operation, NOWHERE, authorization)
            if {there.status, nowhere.status} != {status} or plain(there) != plain(nowhere):
                wrong.append(f"{operation.method} {operation.path}: {there.status} {there.body!r}, {nowhere.body!r}")

    assert not wrong, "\n".join(wrong)


async def test_every_operation_needs_its_own_action_on_its_own_thing(door: Door) -> None:
    """Allowed by exactly that; refused by every other action, by the action on something else, and by a Deny."""
    wrong = []
    for operation in OPERATIONS:
        action, resource = operation.action, door.resource(operation)
        elsewhere = "arn:aws:iam::123456789012:user/somebody-else"
        for statements, is_allowed in (
            ([allow(action, Resource=resource)], True),
            ([{"Effect": "Allow", "NotAction": action, "Resource": "*"}], False),
            ([allow(action, Resource=elsewhere)], False),
            ([allow("*"), deny(action, Resource=resource)], False),
        ):
            await door.people.give("alice", *statements)
            answer = await door.ask(operation, NOWHERE, door.user)
            if (answer.status in {401, 403}) is is_allowed:
                wrong.append(f"{operation.method} {operation.path} with {statements}: {answer.status} {answer.body!r}")

    assert not wrong, "\n".join(wrong)


async def test_token_has_to_cover_the_admin_api(door: Door) -> None:
    """One for a repository does not, whatever its user may do; one that does is no more than its user."""
    await door.people.give("alice", allow("lading:*"))
    narrow = await door.registry.token("repository:own/app:pull,push,delete", authorization=door.user)
    wide = await door.registry.token("registry:admin:*", authorization=door.user)
    uncovered = [await door.ask(operation, NOWHERE, narrow) for operation in OPERATIONS]
    covered = [await door.ask(operation, NOWHERE, wide) for operation in OPERATIONS]
    await door.people.give("alice", deny("lading:*"))
    denied = [await door.ask(operation, NOWHERE, wide) for operation in OPERATIONS]

    assert {answer.status for answer in uncovered} == {401}
    assert all('scope="registry:admin:*"' in answer.headers["WWW-Authenticate"] for answer in uncovered)
    assert {401, 403}.isdisjoint(answer.status for answer in covered)
    assert {answer.status for answer in denied} == {403}
