"""Tokens of sessions: what a role's session carries, and with what it ends."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.authorizer import Authorizer
from auth.bearers import Bearers
from auth.callers import Caller, CredentialKind
from auth.claims import TokenKind
from auth.directory import Directory
from auth.errors import TokenInvalid
from auth.key_ring import KeyRing
from auth.keys import SigningKey
from auth.passwords import Passwords
from auth.principals import Principal, PrincipalKind, Session
from auth.revocations import Revocations
from auth.role_sessions import RoleSessions
from auth.roles import Roles
from auth.stored_tokens import StoredTokens
from auth.tokens import TokenIssuer, TokenVerifier
from storage.metadata.accounts import add_account
from storage.metadata.sqlite import SqliteDatabase
from tests.auth.forging import PARTIES

ACCOUNT = "123456789012"
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
TRUST = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",'
    f' "Principal": {{"AWS": "arn:aws:iam::{ACCOUNT}:user/bob"}}}}}}'
)


@dataclass
class World:
    """An account in which bob may assume the role ci, and ci the role ops."""

    accounts: Accounts
    roles: Roles
    directory: Directory
    bearers: Bearers
    issuer: TokenIssuer
    sessions: RoleSessions
    access_keys: AccessKeys
    stored: StoredTokens
    revocations: Revocations

    async def caller(self, token: str) -> Caller:
        await self.directory.refresh()
        return await self.bearers.check_bearer(token)


@pytest.fixture
async def world(database: SqliteDatabase, key: SigningKey, clock: SimpleNamespace, passwords: Passwords) -> World:
    def now() -> float:
        time: float = clock.time
        return time

    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    accounts = Accounts(database, ACCOUNT, passwords, now)
    await accounts.create_user("bob")
    await accounts.create_role("ci", TRUST)
    await accounts.create_role("ops", TRUST.replace("user/bob", "role/ci"))
    clock.time += 10
    directory, ring = Directory(database, bytes(32)), KeyRing([key])
    return World(
        accounts,
        Roles(database, now),
        directory,
        Bearers(directory, TokenVerifier(ring, PARTIES, now), now),
        TokenIssuer(ring, PARTIES, 300, now),
        RoleSessions(directory, Authorizer(ACCOUNT, directory, "none"), ACCOUNT, now),
        AccessKeys(database, bytes(32), now),
        StoredTokens(database, 3600, now),
        Revocations(database, now),
    )


async def test_a_token_carries_the_facts_of_its_session(world: World) -> None:
    """One value or several."""
    session = Session("run-7", (("jwt:sub", "x"), ("jwt:teams", ("a", "b")), ("jwt:one", ("a",))))
    caller = Caller(Principal(ACCOUNT, "ci", PrincipalKind.ROLE, session))

    assert (await world.caller(world.issuer.mint(caller).text)).principal.session == session


async def test_a_session_ends_with_the_access_key_that_opened_it(world: World) -> None:
    key = await world.access_keys.create("bob")
    with_key = Caller(BOB, access_key=key.id, credential=CredentialKind.ACCESS_KEY, credential_id=key.id)
    token = world.issuer.mint(await world.sessions.assume(with_key, "ci", "work")).text
    assert (await world.caller(token)).principal.name == "ci"

    await world.access_keys.disable(key.id)

    with pytest.raises(TokenInvalid):
        await world.caller(token)


async def test_a_session_ends_with_the_service_token_that_opened_it(world: World) -> None:
    text = str((await world.stored.create_service("bob", "laptop"))[0])
    await world.directory.refresh()
    opener = await world.bearers.check_bearer(text)
    token = world.issuer.mint(await world.sessions.assume(opener, "ci", "work")).text
    assert (await world.caller(token)).principal.name == "ci"

    await world.stored.delete_service("bob", "laptop")

    with pytest.raises(TokenInvalid):
        await world.caller(token)


async def test_passwords_fetched_one_with_another_end_with_the_service_token_before_them(world: World) -> None:
    """However many of half a day lie between."""
    text = str((await world.stored.create_service("bob", "laptop"))[0])
    await world.directory.refresh()
    caller = await world.bearers.check_bearer(text)
    for _ in range(2):
        caller = await world.bearers.check_authorization(world.issuer.mint(caller, kind=TokenKind.AUTHORIZATION).text)
    token = world.issuer.mint(caller).text
    session = world.issuer.mint(await world.sessions.assume(caller, "ci", "work")).text

    await world.stored.delete_service("bob", "laptop")

    for each in (token, session):
        with pytest.raises(TokenInvalid):
            await world.caller(each)


async def test_passwords_fetched_one_with_another_end_when_the_first_is_taken_back(world: World) -> None:
    """A role's session that was opened with the last of them included."""
    first = world.issuer.mint(Caller(BOB), kind=TokenKind.AUTHORIZATION)
    await world.directory.refresh()
    caller = await world.bearers.check_authorization(first.text)
    caller = await world.bearers.check_authorization(world.issuer.mint(caller, kind=TokenKind.AUTHORIZATION).text)
    token = world.issuer.mint(caller).text
    session = world.issuer.mint(await world.sessions.assume(caller, "ci", "work")).text

    await world.revocations.revoke(first.id)

    for each in (token, session):
        with pytest.raises(TokenInvalid):
            await world.caller(each)


async def chained(world: World, opener: Caller) -> str:
    """An access token of the role ops, assumed in a session of the role ci, that bob opened."""
    first = world.issuer.mint(await world.sessions.assume(opener, "ci", "work"), kind=TokenKind.AUTHORIZATION)
    await world.directory.refresh()
    session = await world.bearers.check_authorization(first.text)
    token = world.issuer.mint(await world.sessions.assume(session, "ops", "work")).text
    assert (await world.caller(token)).principal.name == "ops"
    return token


@pytest.mark.parametrize("change", ["disable_user", "delete_user", "set_password"])
async def test_a_session_ends_with_the_login_of_the_user_who_opened_it(world: World, change: str) -> None:
    """Directly or through another role; who has the name afterwards is somebody else."""
    direct = world.issuer.mint(await world.sessions.assume(Caller(BOB), "ci", "work")).text
    through = await chained(world, Caller(BOB))

    if change == "set_password":
        await world.accounts.set_password("bob", "another")
    elif change == "disable_user":
        await world.accounts.update_user("bob", disabled=True)
        await world.accounts.update_user("bob", disabled=False)
    else:
        await world.accounts.delete_user("bob")
        await world.accounts.create_user("bob")

    for token in (direct, through):
        with pytest.raises(TokenInvalid):
            await world.caller(token)


@pytest.mark.parametrize("change", ["revoke", "delete"])
async def test_a_session_ends_with_those_of_the_role_it_was_opened_in(world: World, change: str) -> None:
    token = await chained(world, Caller(BOB))

    if change == "revoke":
        await world.roles.revoke_sessions("ci")
    else:
        await world.accounts.delete_role("ci")
        await world.accounts.create_role("ci", TRUST)

    with pytest.raises(TokenInvalid):
        await world.caller(token)


async def test_a_session_that_is_opened_after_a_change_goes_on(world: World) -> None:
    """Within the same second too."""
    await world.accounts.set_password("bob", "another")
    await world.accounts.set_password("bob", "yet another")
    await world.directory.refresh()
    bob = await world.directory.user("bob")
    assert bob is not None

    await chained(world, Caller(BOB, valid_after=bob.valid_after))
