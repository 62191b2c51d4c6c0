"""From a header to a caller."""

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.actions import ScopeType, ScopeWord
from auth.authenticator import Authenticator
from auth.bearers import Bearers
from auth.callers import Caller
from auth.claims import Parties
from auth.credentials import BasicCredentials
from auth.directory import Directory
from auth.errors import CredentialsInvalid, TokenInvalid
from auth.key_ring import KeyRing
from auth.keys import SigningKey
from auth.logins import Logins
from auth.passwords import Passwords
from auth.principals import ANONYMOUS, Principal, PrincipalKind
from auth.scopes import Access, Scope
from auth.throttle import Throttle
from auth.tokens import TokenIssuer, TokenVerifier
from storage.metadata.accounts import add_account
from storage.metadata.principals import NewPrincipal, add_principal
from storage.metadata.sqlite import SqliteDatabase

T = TypeVar("T")

ACCOUNT = "123456789012"
SECRETS_KEY = bytes(range(32))
PARTIES = Parties("iss", "aud")
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
        NewPrincipal(ACCOUNT, "admin", "root", "hash of admin"),
        NewPrincipal(ACCOUNT, "bob", "user", "hash of secret"),
        NewPrincipal(ACCOUNT, "robot", "user", None),
    )
    for principal in stored:
        await database.write(partial(add_principal, new=principal, now=0))
    return database


@pytest.fixture
def verification() -> CountedVerification:
    return CountedVerification()


@pytest.fixture
def issuer(key: SigningKey, clock: SimpleNamespace) -> TokenIssuer:
    return TokenIssuer(KeyRing([key]), PARTIES, 300, lambda: clock.time)


@pytest.fixture
def authenticator(
    people: SqliteDatabase,
    key: SigningKey,
    clock: SimpleNamespace,
    verification: CountedVerification,
    throttle: Throttle,
) -> Authenticator:
    verifier = TokenVerifier(KeyRing([key]), PARTIES, lambda: clock.time)
    directory = Directory(people, SECRETS_KEY)
    bearers = Bearers(directory, verifier, lambda: clock.time)
    return Authenticator(directory, bearers, Logins(Passwords(verify=verification), throttle, directory))


@pytest.fixture
def accounts(people: SqliteDatabase, clock: SimpleNamespace, passwords: Passwords) -> Accounts:
    return Accounts(people, ACCOUNT, passwords, lambda: clock.time)


@pytest.fixture
def access_keys(people: SqliteDatabase, clock: SimpleNamespace) -> AccessKeys:
    return AccessKeys(people, SECRETS_KEY, lambda: clock.time)


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
    token = issuer.mint(Caller(BOB), [PULL]).text

    assert await authenticator.authenticate(f"Bearer {token}") == Caller(BOB, Access((PULL,)))


async def test_token_without_scopes_is_a_ceiling_too(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """An empty token is not an unlimited one."""
    caller = await authenticator.authenticate(f"Bearer {issuer.mint(Caller(BOB), []).text}")

    assert caller.ceiling == Access(())


async def test_token_ends_with_its_user(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """A user who is gone is gone at the next request, though the token is still valid."""
    with pytest.raises(TokenInvalid, match="no longer exists"):
        await authenticator.authenticate(f"Bearer {issuer.mint(Caller(replace(BOB, name='gone')), [PULL]).text}")


async def test_forged_token_is_refused(authenticator: Authenticator) -> None:
    """What the verifier refuses makes no caller."""
    with pytest.raises(TokenInvalid):
        await authenticator.authenticate("Bearer a.b.c")


async def test_anonymous_token_makes_an_anonymous_caller(authenticator: Authenticator, issuer: TokenIssuer) -> None:
    """Clients fetch a token even to pull without credentials; what it opens is for the rules to say."""
    caller = await authenticator.authenticate(f"Bearer {issuer.mint(Caller(ANONYMOUS), [PULL]).text}")

    assert caller == Caller(ANONYMOUS, Access((PULL,)))


async def refused(authenticator: Authenticator, header: str) -> str:
    with pytest.raises((CredentialsInvalid, TokenInvalid)) as raised:
        await authenticator.authenticate(header)
    return str(raised.value)


async def test_disabled_user_is_refused_like_a_wrong_password(authenticator: Authenticator, accounts: Accounts) -> None:
    """Whoever has the password learns nothing from it any more."""
    await authenticator.authenticate(basic("bob", "secret"))

    await accounts.update_user("bob", disabled=True)

    assert await refused(authenticator, basic("bob", "secret")) == "the user name or the password is wrong"


async def test_token_of_a_disabled_user_is_refused(
    authenticator: Authenticator, accounts: Accounts, issuer: TokenIssuer, clock: SimpleNamespace
) -> None:
    """At the next request, though the token was remembered as valid; for good, though the user be enabled again."""
    token = f"Bearer {issuer.mint(Caller(BOB), [PULL]).text}"
    await authenticator.authenticate(token)
    clock.time += 1

    await accounts.update_user("bob", disabled=True)
    disabled = await refused(authenticator, token)
    await accounts.update_user("bob", disabled=False)

    assert disabled == "invalid token: its user is disabled"
    assert (await authenticator.authenticate(basic("bob", "secret"))).principal == BOB
    assert await refused(authenticator, token) == "invalid token: it was revoked: log in again"


async def test_tokens_end_with_the_password_they_were_fetched_with(
    authenticator: Authenticator, accounts: Accounts, issuer: TokenIssuer, clock: SimpleNamespace
) -> None:
    """A token from before the change is refused; one from after it, in the same second, is good."""
    before = f"Bearer {issuer.mint(Caller(BOB), [PULL]).text}"
    clock.time += 0.5
    await accounts.set_password("bob", "changed")
    clock.time += 0.1
    valid_after = (await accounts.user("bob")).valid_after
    after = f"Bearer {issuer.mint(Caller(BOB, valid_after=valid_after), [PULL]).text}"

    assert await refused(authenticator, before) == "invalid token: it was revoked: log in again"
    assert (await authenticator.authenticate(after)).principal == BOB


async def test_access_key_logs_in_as_its_user(authenticator: Authenticator, access_keys: AccessKeys) -> None:
    """The id is the user name, the secret the password."""
    key = await access_keys.create("bob")

    caller = await authenticator.authenticate(basic(key.id, key.secret))

    assert caller == Caller(BOB, None, key.id)


async def test_access_key_is_refused_when_anything_about_it_is_wrong(
    authenticator: Authenticator, access_keys: AccessKeys, accounts: Accounts, verification: CountedVerification
) -> None:
    """Another secret, another id, a disabled key, a disabled user, a deleted key: one message, no password check."""
    key, other = await access_keys.create("bob"), await access_keys.create("bob")
    messages = [
        await refused(authenticator, basic(key.id, other.secret)),
        await refused(authenticator, basic(key.id, "")),
        await refused(authenticator, basic("LK" + "A" * 18, key.secret)),
    ]
    await access_keys.disable(key.id)
    messages.append(await refused(authenticator, basic(key.id, key.secret)))
    await access_keys.enable(key.id)
    assert (await authenticator.authenticate(basic(key.id, key.secret))).principal == BOB
    await accounts.update_user("bob", disabled=True)
    messages.append(await refused(authenticator, basic(key.id, key.secret)))
    await accounts.update_user("bob", disabled=False)
    await access_keys.delete(key.id)
    messages.append(await refused(authenticator, basic(key.id, key.secret)))

    assert set(messages) == {"the user name or the password is wrong"}
    assert verification.count == 0


async def test_token_ends_with_the_access_key_it_was_fetched_with(
    authenticator: Authenticator, access_keys: AccessKeys, issuer: TokenIssuer
) -> None:
    """Tokens of the password and of the other key go on."""
    key, other = await access_keys.create("bob"), await access_keys.create("bob")
    token = f"Bearer {issuer.mint(Caller(BOB, access_key=key.id), [PULL]).text}"
    others = f"Bearer {issuer.mint(Caller(BOB, access_key=other.id), [PULL]).text}"
    assert (await authenticator.authenticate(token)).access_key == key.id

    await access_keys.disable(key.id)

    assert "disabled or gone" in await refused(authenticator, token)
    assert (await authenticator.authenticate(others)).principal == BOB
    await access_keys.delete(key.id)
    assert "disabled or gone" in await refused(authenticator, token)


async def test_token_names_no_key_of_another_user(
    authenticator: Authenticator, access_keys: AccessKeys, issuer: TokenIssuer
) -> None:
    """A key says whose it is."""
    key = await access_keys.create("robot")

    assert "disabled or gone" in await refused(
        authenticator, f"Bearer {issuer.mint(Caller(BOB, access_key=key.id), [PULL]).text}"
    )


async def test_another_process_hears_of_a_change(
    authenticator: Authenticator, accounts: Accounts, tmp_path: Path, passwords: Passwords, issuer: TokenIssuer
) -> None:
    """What one worker changes, every other sees at its next request."""
    token = f"Bearer {issuer.mint(Caller(BOB), [PULL]).text}"
    await authenticator.authenticate(token)
    elsewhere = SqliteDatabase(tmp_path / "registry.db")

    await Accounts(elsewhere, ACCOUNT, passwords, lambda: 0.0).delete_user("bob")
    await elsewhere.close()

    assert "no longer exists" in await refused(authenticator, token)


async def test_token_between_two_changes_of_one_second_is_refused(
    authenticator: Authenticator, accounts: Accounts, issuer: TokenIssuer
) -> None:
    """Dates are whole seconds, and still every change ends exactly the tokens from before it."""
    tokens = []
    for password in ("one", "two", "three"):
        await accounts.set_password("bob", password)
        valid_after = (await accounts.user("bob")).valid_after
        tokens.append(f"Bearer {issuer.mint(Caller(BOB, valid_after=valid_after), [PULL]).text}")

    for token in tokens[:2]:
        assert "revoked" in await refused(authenticator, token)
    assert (await authenticator.authenticate(tokens[2])).principal == BOB


async def test_name_of_a_deleted_user_opens_nothing_with_its_tokens(
    authenticator: Authenticator, accounts: Accounts, issuer: TokenIssuer, clock: SimpleNamespace
) -> None:
    """Who is given a name that was used before is somebody else."""
    token = f"Bearer {issuer.mint(Caller(BOB), [PULL]).text}"
    clock.time += 1
    await accounts.delete_user("bob")
    await accounts.create_user("bob", "other")

    assert "revoked" in await refused(authenticator, token)


class CountedReads:
    """A database that counts what it is asked."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.reads = 0

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await self._database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self._database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._database.write(change)

    async def close(self) -> None:
        await self._database.close()


async def test_known_token_costs_one_look_up(
    people: SqliteDatabase, key: SigningKey, clock: SimpleNamespace, issuer: TokenIssuer, throttle: Throttle
) -> None:
    """Whether anything has changed is all that is asked."""
    counted = CountedReads(people)
    verifier = TokenVerifier(KeyRing([key]), PARTIES, lambda: clock.time)
    directory = Directory(counted, SECRETS_KEY)
    authenticator = Authenticator(directory, Bearers(directory, verifier), Logins(Passwords(), throttle, directory))
    token = f"Bearer {issuer.mint(Caller(BOB), [PULL]).text}"
    await authenticator.authenticate(token)
    counted.reads = 0

    await authenticator.authenticate(token)

    assert counted.reads == 1
