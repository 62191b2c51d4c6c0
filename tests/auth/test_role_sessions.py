"""Assuming a role as a user or as another role, and what a role's administrator can change."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.actions import Action
from auth.authorizer import Authorizer
from auth.callers import Caller, CredentialKind
from auth.directory import Directory
from auth.errors import AccessDenied, CredentialsMissing, NotThere, SessionInvalid, TokenInvalid
from auth.passwords import Passwords
from auth.policy.findings import PolicyInvalid
from auth.policy_documents import Owner, OwnerKind, PolicyDocuments
from auth.principals import ANONYMOUS, Principal, PrincipalKind, Session
from auth.role_sessions import RoleSessions
from auth.roles import Roles
from auth.scopes import Access
from storage.metadata.accounts import add_account
from storage.metadata.principals import NewPrincipal, add_principal
from storage.metadata.sqlite import SqliteDatabase

ACCOUNT = "123456789012"
NOW = 1_700_000_000.0
OPENED = ("aws:TokenIssueTime", "2023-11-14T22:13:20Z")
ALICE = Caller(Principal(ACCOUNT, "alice", PrincipalKind.USER), credential=CredentialKind.PASSWORD)
ROOT = Caller(Principal(ACCOUNT, "admin", PrincipalKind.ROOT), credential=CredentialKind.PASSWORD)
BY_ACCOUNT = {"AWS": ACCOUNT}
BY_NAME = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}
ASSUME = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/*"}
PULL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}})


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def trust(principal: Any, **members: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **members})


class Account:
    """An account with a root user and alice."""

    def __init__(self, database: SqliteDatabase, passwords: Passwords, clock: SimpleNamespace) -> None:
        def now() -> float:
            time: float = clock.time
            return time

        self.directory = Directory(database, bytes(32))
        self.authorizer = Authorizer(ACCOUNT, self.directory, "none")
        self.accounts = Accounts(database, ACCOUNT, passwords, now)
        self.policies = PolicyDocuments(database, now)
        self.roles = Roles(database, now)
        self.sessions = RoleSessions(self.directory, self.authorizer, ACCOUNT, now)

    async def allow(self, *statements: dict[str, Any], kind: OwnerKind = OwnerKind.USER, name: str = "alice") -> None:
        await self.policies.put_inline(Owner(kind, name), "own", document(*statements))

    async def refusal(self, role: str = "deployer", caller: Caller = ALICE) -> AccessDenied:
        with pytest.raises(AccessDenied) as raised:
            await self.sessions.assume(caller, role, "work")
        return raised.value


@pytest.fixture
async def account(database: SqliteDatabase, passwords: Passwords, clock: SimpleNamespace) -> Account:
    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    await database.write(lambda c: add_principal(c, NewPrincipal(ACCOUNT, "admin", "root"), 0))
    account = Account(database, passwords, clock)
    await account.accounts.create_user("alice")
    return account


async def test_a_user_that_a_role_trusts_by_name_assumes_it(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))

    caller = await account.sessions.assume(ALICE, "deployer", "work", policy=PULL, seconds=900)

    assert caller.principal == Principal(ACCOUNT, "deployer", PrincipalKind.ROLE, Session("work", (OPENED,), (PULL,)))
    assert caller.expires_at == NOW + 900
    assert caller.valid_after == NOW + 1
    assert caller.credential is CredentialKind.PASSWORD


async def test_trust_in_the_account_leaves_it_to_the_users_policies(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_ACCOUNT))
    await account.refusal()

    await account.allow(ASSUME)

    assert (await account.sessions.assume(ALICE, "deployer", "work")).principal.name == "deployer"


async def test_a_users_policies_alone_assume_nothing(account: Account) -> None:
    await account.accounts.create_role("deployer", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}))
    await account.allow(ASSUME)

    await account.refusal()


async def test_trust_for_web_identities_is_none_for_users(account: Account) -> None:
    federated = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/issuer.example.com"}
    document = trust(federated, Action="sts:AssumeRoleWithWebIdentity")
    await account.accounts.create_role("deployer", document)
    await account.allow(ASSUME)

    await account.refusal()


async def test_a_denying_policy_of_the_user_wins_and_is_named(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))
    await account.allow({**ASSUME, "Effect": "Deny", "Sid": "NoRoles"})

    refused = await account.refusal()

    assert refused.denied_by is not None
    assert refused.denied_by.sid == "NoRoles"


async def test_who_may_not_assume_a_role_learns_nothing_of_it(account: Account) -> None:
    """Not that it is there, not what its trust policy says."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Sid": "Secret"}
    await account.accounts.create_role("deployer", document(deny))

    refused, missing = await account.refusal("deployer"), await account.refusal("missing")

    assert refused.denied_by is None
    assert str(refused).replace("deployer", "missing") == str(missing)
    assert "sts:AssumeRole" in str(missing)


async def test_the_root_user_assumes_no_role(account: Account) -> None:
    """As in AWS; it may do everything anyway."""
    await account.accounts.create_role("deployer", trust("*"))

    assert "the root user assumes no role" in str(await account.refusal(caller=ROOT))


async def test_who_did_not_log_in_assumes_no_role(account: Account) -> None:
    await account.accounts.create_role("deployer", trust("*"))

    with pytest.raises(CredentialsMissing):
        await account.sessions.assume(Caller(ANONYMOUS), "deployer", "work")


async def test_a_bearer_token_assumes_no_role(account: Account) -> None:
    """It was given for some repositories, and whoever stole it must not get further."""
    await account.accounts.create_role("deployer", trust(BY_NAME))

    with pytest.raises(TokenInvalid):
        await account.sessions.assume(replace(ALICE, ceiling=Access(())), "deployer", "work")


async def test_a_trust_policy_sees_the_user_and_the_request(account: Account) -> None:
    condition = {
        "StringEquals": {"sts:RoleSessionName": "${aws:username}"},
        "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
    }
    await account.accounts.create_role("deployer", trust(BY_NAME, Condition=condition))
    facts = {"aws:SourceIp": "10.1.2.3"}

    assert (await account.sessions.assume(ALICE, "deployer", "alice", facts=facts)).principal.name == "deployer"
    with pytest.raises(AccessDenied):
        await account.sessions.assume(ALICE, "deployer", "bob", facts=facts)
    with pytest.raises(AccessDenied):
        await account.sessions.assume(ALICE, "deployer", "alice", facts={"aws:SourceIp": "192.0.2.1"})


async def test_a_role_assumes_another_for_an_hour_at_most(account: Account, clock: SimpleNamespace) -> None:
    by_role = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/deployer"}
    await account.accounts.create_role("deployer", trust(BY_NAME))
    await account.accounts.create_role("inner", trust(by_role))
    for role in ("deployer", "inner"):
        await account.roles.set_max_session_seconds(role, 43_200)
    outer = await account.sessions.assume(ALICE, "deployer", "work", seconds=43_200)

    assert (await account.sessions.assume(outer, "inner", "work")).expires_at == NOW + 3600
    with pytest.raises(SessionInvalid):
        await account.sessions.assume(outer, "inner", "work", seconds=3601)


async def test_a_session_ends_with_the_credentials_that_opened_it(account: Account) -> None:
    """Or a role that trusts itself would never end."""
    await account.accounts.create_role("deployer", trust(BY_NAME))

    caller = await account.sessions.assume(replace(ALICE, expires_at=NOW + 60), "deployer", "work")

    assert caller.expires_at == NOW + 60


async def test_a_session_lasts_an_hour_unless_told_otherwise(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))
    await account.roles.set_max_session_seconds("deployer", 7200)
    hour = await account.sessions.assume(ALICE, "deployer", "work")
    await account.roles.set_max_session_seconds("deployer", 900)
    quarter = await account.sessions.assume(ALICE, "deployer", "work")

    assert (hour.expires_at, quarter.expires_at) == (NOW + 3600, NOW + 900)


@pytest.mark.parametrize("seconds", [-1, 0, 899, 3601])
async def test_a_session_lasts_no_longer_than_the_role_allows(account: Account, seconds: int) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))

    with pytest.raises(SessionInvalid):
        await account.sessions.assume(ALICE, "deployer", "work", seconds=seconds)


@pytest.mark.parametrize("name", ["", "x", "x" * 65, "a/b", "a b"])
async def test_a_name_that_no_session_can_have_is_refused(account: Account, name: str) -> None:
    with pytest.raises(SessionInvalid):
        await account.sessions.assume(ALICE, "deployer", name)


async def test_a_policy_of_a_session_is_short_and_valid(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))

    with pytest.raises(SessionInvalid):
        await account.sessions.assume(ALICE, "deployer", "work", policy=PULL + " " * 2048)
    with pytest.raises(PolicyInvalid):
        await account.sessions.assume(ALICE, "deployer", "work", policy="{}")


async def test_a_session_may_do_what_role_and_session_policy_allow_together(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))
    allowed = {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:PutImage"], "Resource": "*"}
    await account.allow(allowed, kind=OwnerKind.ROLE, name="deployer")
    limit = document({"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:BatchDeleteImage"], "Resource": "*"})
    caller = await account.sessions.assume(ALICE, "deployer", "work", policy=limit)
    await account.directory.refresh()
    resource = account.authorizer.repository("app")

    decisions = {
        action: (await account.authorizer.authorize(caller.principal, action, resource)).allowed
        for action in (Action.BATCH_GET_IMAGE, Action.PUT_IMAGE, Action.BATCH_DELETE_IMAGE)
    }

    assert decisions == {
        Action.BATCH_GET_IMAGE: True,
        Action.PUT_IMAGE: False,
        Action.BATCH_DELETE_IMAGE: False,
    }


async def test_another_trust_policy_counts_at_once(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))
    await account.sessions.assume(ALICE, "deployer", "work")

    await account.roles.put_trust_policy("deployer", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}))

    await account.refusal()


async def test_revoking_moves_the_date_before_which_sessions_are_refused(
    account: Account, clock: SimpleNamespace
) -> None:
    """Also when it is done twice within a second."""
    await account.accounts.create_role("deployer", trust(BY_NAME))
    clock.time += 100.5
    dates = []
    for _ in range(2):
        await account.roles.revoke_sessions("deployer")
        dates.append((await account.roles.find("deployer")).valid_after)

    assert dates == [NOW + 101, NOW + 102]


async def test_a_policy_can_deny_the_sessions_that_were_opened_before_a_time(
    account: Account, clock: SimpleNamespace
) -> None:
    """As IAM's console revokes older sessions: those opened since, and the user that opens them, go on."""
    await account.accounts.create_role("deployer", trust(BY_NAME))
    older = {"DateLessThan": {"aws:TokenIssueTime": "2023-11-14T22:13:21Z"}}
    deny_older = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": older}
    for kind, name in ((OwnerKind.ROLE, "deployer"), (OwnerKind.USER, "alice")):
        await account.allow({**ASSUME, "Action": "ecr:*", "Resource": "*"}, deny_older, kind=kind, name=name)
    before = await account.sessions.assume(ALICE, "deployer", "work")
    clock.time += 1
    after = await account.sessions.assume(ALICE, "deployer", "work")

    repository = account.authorizer.repository("app")
    decided = [
        (await account.authorizer.authorize(caller.principal, Action.BATCH_GET_IMAGE, repository)).outcome.value
        for caller in (before, after, ALICE)
    ]

    assert decided == ["explicitDeny", "allowed", "allowed"]


@pytest.mark.parametrize("seconds", [0, 899, 43_201])
async def test_a_role_is_assumed_for_a_quarter_of_an_hour_to_twelve_hours(account: Account, seconds: int) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))

    with pytest.raises(SessionInvalid):
        await account.roles.set_max_session_seconds("deployer", seconds)


async def test_a_trust_policy_is_checked_before_it_is_kept(account: Account) -> None:
    await account.accounts.create_role("deployer", trust(BY_NAME))

    with pytest.raises(PolicyInvalid):
        await account.roles.put_trust_policy("deployer", PULL)

    assert (await account.roles.find("deployer")).trust_policy == trust(BY_NAME)


async def test_what_is_no_role_is_not_changed(account: Account) -> None:
    """A user of the name is none."""
    for change in (
        account.roles.find("alice"),
        account.roles.put_trust_policy("alice", trust(BY_NAME)),
        account.roles.set_max_session_seconds("alice", 900),
        account.roles.revoke_sessions("alice"),
    ):
        with pytest.raises(NotThere):
            await change
