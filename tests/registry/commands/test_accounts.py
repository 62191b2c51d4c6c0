"""`lading user`, `group`, `role` and `key`."""

import re
from collections.abc import Callable

import pytest

from tests.registry.commands.conftest import Run

PULL = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}


def test_user_is_made_listed_and_shown(lading: Run) -> None:
    """For people, and for programs."""
    made = lading("user", "create", "alice", "--password-stdin", stdin="s3cret\n")
    listed = lading("user", "list", "--json").document
    shown = lading("user", "show", "alice", "--json").document

    assert (made.code, made.err) == (0, "")
    assert "lading policy put --user alice" in made.out
    assert [(user["name"], user["kind"]) for user in listed] == [("admin", "root"), ("alice", "user")]
    assert re.fullmatch(r"arn:aws:iam::[0-9]{12}:user/alice", shown["arn"])
    assert shown["has_password"] is True
    assert (shown["disabled"], shown["groups"], shown["access_keys"]) == (False, [], [])
    assert "alice" in lading("user", "list").out
    assert "password" in lading("user", "show", "alice").out


def test_user_without_a_password_is_told_the_ways_in(lading: Run) -> None:
    """What to do next."""
    made = lading("user", "create", "robot")

    assert "lading key create --user robot" in made.out
    assert lading("user", "show", "robot", "--json").document["has_password"] is False


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("user", "create", "admin"), "there is a user admin already"),
        (("user", "create", "no/slash"), "is no name"),
        (("user", "create", "LK" + "A" * 18), "is no name"),
        (("user", "create", "bob", "--password-stdin"), "a password has 1 to 1024 characters"),
        (("user", "show", "nobody"), "there is no user nobody: list them with `lading user list`"),
        (("user", "disable", "nobody"), "there is no user nobody"),
        (("user", "delete", "admin"), "admin is the root user"),
        (("user", "disable", "admin"), "admin is the root user"),
        (("user", "password", "nobody"), "there is no user nobody"),
        (("group", "add", "nobodies", "admin"), "there is no group nobodies"),
        (("group", "delete", "nobodies"), "there is no group nobodies"),
        (("group", "list", "nobodies"), "there is no group nobodies"),
        (("key", "create", "--user", "nobody"), "there is no user nobody"),
        (("key", "list", "--user", "nobody"), "there is no user nobody"),
        (("key", "disable", "LK" + "A" * 18), "there is no access key LK"),
        (("key", "delete", "x"), "there is no access key x"),
        (("role", "delete", "nobody"), "there is no role nobody"),
        (("user", "list", "--root", "/nowhere"), "there is no data directory /nowhere"),
    ],
)
def test_failure_is_one_line_that_says_what_to_do(lading: Run, words: tuple[str, ...], complaint: str) -> None:
    """Exit 1, nothing on standard output."""
    ran = lading(*words, stdin="\n")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("lading: ")
    assert ran.err.count("\n") == 1
    assert complaint in ran.err


@pytest.mark.parametrize("words", [("user",), ("user", "fly"), ("user", "create"), ("key", "create"), ("repo",)])
def test_wrong_usage_exits_with_2(lading: Run, words: tuple[str, ...]) -> None:
    assert lading(*words).code == 2


def test_user_is_disabled_enabled_and_deleted(lading: Run) -> None:
    lading("user", "create", "alice")

    assert lading("user", "disable", "alice").code == 0
    assert lading("user", "show", "alice", "--json").document["disabled"] is True
    assert lading("user", "enable", "alice").code == 0
    assert lading("user", "show", "alice", "--json").document["disabled"] is False
    assert lading("user", "delete", "alice").code == 0
    assert lading("user", "show", "alice").code == 1


def test_password_is_generated_or_given(lading: Run) -> None:
    """A generated one is shown once; a given one never."""
    lading("user", "create", "alice")

    generated = lading("user", "password", "alice", "--json").document
    given = lading("user", "password", "alice", "--password-stdin", stdin="s3cret\n")

    assert re.fullmatch(r"(?:[a-z2-9]{5}-){3}[a-z2-9]{5}", generated["password"])
    assert given.code == 0
    assert "s3cret" not in given.out


def test_root_user_can_be_given_another_password(lading: Run) -> None:
    """Who has lost it has the machine."""
    assert lading("user", "password", "admin").code == 0


def test_key_is_made_as_programs_read_it(lading: Run) -> None:
    """An id like LK and 18 base32 characters, a secret of 40 without a colon; a third one is refused."""
    lading("user", "create", "alice")

    key = lading("key", "create", "--user", "alice", "--json").document
    other = lading("key", "create", "--user", "alice")
    third = lading("key", "create", "--user", "alice")

    assert key.keys() == {"access_key_id", "secret_access_key"}
    assert re.fullmatch(r"LK[A-Z2-7]{18}", key["access_key_id"])
    assert re.fullmatch(r"[A-Za-z0-9]{40}", key["secret_access_key"])
    assert other.code == 0
    assert (third.code, "there can be 2 access keys of alice at most" in third.err) == (1, True)


def test_key_is_listed_disabled_enabled_and_deleted(lading: Run) -> None:
    """Without its secret."""
    lading("user", "create", "alice")
    key = lading("key", "create", "--user", "alice", "--json").document
    key_id = key["access_key_id"]

    assert lading("key", "disable", key_id).code == 0
    listed = lading("key", "list", "--user", "alice", "--json")
    assert [(each["access_key_id"], each["active"], each["last_used_at"]) for each in listed.document] == [
        (key_id, False, None)
    ]
    assert key["secret_access_key"] not in listed.out
    assert lading("key", "enable", key_id).code == 0
    assert lading("key", "list", "--user", "alice").out == f"{key_id}  active  never used\n"
    assert lading("key", "delete", key_id).code == 0
    assert lading("key", "list", "--user", "alice").out == ""


def test_group_has_members(lading: Run) -> None:
    lading("user", "create", "alice")

    assert lading("group", "create", "dev").code == 0
    assert lading("group", "create", "dev").code == 1
    assert lading("group", "add", "dev", "alice").code == 0
    assert lading("group", "list").out == "dev\n"
    assert lading("group", "list", "dev", "--json").document == ["alice"]
    assert lading("user", "show", "alice", "--json").document["groups"] == ["dev"]
    assert lading("group", "remove", "dev", "alice").code == 0
    assert lading("group", "list", "dev", "--json").document == []
    assert lading("group", "delete", "dev").code == 0


def test_role_needs_a_trust_policy(lading: Run, policy_file: Callable[..., str]) -> None:
    """One that the grammar takes."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}

    refused = lading("role", "create", "deployer", "--file", policy_file(PULL))
    made = lading("role", "create", "deployer", "--file", policy_file(trust))

    assert (refused.code, "invalid policy" in refused.err) == (1, True)
    assert made.code == 0
    assert lading("role", "list").out == "deployer\n"
    assert lading("role", "delete", "deployer").code == 0
