"""From a header to a caller."""

import base64
from functools import partial
from types import SimpleNamespace

import pytest

from auth.actions import ScopeType, ScopeWord
from auth.authenticator import Authenticator, Caller
from auth.credentials import BasicCredentials
from auth.errors import CredentialsInvalid, TokenInvalid
from auth.keys import SigningKey
from auth.passwords import Passwords
from auth.principals import ANONYMOUS, AnonymousMode, Principal, PrincipalKind
from auth.scopes import Access, Scope
from auth.tokens import TokenIssuer, TokenVerifier
from storage.metadata.accounts import StoredPrincipal, add_account, add_principal
from storage.metadata.sqlite import SqliteDatabase

ACCOUNT = "123456789012"
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
PULL = Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.PULL}))


class CountedVerification:
    """A verification that takes `hash of X` for the hash of X, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, password: str, phc: str) -> bool:
        self.count += 1
        return phc == f"hash of {password}"


@pytest.fixture
async def people(database: SqliteDatabase) -> SqliteDatabase:
    await database.write(lambda connection: add_account(connection, ACCOUNT, 0))
    stored = (
        StoredPrincipal(ACCOUNT, "admin", "root", "hash of admin"),
        StoredPrincipal(ACCOUNT, "bob", "user", "hash of secret"),
        StoredPrincipal(ACCOUNT, "robot", "user", None),
    )
    for principal in stored:
        await database.write(partial(add_principal, new=principal, now=0))
    return database


@pytest.fixture
def verification() -> CountedVerification:
    return CountedVerification()


@pytest.fixture
def issuer(key: SigningKey, clock: SimpleNamespace) -> TokenIssuer:
    return TokenIssuer([key], "iss", "aud", 300, lambda: clock.time)


def authenticator_of(
    people: SqliteDatabase,
    key: SigningKey,
    clock: SimpleNamespace,
    verification: CountedVerification,
    mode: AnonymousMode,
) -> Authenticator:
    verifier = TokenVerifier([key], "iss", "aud", lambda: clock.time)
    return Authenticator(people, verifier, Passwords(verify=verification), mode)


@pytest.fixture
def authenticator(
    people: SqliteDatabase, key: SigningKey, clock: SimpleNamespace, verification: CountedVerification
) -> Authenticator:
    return authenticator_of(people, key, clock, verification, "none")


@pytest.fixture
def open_authenticator(
    people: SqliteDatabase, key: SigningKey, clock: SimpleNamespace, verification: CountedVerification
) -> Authenticator:
    return authenticator_of(people, key, clock, verification, "pull")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def test_no_header_is_the_anonymous_caller(authenticator: Authenticator) -> None:
    """Whether an anonymous caller may do anything is for the rules to say."""
    assert await authenticator.authenticate(None) == Caller(ANONYMOUS, None)


async def test_password_makes_a_caller_without_ceiling(authenticator: Authenticator) -> None:
    """Basic credentials carry all that their user may do."""
    assert await authenticator.authenticate(basic("bob", "secret")) == Caller(BOB, None)


async def test_root_user_is_told_from_others(authenticator: Authenticator) -> None:
    """The kind comes from the database, not from the name."""
    caller = await authenticator.authenticate(basic("admin", "admin"))

    assert caller.principal == Principal(ACCOUNT, "admin", PrincipalKind.ROOT)


async def test_password_in_a_form_is_checked_alike(authenticator: Authenticator) -> None:
    """Docker posts name and password to the token endpoint."""
    assert await authenticator.check_password(BasicCredentials("bob", "secret")) == Caller(BOB, None)


async def test_every_wrong_login_looks_and_costs_the_same(
    authenticator: Authenticator, verification: CountedVerification
) -> None:
    """Nobody learns which users there are: one message, one derivation, whatever was wrong."""
    messages = set()
    attempts = [("bob", "wrong"), ("nobody", "secret"), ("Bob", "secret"), ("robot", ""), ("robot", "None")]

    for name, password in attempts:
        with pytest.raises(CredentialsInvalid) as raised:
            await authenticator.authenticate(basic(name, password))
        messages.add(str(raised.value))

    assert messages == {"the user name or the password is wrong"}
    assert verification.count == len(attempts)


async def test_malformed_header_is_not_anonymous(authenticator: Authenticator) -> None:
    """Broken credentials never fall back to none."""
    with pytest.raises(CredentialsInvalid):
        await authenticator.authenticate("Basic")


async def test_token_makes_a_caller_under_its_ceiling(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """A token carries no more than what is written in it."""
    token = issuer.mint("bob", [PULL]).text

    assert await authenticator.authenticate(f"Bearer {token}") == Caller(BOB, Access((PULL,)))


async def test_token_without_scopes_is_a_ceiling_too(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """An empty token is not an unlimited one."""
    caller = await authenticator.authenticate(f"Bearer {issuer.mint('bob', []).text}")

    assert caller.ceiling == Access(())


async def test_token_ends_with_its_user(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """A user who is gone is gone at the next request, though the token is still valid."""
    with pytest.raises(TokenInvalid, match="no longer exists"):
        await authenticator.authenticate(f"Bearer {issuer.mint('gone', [PULL]).text}")


async def test_forged_token_is_refused(authenticator: Authenticator) -> None:
    """What the verifier refuses makes no caller."""
    with pytest.raises(TokenInvalid):
        await authenticator.authenticate("Bearer a.b.c")


async def test_anonymous_token_while_anonymous_access_is_on(
    open_authenticator: Authenticator, issuer: TokenIssuer
) -> None:
    """Clients fetch a token even to pull without credentials."""
    caller = await open_authenticator.authenticate(f"Bearer {issuer.mint('', [PULL]).text}")

    assert caller == Caller(ANONYMOUS, Access((PULL,)))


async def test_anonymous_token_after_anonymous_access_was_turned_off(
    authenticator: Authenticator, issuer: TokenIssuer
) -> None:
    """A setting that was narrowed bites at the next request."""
    with pytest.raises(TokenInvalid, match="anonymous"):
        await authenticator.authenticate(f"Bearer {issuer.mint('', [PULL]).text}")
