"""The challenge that sends a client to the token endpoint."""

import pytest

from auth.actions import ScopeType, ScopeWord
from auth.challenge import bearer_challenge
from auth.scopes import Scope

PUSH_SCOPE = Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.PUSH, ScopeWord.PULL}))
REALM = "http://127.0.0.1:5000/auth/token"


def test_challenge_without_scope() -> None:
    """GET /v2/ names no scope: clients make up their own."""
    assert bearer_challenge(REALM, "lading") == f'Bearer realm="{REALM}",service="lading"'


def test_challenge_with_scope_and_error() -> None:
    """A token that lacks a scope is told which."""
    assert (
        bearer_challenge(REALM, "lading", [PUSH_SCOPE], "insufficient_scope")
        == f'Bearer realm="{REALM}",service="lading",scope="repository:a/b:pull,push",error="insufficient_scope"'
    )


def test_several_scopes_share_one_parameter() -> None:
    """A mount needs a token for two repositories."""
    other = Scope(ScopeType.REPOSITORY, "c", frozenset({ScopeWord.PULL}))

    assert 'scope="repository:a/b:pull,push repository:c:pull"' in bearer_challenge(
        REALM, "lading", [PUSH_SCOPE, other]
    )


@pytest.mark.parametrize(
    ("realm", "written"),
    [
        ('http://h"x/', r'realm="http://h\"x/"'),
        ("http://h\\x/", r'realm="http://h\\x/"'),
        ("http://h\r\nSet-Cookie: a/", 'realm="http://h%0D%0ASet-Cookie: a/"'),
        ("http://h\x00/", 'realm="http://h%00/"'),
        ("http://bücher/", 'realm="http://b%C3%BCcher/"'),
        ("http://\udcff/", 'realm="http://?/"'),
    ],
)
def test_realm_cannot_leave_its_quotes(realm: str, written: str) -> None:
    """The realm may come from a Host header: it splits no header and adds no parameter."""
    assert bearer_challenge(realm, "lading") == f'Bearer {written},service="lading"'
