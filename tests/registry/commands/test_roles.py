"""`lading role`: trust, sessions and identity providers."""

import json
from collections.abc import Callable

import pytest

from tests.registry.commands.conftest import Run

TRUST = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
OTHER = {**TRUST, "Principal": {"AWS": "*"}}
GITHUB = "https://token.actions.githubusercontent.com"


def test_a_trust_policy_is_replaced_and_shown(lading: Run, policy_file: Callable[..., str]) -> None:
    lading("role", "create", "ci", "--file", policy_file(TRUST))

    changed = lading("role", "trust", "set", "ci", "--file", policy_file(OTHER))

    assert (changed.code, changed.err) == (0, "")
    assert lading("role", "trust", "show", "ci", "--json").document["Statement"] == [OTHER]
    assert json.loads(lading("role", "trust", "show", "ci").out)["Statement"] == [OTHER]


def test_a_trust_policy_of_a_provider_draws_no_warning(lading: Run, policy_file: Callable[..., str]) -> None:
    federated = {"Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}
    condition = {"StringEquals": {"token.actions.githubusercontent.com:sub": "repo:octo/app:ref:refs/heads/main"}}
    action = "sts:AssumeRoleWithWebIdentity"
    file = policy_file({"Effect": "Allow", "Principal": federated, "Action": action, "Condition": condition})

    checked = lading("policy", "validate", "--file", file, "--kind", "trust")

    assert (checked.code, checked.err) == (0, "")
    assert "does not exist" not in checked.out


def test_sessions_are_revoked(lading: Run, policy_file: Callable[..., str]) -> None:
    lading("role", "create", "ci", "--file", policy_file(TRUST))

    assert lading("role", "revoke", "ci").code == 0


def test_a_provider_is_made_listed_and_deleted(lading: Run) -> None:
    made = lading("role", "provider", "create", GITHUB, "--audience", "a", "--audience", "b", "--json").document
    listed = lading("role", "provider", "list", "--json").document
    deleted = lading("role", "provider", "delete", made["name"])

    assert made == {
        "name": "token.actions.githubusercontent.com",
        "issuer": GITHUB,
        "audiences": ["a", "b"],
        "jwks_url": None,
        "allow_private": False,
    }
    assert listed == [made]
    assert deleted.code == 0
    assert lading("role", "provider", "list", "--json").document == []


def test_a_private_provider_has_to_be_allowed(lading: Run) -> None:
    words = ("role", "provider", "create", "http://10.0.0.1:8080", "--audience", "lading")

    assert "plain http is only for providers that may be on a private network" in lading(*words).err
    assert lading(*words, "--allow-private").code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("role", "revoke", "nobody"), "there is no role nobody"),
        (("role", "trust", "show", "nobody"), "there is no role nobody"),
        (("role", "provider", "delete", "nobody"), "there is no identity provider nobody"),
        (("role", "provider", "create", "issuer", "--audience", "a"), "invalid identity provider"),
    ],
)
def test_failure_says_why(lading: Run, words: tuple[str, ...], complaint: str) -> None:
    ran = lading(*words)

    assert (ran.code, ran.out) == (1, "")
    assert complaint in ran.err


@pytest.mark.parametrize("words", [("role", "trust"), ("role", "provider"), ("role", "provider", "create", GITHUB)])
def test_wrong_usage_exits_with_2(lading: Run, words: tuple[str, ...]) -> None:
    assert lading(*words).code == 2
