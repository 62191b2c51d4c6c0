"""Who calls the admin API, with which credentials, and by which policies: from the root user to nobody at all."""

from typing import Final

import pytest

from registry.admin.operation import AnyOperation
from registry.admin.operations import OPERATIONS
from tests.http.admin import call, code, done, names_of, perform, problem
from tests.http.client import ADMIN, Registry, Start, basic
from tests.http.people import administered, allow, deny

# What everybody may who may log in is tried elsewhere.
GUARDED: Final = [operation for operation in OPERATIONS if operation.action.startswith("lading:")]
ALL: Final = pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.name)
MADE: Final = {
    "CreateUser": "arn:aws:iam::{account}:user/dora",
    "CreateGroup": "arn:aws:iam::{account}:group/guests",
    "CreateRole": "arn:aws:iam::{account}:role/runner",
    "CreateIdentityProvider": "arn:aws:iam::{account}:oidc-provider/other.example.com",
    "CreatePolicy": "arn:aws:iam::{account}:policy/writers",
    "CreateRepository": "arn:aws:ecr:local:{account}:repository/team/web",
}
NAMED: Final = {
    "user": "arn:aws:iam::{account}:user/alice",
    "group": "arn:aws:iam::{account}:group/crew",
    "role": "arn:aws:iam::{account}:role/builder",
    "provider": "arn:aws:iam::{account}:oidc-provider/issuer.example.com/ci",
    "policy": "arn:aws:iam::{account}:policy/readers",
    "repository": "arn:aws:ecr:local:{account}:repository/team/app",
    "domain": "arn:aws:ecr:local:{account}:encryption-domain/alias/team",
}


def resource_of(operation: AnyOperation, account: str) -> str:
    """What a policy must name: what is made, else what the path names first, else everything."""
    first = operation.placeholders[0] if operation.placeholders else ""
    return (MADE.get(operation.name) or NAMED.get(first, "*")).format(account=account)


@pytest.mark.furnished
@ALL
async def test_operation_is_done_for_who_is_allowed_it(registry: Registry, operation: AnyOperation) -> None:
    """By one statement with its action on its resource; who is refused is told what is missing."""
    names = names_of(registry)
    async with administered(registry.root) as people:
        resource = resource_of(operation, people.account_id)
        carol = await people.add("carol")
        without = await perform(registry, operation, names, carol)
        await people.give("carol", allow(operation.action, Resource=resource))
        allowed = await perform(registry, operation, names, carol)

    assert code(without) == (403, "AccessDenied")
    assert operation.action in problem(without)["detail"]
    assert problem(without)["action"] == operation.action
    assert problem(without)["resource"] == resource
    assert problem(without)["denied_by"] is None
    assert allowed.status == (operation.status if operation.answer is not None else 204), allowed.body


@pytest.mark.settings(dev=True)
async def test_development_mode_opens_nothing_of_the_admin_api(registry: Registry) -> None:
    for method, path in (("GET", "/users"), ("POST", "/users"), ("GET", "/settings"), ("DELETE", "/users/bob")):
        assert code(await call(registry, method, path, authorization=None)) == (401, "CredentialsMissing")


async def test_wrong_password_is_refused_with_a_challenge(registry: Registry) -> None:
    answer = await call(registry, "GET", "/users", authorization=basic("admin", "wrong"))

    assert code(answer) == (401, "CredentialsInvalid")
    assert "registry:admin:*" in answer.headers["WWW-Authenticate"]


async def test_token_to_pull_does_not_administer(registry: Registry) -> None:
    """A docker client's token in the wrong hands makes no users, though its owner may."""
    token = await registry.token("repository:app:pull,push")

    answer = await call(registry, "POST", "/users", {"name": "eve"}, authorization=token)

    assert code(answer) == (401, "ScopeInsufficient")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert code(await call(registry, "GET", "/users/eve")) == (404, "NotThere")


async def test_token_with_the_admin_scope_does_what_its_owner_may(registry: Registry) -> None:
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("lading:ListUsers"))
    token = await registry.token("registry:admin:*", authorization=carol)

    assert (await call(registry, "GET", "/users", authorization=token)).status == 200
    assert code(await call(registry, "GET", "/groups", authorization=token)) == (403, "AccessDenied")


async def test_token_for_the_catalog_does_not_administer(registry: Registry) -> None:
    token = await registry.token("registry:catalog:*")

    assert code(await call(registry, "GET", "/users", authorization=token)) == (401, "ScopeInsufficient")


async def test_access_key_administers_as_its_user(registry: Registry) -> None:
    async with administered(registry.root) as people:
        await people.add("carol", allow("lading:GetSettings"))
        key = await people.keys.create("carol")

    answer = await call(registry, "GET", "/settings", authorization=basic(key.id, key.secret))

    assert answer.status == 200


async def test_users_look_after_themselves_with_one_policy_for_all(registry: Registry) -> None:
    """The usual self-service statement: whoever asks may change the password and keys of that user, and no other."""
    async with administered(registry.root) as people:
        await done(registry, "POST", "/groups", {"name": "everybody"})
        own = allow("lading:SetPassword", "lading:*AccessKey*", Resource="arn:aws:iam::*:user/${aws:username}")
        document = {"Version": "2012-10-17", "Statement": [own]}
        await done(registry, "PUT", "/groups/everybody/inline-policies/self-service", {"document": document})
        alice, carol = await people.add("alice"), await people.add("carol")
    for user in ("alice", "carol"):
        await done(registry, "PUT", f"/groups/everybody/members/{user}")

    made = await call(registry, "POST", "/users/alice/access-keys", authorization=alice)

    assert made.status == 201
    assert code(await call(registry, "POST", "/users/carol/access-keys", authorization=alice)) == (403, "AccessDenied")
    password = await call(registry, "PUT", "/users/alice/password", {"password": "mine"}, authorization=carol)
    assert code(password) == (403, "AccessDenied")
    path = f"/users/alice/access-keys/{made.document['access_key_id']}"
    assert code(await call(registry, "DELETE", path, authorization=carol)) == (403, "AccessDenied")
    # Nor through their own name: the key is not theirs.
    path = f"/users/carol/access-keys/{made.document['access_key_id']}"
    assert code(await call(registry, "DELETE", path, authorization=carol)) == (404, "NotThere")
    assert (await call(registry, "GET", "/users/alice/access-keys", authorization=alice)).status == 200


async def test_denied_by_names_the_statement(registry: Registry) -> None:
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("lading:*"), deny("lading:Delete*", Sid="NothingGoes"))

    answer = await call(registry, "DELETE", "/users/bob", authorization=carol)

    assert answer.status == 403
    assert problem(answer)["denied_by"] == {"policy": "user/carol/inline/own", "sid": "NothingGoes", "statement": 1}
    assert (await call(registry, "GET", "/users/bob", authorization=carol)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PUT", "/users/admin/password", {"password": "mine"}),
        ("POST", "/users/admin/access-keys", None),
        ("PATCH", "/users/admin", {"disabled": True}),
        ("DELETE", "/users/admin", None),
    ],
)
async def test_only_the_root_user_changes_the_root_user(
    registry: Registry, method: str, path: str, document: object
) -> None:
    """Else whoever may set passwords could become the one whom no policy limits."""
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("*"))

    answer = await call(registry, method, path, document, authorization=carol)

    assert code(answer) == (403, "AccessDenied")
    assert "only the root user" in problem(answer)["detail"]
    assert (await call(registry, "GET", "/users", authorization=ADMIN)).status == 200


async def test_users_is_not_root(registry: Registry) -> None:
    """The root user's ARN is its own, and not one of `user/*`."""
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("lading:GetUser", Resource="arn:aws:iam::*:user/*"))
        answer = await call(registry, "GET", "/users/admin", authorization=carol)
        assert problem(answer)["resource"] == f"arn:aws:iam::{people.account_id}:root"

    assert (await call(registry, "GET", "/users/bob", authorization=carol)).status == 200


async def test_condition_on_the_source_counts(registry: Registry) -> None:
    elsewhere = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    here = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("lading:ListUsers", Condition=elsewhere))
        assert (await call(registry, "GET", "/users", authorization=carol)).status == 403
        await people.give("carol", allow("lading:ListUsers", Condition=here))

    assert (await call(registry, "GET", "/users", authorization=carol)).status == 200


async def test_change_counts_at_the_next_request_on_another_worker(start: Start) -> None:
    """What one worker is told, the other knows: policies, passwords, disabled users."""
    async with start() as one, start() as other:
        await done(one, "POST", "/users", {"name": "carol", "password": "first"})
        carol = basic("carol", "first")
        assert (await call(other, "GET", "/users", authorization=carol)).status == 403

        document = {"Version": "2012-10-17", "Statement": [allow("lading:ListUsers")]}
        await done(one, "PUT", "/users/carol/inline-policies/own", {"document": document})
        token = await other.token("registry:admin:*", authorization=carol)
        for credentials in (carol, token):
            assert (await call(other, "GET", "/users", authorization=credentials)).status == 200

        await done(one, "PUT", "/users/carol/password", {"password": "second"})
        for credentials in (carol, token):
            assert (await call(other, "GET", "/users", authorization=credentials)).status == 401
        carol = basic("carol", "second")
        assert (await call(other, "GET", "/users", authorization=carol)).status == 200

        await done(one, "PATCH", "/users/carol", {"disabled": True})
        assert (await call(other, "GET", "/users", authorization=carol)).status == 401
