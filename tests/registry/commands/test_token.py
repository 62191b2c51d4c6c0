"""`lading token`."""

import re
from collections.abc import Callable

import pytest

from tests.registry.commands.conftest import Run

PULL = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}


def test_service_token_is_made_listed_and_deleted(lading: Run, policy_file: Callable[..., str]) -> None:
    """Its text is shown once."""
    lading("user", "create", "alice")
    limits = ("--expires-at", "2100-01-31T00:00:00Z", "--file", policy_file(PULL))

    made = lading("token", "create", "ci", "--user", "alice", *limits, "--json").document
    other = lading("token", "create", "cron", "--user", "alice")
    listed = lading("token", "list", "--user", "alice")

    assert re.fullmatch(r"ldt_[a-z2-7]{16}_[A-Za-z0-9]{43}", made["token"])
    assert (made["name"], made["expires_at"]) == ("ci", "2100-01-31T00:00:00Z")
    assert re.search(r"\n    ldt_\S+\n", other.out)
    assert listed.out == "ci    until 2100-01-31T00:00:00Z  limited by a policy\ncron  without an end\n"
    assert "ldt_" not in lading("token", "list", "--user", "alice", "--json").out
    assert lading("token", "delete", "ci", "--user", "alice").code == 0
    assert [each["name"] for each in lading("token", "list", "--user", "alice", "--json").document] == ["cron"]


def test_signed_token_is_taken_back(lading: Run) -> None:
    """By its id; a second time is no error."""
    for _ in range(2):
        assert lading("token", "revoke", "0123abcd").out == "the token 0123abcd is refused from now on\n"


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("create", "ci", "--user", "nobody"), 1, "there is no user nobody"),
        (("create", "a/b", "--user", "admin"), 1, "is no name"),
        (("create", "ci", "--user", "admin", "--expires-at", "2001-01-01T00:00:00Z"), 1, "its end has passed"),
        (("create", "ci", "--user", "admin", "--expires-at", "soon"), 1, "expires_at: "),
        (("list", "--user", "nobody"), 1, "there is no user nobody"),
        (("delete", "ci", "--user", "admin"), 1, "list them with `lading token list --user NAME`"),
        (("revoke", "a b"), 1, "there is no token 'a b': its id is the jti that it says"),
    ],
)
def test_failure_says_what_to_do(lading: Run, words: tuple[str, ...], code: int, complaint: str) -> None:
    ran = lading("token", *words)

    assert ran.code == code
    assert complaint in ran.err
