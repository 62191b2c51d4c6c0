"""What docs/policies.md says is so: its documents are valid, its tables are decided so, its commands print that."""

import asyncio
import json
import re
import shlex
import time
from pathlib import Path
from typing import Final

import pytest

from auth.actions import Action
from auth.authorizer import REGION
from auth.directory import principal_facts
from auth.policy.conditions import parse_operator
from auth.policy.context import Context
from auth.policy.document import PolicyKind, Request
from auth.policy.evaluation import Decision, NamedPolicy, Policies, evaluate
from auth.policy.findings import Rule
from auth.policy.parsing import MOST_CHARACTERS, parse_policy, validate_policy
from auth.policy.requesters import ANYBODY, Requester
from auth.policy.vocabulary import _KEY_PREFIXES, _KEYS
from auth.principals import Principal, PrincipalKind, Session
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.databases import open_databases
from storage.metadata.repositories import add_repository
from tests.architecture.source import PROJECT
from tests.docs.page import Block, blocks, commands, rows, sections
from tests.registry.commands.conftest import Run

PAGE: Final = (PROJECT / "docs" / "policies.md").read_text()
SECTIONS: Final = sections(PAGE)
ACCOUNT: Final = "123456789012"
KINDS: Final = {
    "identity": PolicyKind.IDENTITY,
    "boundary": PolicyKind.IDENTITY,
    "session": PolicyKind.IDENTITY,
    "repository": PolicyKind.RESOURCE,
    "registry": PolicyKind.REGISTRY,
    "trust": PolicyKind.TRUST,
}
REQUESTS: Final = ("who", "does", "to", "with", "decision")
DOCUMENTS: Final = [block for block in blocks(PAGE, "json") if block.words[0] in KINDS]
ASKED: Final = [(title, *row) for title, text in SECTIONS.items() for row in rows(text, *REQUESTS)]


@pytest.mark.parametrize("block", DOCUMENTS, ids=lambda block: " ".join(block.words))
def test_document_has_nothing_to_say_against_it(block: Block) -> None:
    """No error, and no warning either."""
    assert validate_policy(block.text, KINDS[block.words[0]]) == []


def test_every_worked_policy_is_asked_what_it_allows_and_what_not() -> None:
    worked = {title: rows(text, *REQUESTS) for title, text in SECTIONS.items() if re.match(r"\d+\. ", title)}

    assert len(worked) >= 10
    for title, asked in worked.items():
        outcomes = {row[-1].partition(":")[0] for row in asked}
        assert "allowed" in outcomes, title
        assert outcomes & {"implicitDeny", "explicitDeny"}, title


@pytest.mark.parametrize(("title", "who", "does", "to", "told", "expected"), ASKED)
def test_request_is_decided_as_the_table_says(
    title: str, who: str, does: str, to: str, told: str, expected: str
) -> None:
    """With the documents of its section, and by the statement that it names."""
    outcome, _, sid = expected.partition(": ")
    facts = dict(pair.split("=", 1) for pair in told.split("; ") if pair)

    decision = _decide(blocks(SECTIONS[title], "json"), who, does, to, facts)

    assert decision.outcome.value == outcome
    if sid:
        assert sid in {match.sid for match in decision.matches}


def _decide(shown: list[Block], who: str, does: str, to: str, facts: dict[str, str]) -> Decision:
    if to.startswith("role/"):
        return _decide_trust(shown, who, does, to, facts)
    principal = _principal(who)
    is_known = principal.kind is not PrincipalKind.ANONYMOUS
    role_arn = principal.role_arn if principal.kind is PrincipalKind.ROLE else None
    requester = Requester(principal.arn, ACCOUNT, is_root=who == "admin", role_arn=role_arn) if is_known else ANYBODY
    context = Context({**facts, **(principal_facts(principal, {}) if is_known else {})})
    resource = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{to}"
    if to == "*" or to.startswith("user/"):
        resource = "*" if to == "*" else f"arn:aws:iam::{ACCOUNT}:{to}"
    policies = Policies(
        identity=_of(shown, "identity", who),
        resource=next(iter(_of(shown, "repository", to)), None),
        registry=next(iter(_of(shown, "registry", "-")), None),
        boundary=next(iter(_of(shown, "boundary", who)), None),
        sessions=_of(shown, "session", who),
    )
    return evaluate(Request(requester, does, resource, context), policies)


def _decide_trust(shown: list[Block], provider: str, does: str, role: str, claims: dict[str, str]) -> Decision:
    requester = Requester(provider, "", federated=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}")
    context = Context({f"{provider}:{claim}": value for claim, value in claims.items()})
    (trust,) = _of(shown, "trust", role)
    return evaluate(Request(requester, does, f"arn:aws:iam::{ACCOUNT}:{role}", context), Policies(resource=trust))


def _principal(who: str) -> Principal:
    match who.split("/"):
        case ["anonymous"]:
            return Principal("", "", PrincipalKind.ANONYMOUS)
        case ["admin"]:
            return Principal(ACCOUNT, "admin", PrincipalKind.ROOT)
        case ["role", name]:
            return Principal(ACCOUNT, name, PrincipalKind.ROLE, Session("run-7"))
    return Principal(ACCOUNT, who, PrincipalKind.USER)


def _of(shown: list[Block], kind: str, owner: str) -> tuple[NamedPolicy, ...]:
    return tuple(
        NamedPolicy(kind, parse_policy(block.text, KINDS[kind])) for block in shown if block.words[:2] == (kind, owner)
    )


ORDER: Final = rows(SECTIONS["How it is decided"], "identity", "repository", "boundary", "session", "decision")
_EFFECTS: Final = {"allows": "Allow", "denies": "Deny"}


@pytest.mark.parametrize(("identity", "repository", "boundary", "session", "expected"), ORDER)
def test_policies_meet_as_the_table_says(
    identity: str, repository: str, boundary: str, session: str, expected: str
) -> None:
    """Of every kind there is none, one that is silent about the request, or one that allows or denies it."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/alice"
    effect, _, named = repository.partition(" to the ")
    audience = {"": "*", "user": {"AWS": arn}, "account": {"AWS": ACCOUNT}}[named]

    decision = evaluate(
        Request(Requester(arn, ACCOUNT), "ecr:PutImage", f"arn:aws:ecr:local:{ACCOUNT}:repository/a", Context({})),
        Policies(
            identity=_said(identity),
            resource=next(iter(_said(effect, Principal=audience)), None),
            boundary=next(iter(_said(boundary)), None),
            sessions=_said(session),
        ),
    )

    assert decision.outcome.value == expected


def _said(word: str, **members: object) -> tuple[NamedPolicy, ...]:
    if word == "none":
        return ()
    action = "ecr:ListImages" if word == "silent" else "ecr:PutImage"
    statement = {"Effect": _EFFECTS.get(word, "Allow"), "Action": action, "Resource": "*", **members}
    kind = PolicyKind.RESOURCE if members else PolicyKind.IDENTITY
    return (NamedPolicy(kind.value, parse_policy(json.dumps({"Statement": statement}), kind)),)


def test_every_condition_key_is_listed_and_no_other() -> None:
    """Those that validation knows; a key with a part of one's own stands for all of its kind."""
    listed = {key for row in rows(PAGE, "key", "value", "is there") for key in re.findall(r"`([^`]+)`", row[0])}

    own = {"PROVIDER:CLAIM", "jwt:CLAIM"} | {key for key in listed if key.endswith("/k")}
    assert {key.lower() for key in listed - own} == _KEYS
    assert {key.removesuffix("k").removesuffix("CLAIM").lower() for key in own - {"PROVIDER:CLAIM"}} == {*_KEY_PREFIXES}


def test_every_operator_is_listed_and_no_other() -> None:
    listed = re.findall(r"`(\w+)`", "".join(row[0] for row in rows(PAGE, "operators", "compare")))

    assert len(listed) == len(set(listed)) == 27
    assert all(parse_operator(name) is not None for name in listed)


def test_every_action_of_a_route_is_listed() -> None:
    listed = "".join(row[1] for row in rows(PAGE, "request", "action", "scope of a token"))

    assert [action.value for action in Action if f"`{action.value}`" not in listed] == []


def test_sizes_are_those_that_are_enforced() -> None:
    places = rows(PAGE, "kind", "with", "says", "characters")
    sizes = {row[0].partition(",")[0]: int(row[-1].replace(",", "")) for row in places}

    kinds = {**KINDS, "permissions boundary": PolicyKind.IDENTITY}
    assert sizes == {kind: MOST_CHARACTERS[kinds[kind]] for kind in sizes}
    assert {kinds[kind] for kind in sizes} == set(PolicyKind)


def test_commands_print_what_the_page_shows(
    lading: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed one after the other, in a folder with the documents of the page."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGE, "json"):
        (tmp_path / block.words[-1]).write_text(block.text)
    asyncio.run(_make_repository(root, "team/app"))
    wrong = []
    for command in commands(PAGE):
        program, *words = shlex.split(command.line)

        ran = lading(*words)

        assert program == "lading"
        if ran.out + ran.err != command.output:
            wrong.append(f"$ {command.line}\n{ran.out}{ran.err}")
    assert not wrong, "\n".join(wrong)


async def _make_repository(root: Path, name: str) -> None:
    databases = open_databases(Settings(storage=StorageSettings(root=root)))
    await databases.registry.write(lambda connection: add_repository(connection, name, time.time()))
    await databases.close()


def test_broken_document_breaks_several_rules() -> None:
    """One that was mended would show nothing."""
    (broken,) = (block for block in blocks(PAGE, "json") if block.words[0] == "broken")

    assert {found.rule for found in validate_policy(broken.text, PolicyKind.IDENTITY)} > {Rule.INVALID_EFFECT}
