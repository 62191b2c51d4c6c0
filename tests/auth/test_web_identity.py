"""Roles for programs that their platform vouches for, against an issuer that the test runs."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from auth.callers import CredentialKind
from auth.errors import KeysUnavailable, SessionInvalid, WebIdentityInvalid
from auth.identity_providers import IdentityProviders
from auth.principals import PrincipalKind
from auth.roles import Roles
from tests.auth.issuer import NOW, RSA_KEY, jwk
from tests.auth.trusting import ACCOUNT, UNTRUSTED, Trusting

GITHUB = {
    "sub": "repo:octo-org/octo-repo:environment:production",
    "aud": "https://registry.example.com",
    "repository": "octo-org/octo-repo",
    "repository_id": "74",
    "repository_owner": "octo-org",
    "repository_visibility": "private",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "ref_protected": "true",
    "environment": "production",
    "event_name": "push",
    "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
    "run_attempt": "2",
    "runner_environment": "github-hosted",
    "jti": "example-id",
}
GITLAB = {
    "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
    "aud": "https://registry.example.com",
    "namespace_path": "my-group",
    "project_path": "my-group/my-project",
    "user_login": "sample-user",
    "pipeline_source": "push",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
    "groups_direct": ["my-group", "my-group/sub"],
    "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
}
KUBERNETES = {
    "sub": "system:serviceaccount:builds:builder",
    "aud": ["https://kubernetes.default.svc", "https://registry.example.com"],
    "kubernetes.io": {
        "namespace": "builds",
        "node": {"name": "node-1", "uid": "646e7c5e"},
        "pod": {"name": "build-7", "uid": "49f3a8c2"},
        "serviceaccount": {"name": "builder", "uid": "14ee3fa4"},
        "warnafter": 1_700_003_607,
    },
}


async def test_a_trusted_token_opens_a_session_of_the_role(trusting: Trusting) -> None:
    await trusting.trust("ci")

    caller = await trusting.caller("ci", "run-7")

    assert caller.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/run-7"
    assert caller.principal.kind is PrincipalKind.ROLE
    assert caller.credential is CredentialKind.WEB_IDENTITY
    assert caller.ceiling is None
    assert caller.access_key is None


async def test_a_role_is_named_by_its_arn_as_well(trusting: Trusting) -> None:
    await trusting.trust("ci")

    caller = await trusting.caller(f"arn:aws:iam::{ACCOUNT}:role/ci")

    assert caller.principal.name == "ci"
    assert await trusting.refusal("arn:aws:iam::210987654321:role/ci") == UNTRUSTED


async def test_a_session_lasts_as_long_as_those_of_the_role_may(trusting: Trusting) -> None:
    """Not only as long as the token, which its platform made for one login."""
    await trusting.trust("ci")
    hour = await trusting.caller()
    await Roles(trusting.database, lambda: NOW).set_max_session_seconds("ci", 43_200)
    half_a_day = await trusting.caller()

    assert (hour.expires_at, half_a_day.expires_at) == (NOW + 3600, NOW + 43_200)


async def test_a_session_is_dated_after_those_that_were_revoked(trusting: Trusting, clock: SimpleNamespace) -> None:
    await trusting.trust("ci")
    before = await trusting.caller()
    clock.time += 10
    await Roles(trusting.database, lambda: clock.time).revoke_sessions("ci")
    after = await trusting.caller()

    assert (before.valid_after, after.valid_after) == (NOW + 1, NOW + 11)


@pytest.mark.parametrize(
    ("claims", "condition", "stranger"),
    [
        (
            GITHUB,
            {
                "StringEquals": {"PROVIDER:aud": "https://registry.example.com"},
                "StringLike": {"PROVIDER:sub": "repo:octo-org/octo-repo:*"},
            },
            {"sub": "repo:octo-org/octo-repo-fork:ref:refs/heads/main"},
        ),
        (
            GITHUB,
            {"StringEquals": {"PROVIDER:repository": "octo-org/octo-repo", "PROVIDER:environment": "production"}},
            {"environment": None},
        ),
        (
            GITHUB,
            {"StringEquals": {"jwt:repository_owner": "octo-org"}, "Bool": {"jwt:ref_protected": "true"}},
            {"ref_protected": "false"},
        ),
        (
            GITLAB,
            {"StringLike": {"PROVIDER:sub": "project_path:my-group/*:ref_type:branch:ref:main"}},
            {"sub": "project_path:other/my-project:ref_type:branch:ref:main"},
        ),
        (
            GITLAB,
            {"ForAnyValue:StringEquals": {"PROVIDER:groups_direct": "my-group/sub"}},
            {"groups_direct": ["other"]},
        ),
        (
            KUBERNETES,
            {
                "StringEquals": {
                    "PROVIDER:sub": "system:serviceaccount:builds:builder",
                    "PROVIDER:aud": "https://registry.example.com",
                }
            },
            {"sub": "system:serviceaccount:default:builder"},
        ),
        (
            KUBERNETES,
            {
                "StringEquals": {
                    "PROVIDER:kubernetes.io/namespace": "builds",
                    "jwt:kubernetes.io/serviceaccount/name": "builder",
                }
            },
            {"kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "builder"}}},
        ),
    ],
    ids=["github", "github-environment", "github-owner", "gitlab", "gitlab-groups", "kubernetes", "kubernetes-claims"],
)
async def test_a_trust_policy_decides_on_the_claims(
    trusting: Trusting, claims: dict[str, Any], condition: dict[str, Any], stranger: dict[str, Any]
) -> None:
    """As the platforms and AWS document it."""
    await trusting.trust("ci", condition)

    assert (await trusting.caller(**claims)).principal.name == "ci"
    assert await trusting.refusal(**{**claims, **stranger}) == UNTRUSTED


async def test_a_session_knows_the_claims_it_was_opened_with(trusting: Trusting) -> None:
    """So that policies of the role can ask for them."""
    await trusting.trust("ci")

    claims: dict[str, Any] = {**KUBERNETES, "admin": False, "level": 3}
    session = (await trusting.caller(**claims)).principal.session

    assert session is not None
    facts = dict(session.facts)
    assert facts["jwt:sub"] == "system:serviceaccount:builds:builder"
    assert facts["jwt:aud"] == ("https://kubernetes.default.svc", "https://registry.example.com")
    assert facts["jwt:kubernetes.io/pod/name"] == "build-7"
    assert (facts["jwt:admin"], facts["jwt:level"]) == ("false", "3")
    assert facts["aws:FederatedProvider"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{trusting.provider}"
    assert facts["aws:TokenIssueTime"] == "2023-11-14T22:13:20Z"


async def test_a_session_leaves_out_the_longest_list(trusting: Trusting) -> None:
    await trusting.trust("ci", {"ForAnyValue:StringEquals": {"PROVIDER:groups": "group-499"}})

    claims: dict[str, Any] = {"groups": [f"group-{number}" for number in range(500)], "teams": ["a", "b"]}
    session = (await trusting.caller(**claims)).principal.session

    assert session is not None
    assert "jwt:groups" not in dict(session.facts)
    assert dict(session.facts)["jwt:teams"] == ("a", "b")


async def test_a_session_loses_no_single_claim(trusting: Trusting) -> None:
    """A policy may deny it something for one."""
    await trusting.trust("ci")

    assert "longer than a session can keep" in await trusting.refusal(ref="refs/heads/" + "x" * 4096)


@pytest.mark.parametrize("claims", [{"SUB": "admin"}, {"a/b": "admin", "a": {"b": "guest"}}])
async def test_no_claim_stands_in_for_another(trusting: Trusting, claims: dict[str, Any]) -> None:
    """The case of a condition key does not matter, and a slash leads into a claim."""
    await trusting.trust("ci")

    assert "two of its claims go by one name" in await trusting.refusal(**claims)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("repo:octo-org/octo-repo:ref:refs/heads/main", "repo-octo-org-octo-repo-ref-refs-heads-main"),
        ("system:serviceaccount:builds:builder", "system-serviceaccount-builds-builder"),
        ("x", "x-"),
        ("é", "--"),
        ("s" * 65, "s" * 55 + "-375a1f00"),
    ],
)
async def test_a_session_is_named_after_its_subject(trusting: Trusting, subject: str, name: str) -> None:
    await trusting.trust("ci")

    assert (await trusting.caller(sub=subject)).principal.arn.rpartition("/")[2] == name


@pytest.mark.parametrize("name", ["x", "x" * 65, "a/b", "a b", "a\n", ""])
async def test_a_name_that_no_session_can_have_is_refused(trusting: Trusting, name: str) -> None:
    await trusting.trust("ci")

    with pytest.raises(SessionInvalid):
        await trusting.caller("ci", name)


async def test_a_trust_policy_can_ask_for_the_name_of_the_session(trusting: Trusting) -> None:
    await trusting.trust("ci", {"StringEquals": {"sts:RoleSessionName": "${PROVIDER:sub}"}})

    assert (await trusting.caller("ci", "somebody")).principal.name == "ci"
    with pytest.raises(WebIdentityInvalid):
        await trusting.caller("ci", "somebody-else")


async def test_a_stranger_learns_of_no_role(trusting: Trusting) -> None:
    """A role that is missing, one that trusts others, and a token of somebody unknown get one answer."""
    await trusting.trust("refuses", {"StringEquals": {"PROVIDER:sub": "somebody else"}})
    await trusting.trust("trusts", Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/other"})
    await trusting.trust("assumed", Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole")
    await trusting.accounts.create_user("bob")

    refusals = [await trusting.refusal(role) for role in ("refuses", "trusts", "assumed", "missing", "bob", "")]
    refusals += [await trusting.refusal(role) for role in ("a\x00", "x" * 1000, "role/refuses", "\ud800")]
    refusals.append(await trusting.refusal("refuses", iss="https://unknown.example.com"))

    assert refusals == [UNTRUSTED] * 11


async def test_another_action_is_no_trust(trusting: Trusting) -> None:
    await trusting.trust("ci", Action="sts:AssumeRole")

    assert await trusting.refusal() == UNTRUSTED


@pytest.mark.parametrize("subject", ["iam::123456789012:user/alice", "sts::123456789012:assumed-role/ops/alice"])
async def test_no_subject_stands_for_a_principal_of_the_account(trusting: Trusting, subject: str) -> None:
    """Whatever an issuer calls somebody, a trust policy means its own users and sessions."""
    await trusting.trust("ops", Principal={"AWS": f"arn:aws:{subject}"}, Action="sts:*")

    assert await trusting.refusal("ops", sub=f"arn:aws:{subject}") == UNTRUSTED


async def test_a_deny_of_the_trust_policy_wins(trusting: Trusting) -> None:
    provider = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{trusting.provider}"}
    action = "sts:AssumeRoleWithWebIdentity"
    allow = {"Effect": "Allow", "Principal": provider, "Action": action}
    forks = {"StringNotEquals": {"jwt:repository_owner": "octo-org"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": action, "Condition": forks}
    await trusting.accounts.create_role("ci", json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]}))

    assert (await trusting.caller(repository_owner="octo-org")).principal.name == "ci"
    assert await trusting.refusal(repository_owner="evil-org") == UNTRUSTED
    assert await trusting.refusal() == UNTRUSTED


async def test_a_role_trusts_as_its_policy_says_at_each_login(trusting: Trusting) -> None:
    await trusting.trust("ci")
    await trusting.caller()
    statement = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    await Roles(trusting.database, lambda: NOW).put_trust_policy("ci", document)

    assert await trusting.refusal() == UNTRUSTED


async def test_a_provider_is_trusted_until_it_is_deleted(trusting: Trusting) -> None:
    await trusting.trust("ci")
    await trusting.caller()

    await IdentityProviders(trusting.database, lambda: NOW).delete(trusting.provider)

    assert await trusting.refusal() == UNTRUSTED


async def test_an_issuer_may_sign_with_another_key_at_any_time(trusting: Trusting, clock: SimpleNamespace) -> None:
    await trusting.trust("ci")
    await trusting.caller()
    clock.time += 61
    trusting.issuer.keys = [jwk(RSA_KEY, kid="second")]

    caller = await trusting.identities.caller("ci", trusting.issuer.token(kid="second"))

    assert caller.principal.name == "ci"
    assert "no key that its issuer publishes" in await trusting.refusal()


async def test_no_role_is_given_without_the_keys_of_the_issuer(trusting: Trusting) -> None:
    await trusting.trust("ci")
    trusting.issuer.is_away = True

    with pytest.raises(KeysUnavailable):
        await trusting.caller()


async def test_a_token_says_nothing_of_itself(trusting: Trusting) -> None:
    """Neither in its representation nor in what is raised."""
    await trusting.trust("ci")
    token = trusting.issuer.token(aud="another")

    with pytest.raises(WebIdentityInvalid) as raised:
        await trusting.identities.caller("ci", token)

    assert token not in repr(raised.value)
