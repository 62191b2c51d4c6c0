"""Refresh and service tokens: made, listed, deleted, bounded."""

import json
import re
from types import SimpleNamespace

import pytest

from auth import stored_tokens
from auth.callers import Caller, CredentialKind
from auth.errors import AccountNameInvalid, AlreadyThere, NotThere, SessionInvalid, TooMany
from auth.policy.findings import PolicyInvalid
from auth.principals import ANONYMOUS, Principal, PrincipalKind, Session
from auth.stored_tokens import StoredTokens, TokenText, draw_token
from storage.metadata.accounts import add_account
from storage.metadata.principals import NewPrincipal, add_principal
from storage.metadata.sqlite import SqliteDatabase
from storage.metadata.stored_tokens import REFRESH, find_stored_token, list_stored_tokens

ACCOUNT = "123456789012"
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
NOW = 1_700_000_000.0
POLICY = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}})


@pytest.fixture
async def tokens(database: SqliteDatabase, clock: SimpleNamespace) -> StoredTokens:
    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    await database.write(lambda c: add_principal(c, NewPrincipal(ACCOUNT, "bob", "user"), 0))
    return StoredTokens(database, 3600, lambda: clock.time)


def logged_in(valid_after: float = 0) -> Caller:
    return Caller(BOB, valid_after=valid_after, credential=CredentialKind.PASSWORD)


def test_token_can_be_found_in_files_and_stands_in_basic_credentials() -> None:
    """Scanners for secrets know it by its beginning; 256 random bits follow."""
    text = str(draw_token())

    assert re.fullmatch(r"ldt_[a-z2-7]{16}_[A-Za-z0-9]{43}", text)
    assert str(draw_token()) != text
    assert str(TokenText.parse(text)) == text


@pytest.mark.parametrize("text", ["", "ldt_", "ldt_a_b", "secret", "ldt_" + "a" * 16 + "_" + "b" * 44, "é" * 64])
def test_other_texts_are_no_token(text: str) -> None:
    """A password that begins alike stays a password."""
    assert TokenText.parse(text) is None


def test_secret_is_not_in_the_repr() -> None:
    """A token that gets into a log or a traceback stays secret."""
    token = draw_token()

    assert token.secret not in repr(token)


async def test_refresh_token_is_kept_as_a_hash(tokens: StoredTokens, database: SqliteDatabase) -> None:
    """A stolen database opens nothing."""
    token = await tokens.issue_refresh(logged_in())

    assert token is not None
    stored = await database.read(lambda c: find_stored_token(c, token.id))
    assert stored is not None
    assert token.opens(stored)
    assert not TokenText(token.id, draw_token().secret).opens(stored)
    assert token.secret.encode() not in stored.secret_hash
    assert (stored.user, stored.kind, stored.created_at, stored.expires_at) == ("bob", REFRESH, NOW, NOW + 3600)


async def test_refresh_token_is_dated_after_the_change_before_it(
    tokens: StoredTokens, database: SqliteDatabase
) -> None:
    """A password that was changed in this second ends the tokens from before it only."""
    token = await tokens.issue_refresh(logged_in(valid_after=NOW + 1))

    assert token is not None
    stored = await database.read(lambda c: find_stored_token(c, token.id))
    assert stored is not None
    assert stored.created_at == NOW + 1


@pytest.mark.parametrize(
    "credential",
    [kind for kind in CredentialKind if kind not in {CredentialKind.PASSWORD, CredentialKind.ACCESS_KEY}],
)
async def test_what_lives_for_a_while_gets_no_refresh_token(tokens: StoredTokens, credential: CredentialKind) -> None:
    """Nor does a service token, which can be kept itself, and nobody for being nobody."""
    assert await tokens.issue_refresh(Caller(BOB, credential=credential)) is None
    assert await tokens.issue_refresh(Caller(ANONYMOUS)) is None


async def test_limited_session_gets_no_refresh_token(tokens: StoredTokens) -> None:
    """It would carry more than the session."""
    limited = Principal(ACCOUNT, "bob", PrincipalKind.USER, Session())

    assert await tokens.issue_refresh(Caller(limited, credential=CredentialKind.PASSWORD)) is None


async def test_refresh_tokens_are_bounded(
    tokens: StoredTokens, database: SqliteDatabase, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest make room, several at once."""
    monkeypatch.setattr(stored_tokens, "MOST_REFRESH_TOKENS", 4)
    monkeypatch.setattr(stored_tokens, "_ROOM", 2)
    made = []
    for _ in range(5):
        made.append(await tokens.issue_refresh(logged_in()))
        clock.time += 1

    kept = await database.read(lambda c: list_stored_tokens(c, "bob", REFRESH))

    assert [each.id for each in kept] == [token.id for token in made[2:] if token is not None]


async def test_service_tokens_are_made_listed_and_deleted(tokens: StoredTokens, clock: SimpleNamespace) -> None:
    """By name."""
    await tokens.create_service("bob", "ci", expires_at=NOW + 60, policy=POLICY)
    clock.time += 1
    await tokens.create_service("bob", "cron")

    listed = await tokens.list_service("bob")
    await tokens.delete_service("bob", "ci")

    assert [(each.name, each.expires_at, each.policy) for each in listed] == [
        ("ci", NOW + 60, POLICY),
        ("cron", None, None),
    ]
    assert [each.name for each in await tokens.list_service("bob")] == ["cron"]


async def test_service_token_needs_a_user_and_a_free_name(tokens: StoredTokens) -> None:
    """Of its own."""
    await tokens.create_service("bob", "ci")

    with pytest.raises(AlreadyThere):
        await tokens.create_service("bob", "ci")
    with pytest.raises(NotThere):
        await tokens.create_service("nobody", "ci")
    with pytest.raises(NotThere):
        await tokens.list_service("nobody")
    with pytest.raises(NotThere):
        await tokens.delete_service("bob", "cron")
    with pytest.raises(AccountNameInvalid):
        await tokens.create_service("bob", "a/b")


async def test_service_tokens_are_bounded(tokens: StoredTokens) -> None:
    """A hundred of a user; nobody's token goes by itself."""
    for number in range(100):
        await tokens.create_service("bob", f"t{number}")

    with pytest.raises(TooMany):
        await tokens.create_service("bob", "one-more")


async def test_limits_of_a_service_token_are_checked(tokens: StoredTokens) -> None:
    """Before it is made."""
    with pytest.raises(SessionInvalid):
        await tokens.create_service("bob", "past", expires_at=NOW)
    with pytest.raises(SessionInvalid):
        await tokens.create_service("bob", "long", policy=" " * 4097)
    with pytest.raises(PolicyInvalid):
        await tokens.create_service("bob", "broken", policy="{}")
    assert await tokens.list_service("bob") == []


async def test_expired_tokens_are_swept(tokens: StoredTokens, database: SqliteDatabase, clock: SimpleNamespace) -> None:
    """And no others."""
    await tokens.issue_refresh(logged_in())
    await tokens.create_service("bob", "cron")
    clock.time += 3601

    await tokens.sweep()

    assert await database.read(lambda c: list_stored_tokens(c, "bob", REFRESH)) == []
    assert [each.name for each in await tokens.list_service("bob")] == ["cron"]
