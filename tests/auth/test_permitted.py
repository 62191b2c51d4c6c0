"""Decisions that are kept for the bearers of tokens: never one that would be another now."""

import json
import time
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.actions import Action, ScopeType, ScopeWord
from auth.authorizer import Authorizer
from auth.callers import Caller
from auth.directory import Directory
from auth.errors import AccessDenied, ScopeInsufficient
from auth.passwords import Passwords
from auth.permitted import Permitted
from auth.policy_documents import Owner, OwnerKind, PolicyDocuments
from auth.principals import Principal, PrincipalKind, Session
from auth.scopes import Access, Scope
from storage.metadata.accounts import add_account
from storage.metadata.sqlite import SqliteDatabase

ACCOUNT = "123456789012"
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
EVERYTHING = Access((Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.ALL})),))
PULL = Action.BATCH_GET_IMAGE


class Counted(Authorizer):
    """An authorizer that counts how often it works a decision out."""

    count = 0

    def _decide(self, *arguments: Any) -> Any:
        self.count += 1
        return super()._decide(*arguments)


class Rules:
    """One user's policy, and how requests under a token fare."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.directory = Directory(database, bytes(32))
        self.authorizer = Counted(ACCOUNT, self.directory, "none")
        self.policies = PolicyDocuments(database, time.time)
        self.caller = Caller(BOB, EVERYTHING)

    async def give(self, *statements: dict[str, Any]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        await self.policies.put_inline(Owner(OwnerKind.USER, "bob"), "own", document)

    async def ask(self, caller: Caller | None = None, action: str = PULL, name: str = "a/b", **facts: str) -> bool:
        await self.directory.refresh()
        told = {key.replace("_", ":"): value for key, value in facts.items()}
        try:
            await self.authorizer.permit(caller or self.caller, action, self.authorizer.repository(name), told)
        except (AccessDenied, ScopeInsufficient):
            return False
        return True


@pytest.fixture
async def rules(database: SqliteDatabase, passwords: Passwords) -> Rules:
    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    await Accounts(database, ACCOUNT, passwords, time.time).create_user("bob")
    return Rules(database)


def allow(resource: str = "*", **members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "ecr:*", "Resource": resource, **members}


async def test_decision_is_worked_out_once(rules: Rules) -> None:
    """For one bearer, action and repository; whatever the facts, where no policy looks at them."""
    await rules.give(allow())

    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert await rules.ask(aws_SourceIp=address)

    assert rules.authorizer.count == 1


async def test_refusal_is_not_kept(rules: Rules) -> None:
    """It is told anew, with its reasons."""
    for _ in range(2):
        assert not await rules.ask()

    assert rules.authorizer.count == 2


async def test_narrowed_policy_bites_at_the_next_request(rules: Rules) -> None:
    """Nothing that was kept outlives a change."""
    await rules.give(allow())
    assert await rules.ask()

    await rules.give(allow(Effect="Deny"))

    assert not await rules.ask()


async def test_condition_is_asked_with_the_facts_of_each_request(rules: Rules) -> None:
    """One token from two addresses, and back again."""
    await rules.give(allow(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))

    assert await rules.ask(aws_SourceIp="192.0.2.1")
    assert await rules.ask(aws_SourceIp="192.0.2.1")
    assert rules.authorizer.count == 1
    assert not await rules.ask(aws_SourceIp="198.51.100.1")
    assert not await rules.ask()
    assert await rules.ask(aws_SourceIp="192.0.2.2")


async def test_deny_under_a_condition_counts_too(rules: Rules) -> None:
    """A statement that did not apply to the first request may apply to the next."""
    await rules.give(allow(), allow(Effect="Deny", Condition={"StringEquals": {"ecr:ImageTag": "secret"}}))

    assert await rules.ask(ecr_ImageTag="latest")
    assert not await rules.ask(ecr_ImageTag="secret")


async def test_variable_is_filled_by_each_request(rules: Rules) -> None:
    """In the resource as well."""
    await rules.give(allow("arn:aws:ecr:*:*:repository/a/${ecr:ImageTag}"))

    assert await rules.ask(ecr_ImageTag="b")
    assert not await rules.ask(ecr_ImageTag="c")


async def test_policy_of_a_session_is_asked_with_the_facts_of_each_request(rules: Rules) -> None:
    """It limits a token like any other."""
    await rules.give(allow())
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    limit = json.dumps({"Version": "2012-10-17", "Statement": allow(Condition=condition)})
    limited = Caller(Principal(ACCOUNT, "bob", PrincipalKind.USER, Session(policies=(limit,))), EVERYTHING)

    assert await rules.ask(limited, aws_SourceIp="192.0.2.1")
    assert not await rules.ask(limited, aws_SourceIp="198.51.100.1")


async def test_tokens_do_not_share_what_is_kept(rules: Rules) -> None:
    """Two of one user, one of them for less."""
    await rules.give(allow())
    narrow = Caller(BOB, Access((Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.PULL})),)))

    assert await rules.ask(action=Action.PUT_IMAGE)
    assert not await rules.ask(narrow, action=Action.PUT_IMAGE)
    assert await rules.ask(narrow)
    assert not await rules.ask(narrow, name="a/c")


async def test_what_nobody_could_tell_yet_is_not_kept(rules: Rules) -> None:
    """Lenient answers open the way to the real question, and do not answer it."""
    await rules.give(allow(Condition={"StringEquals": {"ecr:ArtifactType": "image"}}))
    await rules.directory.refresh()
    repository = rules.authorizer.repository("a/b")

    await rules.authorizer.permit(rules.caller, PULL, repository, unknown=("ecr:artifacttype",))

    assert not await rules.ask()


async def test_what_no_fact_could_change_is_worked_out_once_though_not_all_are_known(rules: Rules) -> None:
    """Before a manifest is read, and after."""
    await rules.give(allow())
    await rules.directory.refresh()
    repository = rules.authorizer.repository("a/b")

    for _ in range(2):
        await rules.authorizer.permit(rules.caller, PULL, repository, unknown=("ecr:artifacttype",))
        assert await rules.ask(ecr_ArtifactType="image")

    assert rules.authorizer.count == 1


async def test_what_was_kept_for_some_facts_says_nothing_while_not_all_are_known(rules: Rules) -> None:
    """The decision is another one's: a lenient answer is worked out, and the real question asked."""
    await rules.give(allow(Condition={"StringEquals": {"ecr:ArtifactType": "image"}}))
    repository = rules.authorizer.repository("a/b")
    assert await rules.ask(ecr_ArtifactType="image")

    for _ in range(2):
        await rules.authorizer.permit(rules.caller, PULL, repository, {}, unknown=("ecr:artifacttype",))
        assert not await rules.ask(ecr_ArtifactType="chart")

    assert rules.authorizer.count == 1 + 2 + 2


def test_keeping_is_bounded() -> None:
    """A crowd of questions makes it forget."""
    permitted: Permitted[str] = Permitted()
    caller, edition = Caller(BOB, EVERYTHING), object()
    for number in range(16_384):
        permitted.keep(edition, caller, PULL, str(number), None, "yes")
    assert permitted.find(edition, caller, PULL, "0", {}) == "yes"

    permitted.keep(edition, caller, PULL, "one more", None, "yes")

    assert permitted.find(edition, caller, PULL, "0", {}) is None
    assert permitted.find(edition, caller, PULL, "one more", {}) == "yes"


def test_caller_that_only_looks_the_same_finds_nothing() -> None:
    """What is kept belongs to one verified token, for one edition of the policies."""
    permitted: Permitted[str] = Permitted()
    caller, edition = Caller(BOB, EVERYTHING), object()
    permitted.keep(edition, caller, PULL, "a", {"k": "v"}, "yes")

    assert permitted.find(edition, caller, PULL, "a", {"k": "v"}) == "yes"
    assert permitted.find(edition, Caller(BOB, EVERYTHING), PULL, "a", {"k": "v"}) is None
    assert permitted.find(object(), caller, PULL, "a", {"k": "v"}) is None
    assert permitted.find(edition, caller, PULL, "a", {"k": "w"}) is None
    assert permitted.find(edition, caller, PULL, "a", None) is None
