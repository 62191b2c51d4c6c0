"""`lading policy` and `lading repo policy`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.registry.commands.conftest import Run

PolicyFile = Callable[..., str]
PULL = {"Sid": "Pull", "Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}
PUSH = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}
NO_PUSH = {"Sid": "Frozen", "Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"}
ALICE = "arn:aws:iam::123456789012:user/alice"
APP = "arn:aws:ecr:local:123456789012:repository/app"


def simulate(lading: Run, action: str, *more: str, user: str = "alice") -> tuple[str, list[str]]:
    """The decision about a user, and the policies that made it."""
    words = ("--user", user, "--action", action, "--resource", "app", *more)
    document = lading("policy", "simulate", *words, "--json").document
    return document["decision"], [statement["policy"] for statement in document["statements"]]


def test_inline_policy_counts_at_once(lading: Run, policy_file: PolicyFile) -> None:
    lading("user", "create", "alice")
    before = simulate(lading, "ecr:BatchGetImage")

    put = lading("policy", "put", "--user", "alice", "--name", "pull", "--file", policy_file(PULL))

    assert put.code == 0
    assert before == ("implicitDeny", [])
    assert simulate(lading, "ecr:BatchGetImage") == ("allowed", ["user/alice/inline/pull"])
    assert json.loads(lading("policy", "show", "--user", "alice", "--name", "pull").out)["Statement"] == [PULL]
    assert lading("policy", "list", "--user", "alice").out == "inline  pull\n"
    assert lading("policy", "delete", "--user", "alice", "--name", "pull").code == 0
    assert simulate(lading, "ecr:BatchGetImage") == ("implicitDeny", [])


def test_managed_policy_counts_where_it_is_attached(lading: Run, policy_file: PolicyFile) -> None:
    """To a user, and through a group; a new version counts for both."""
    for user in ("alice", "carol"):
        lading("user", "create", user)
    lading("group", "create", "dev")
    lading("group", "add", "dev", "carol")

    assert lading("policy", "put", "--name", "p", "--file", policy_file(PULL), "--json").document["version"] == 1
    lading("policy", "attach", "--name", "p", "--user", "alice")
    lading("policy", "attach", "--name", "p", "--group", "dev")
    assert [simulate(lading, "ecr:BatchGetImage", user=user)[0] for user in ("alice", "carol")] == ["allowed"] * 2

    assert lading("policy", "put", "--name", "p", "--file", policy_file(PUSH), "--json").document["version"] == 2
    assert [simulate(lading, "ecr:BatchGetImage", user=user)[0] for user in ("alice", "carol")] == ["implicitDeny"] * 2
    assert simulate(lading, "ecr:PutImage", user="carol") == ("allowed", ["policy/p"])
    assert lading("policy", "list", "--group", "dev", "--json").document["attached"] == ["p"]
    assert lading("policy", "detach", "--name", "p", "--user", "alice").code == 0
    assert simulate(lading, "ecr:PutImage") == ("implicitDeny", [])
    assert lading("policy", "list").out == "p\n"
    assert lading("policy", "delete", "--name", "p").code == 0
    assert simulate(lading, "ecr:PutImage", user="carol") == ("implicitDeny", [])


def test_boundary_is_set_and_lifted(lading: Run, policy_file: PolicyFile) -> None:
    lading("user", "create", "alice")
    lading("policy", "put", "--user", "alice", "--name", "push", "--file", policy_file(PUSH))
    lading("policy", "put", "--name", "readers", "--file", policy_file(PULL))

    assert lading("policy", "attach", "--boundary", "--name", "readers", "--user", "alice").code == 0
    assert lading("policy", "list", "--user", "alice", "--json").document["permissions_boundary"] == "readers"
    assert simulate(lading, "ecr:PutImage") == ("implicitDeny", [])
    assert "is the boundary of a user or role" in lading("policy", "delete", "--name", "readers").err
    assert lading("policy", "detach", "--boundary", "--user", "alice").code == 0
    assert simulate(lading, "ecr:PutImage")[0] == "allowed"


def test_registry_policy_is_written_shown_and_deleted(lading: Run, policy_file: PolicyFile) -> None:
    lading("user", "create", "alice")
    lading("policy", "put", "--user", "alice", "--name", "push", "--file", policy_file(PUSH))
    frozen = {**NO_PUSH, "Principal": "*"}

    assert lading("policy", "put", "--registry", "--file", policy_file(frozen)).code == 0
    assert simulate(lading, "ecr:PutImage") == ("explicitDeny", ["registry"])
    assert json.loads(lading("policy", "show", "--registry").out)["Statement"] == [frozen]
    assert lading("policy", "delete", "--registry").code == 0
    assert simulate(lading, "ecr:PutImage")[0] == "allowed"


def test_simulation_takes_conditions_and_says_why(lading: Run, policy_file: PolicyFile) -> None:
    """The root user is asked about like any other."""
    lading("user", "create", "alice")
    only_dev = {**PUSH, "Condition": {"StringLike": {"ecr:ImageTag": "dev-*"}}}
    lading("policy", "put", "--user", "alice", "--name", "push", "--file", policy_file(only_dev))

    assert simulate(lading, "ecr:PutImage", "--context", "ecr:ImageTag=dev-1")[0] == "allowed"
    assert simulate(lading, "ecr:PutImage", "--context", "ecr:ImageTag=prod")[0] == "implicitDeny"
    assert simulate(lading, "ecr:PutImage", user="admin") == ("allowed", [])
    words = ("--user", "alice", "--action", "ecr:PutImage", "--resource", "app")
    assert lading("policy", "simulate", *words).out == (
        "implicitDeny: no identity-based or resource-based policy allows it\n"
    )


def test_simulation_tells_of_a_disabled_user(lading: Run) -> None:
    """Whatever its policies say."""
    lading("user", "create", "alice")
    lading("user", "disable", "alice")

    ran = lading("policy", "simulate", "--user", "alice", "--action", "ecr:PutImage", "--resource", "app")

    assert "lading user enable alice" in ran.out


def request(**members: Any) -> str:
    policy = {"Version": "2012-10-17", "Statement": [PULL, NO_PUSH]}
    line = {"principal": ALICE, "resource": APP, "context": {}, "identity_policies": [policy]}
    return json.dumps({**line, "resource_policy": None, "permissions_boundary": None, **members})


def test_simulation_of_a_file_needs_no_registry(lading: Run, tmp_path: Path, root: Path) -> None:
    """An answer a line, errors included; `-` is standard input."""
    lines = [
        request(action="ecr:BatchGetImage"),
        request(action="ecr:PutImage"),
        request(action="ecr:ListImages"),
        request(action="ecr:PutImage", identity_policies=[{"Statement": []}]),
        "not json",
    ]
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(lines) + "\n")
    (root / "registry.db").unlink()

    from_file = lading("policy", "simulate", "--input", str(file), "--json")
    from_input = lading("policy", "simulate", "--input", "-", "--json", stdin="\n\n".join(lines))
    in_words = lading("policy", "simulate", "--input", str(file))

    answers = [json.loads(line) for line in from_file.out.splitlines()]
    assert (from_file.code, from_input.out, len(answers)) == (0, from_file.out, 5)
    assert [answer.get("decision") for answer in answers[:3]] == ["allowed", "explicitDeny", "implicitDeny"]
    assert answers[0]["statements"] == [{"policy": "identity_policies[0]", "sid": "Pull", "effect": "Allow"}]
    assert "error" in answers[3]
    assert "error" in answers[4]
    assert in_words.out.splitlines()[1] == "explicitDeny: Deny Frozen of identity_policies[0]"


def test_document_is_validated(lading: Run, policy_file: PolicyFile) -> None:
    """Exit 1 and line, field and rule for one that would be refused; `--kind` for what else policies are for."""
    good = lading("policy", "validate", "--file", policy_file(PULL))
    bad = lading("policy", "validate", "--file", policy_file({**PULL, "Effect": "Maybe"}))
    as_json = lading("policy", "validate", "--json", "--file", policy_file({**PULL, "Effect": "Maybe"}))
    trust = lading("policy", "validate", "--kind", "resource", "--file", policy_file(PULL))

    assert (good.code, good.out) == (0, "the policy is valid\n")
    assert bad.code == 1
    assert "error: line 1, Statement[0].Effect: " in bad.out
    assert "[INVALID_EFFECT]" in bad.out
    assert (as_json.code, json.loads(as_json.out)["valid"]) == (1, False)
    assert json.loads(as_json.out)["findings"][0]["rule"] == "INVALID_EFFECT"
    assert (trust.code, "MISSING_PRINCIPAL" in trust.out) == (1, True)


def test_invalid_document_is_not_stored(lading: Run, policy_file: PolicyFile) -> None:
    lading("user", "create", "alice")

    ran = lading("policy", "put", "--user", "alice", "--name", "p", "--file", policy_file({**PULL, "Effect": "Maybe"}))

    assert ran.code == 1
    assert "line 1, Statement[0].Effect" in ran.err
    assert lading("policy", "list", "--user", "alice").out == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("put", "--user", "alice", "--file", "FILE"), 2),
        (("put", "--user", "alice", "--group", "dev", "--name", "p", "--file", "FILE"), 2),
        (("attach", "--name", "p"), 2),
        (("show",), 2),
        (("simulate",), 2),
        (("simulate", "--user", "alice"), 2),
        (("simulate", "--input", "FILE", "--user", "alice"), 2),
        (("simulate", "--user", "a", "--action", "b", "--resource", "c", "--context", "d"), 2),
        (("put", "--user", "nobody", "--name", "p", "--file", "FILE"), 1),
        (("put", "--user", "admin", "--name", "p", "--file", "FILE"), 1),
        (("put", "--name", "p", "--file", "/nowhere"), 1),
        (("attach", "--name", "nothing", "--group", "nobodies"), 1),
        (("delete", "--name", "nothing"), 1),
        (("simulate", "--input", "/nowhere"), 1),
        (("validate", "--file", "/nowhere"), 1),
    ],
)
def test_what_cannot_be_done_is_told(lading: Run, policy_file: PolicyFile, words: tuple[str, ...], code: int) -> None:
    """2 for arguments that do not go together, 1 for what is not there."""
    file = policy_file(PULL)

    ran = lading("policy", *(file if word == "FILE" else word for word in words))

    assert (ran.code, ran.out) == (code, "")
    assert ran.err


def test_policy_of_a_repository_needs_the_repository(lading: Run, policy_file: PolicyFile) -> None:
    """It appears with its first push."""
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}

    for words in (("set", "app", "--file", policy_file(everybody)), ("show", "app"), ("delete", "app")):
        ran = lading("repo", "policy", *words)
        assert (ran.code, ran.out) == (1, "")
        assert "app" in ran.err
