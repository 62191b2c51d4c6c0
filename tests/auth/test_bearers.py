"""Whom a token stands for, and what ends it."""

import base64
import json
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.authenticator import Authenticator
from auth.authorizer import NO_FACTS, Facts
from auth.bearers import Bearers
from auth.callers import Caller, CredentialKind
from auth.claims import TokenKind
from auth.credentials import BasicCredentials
from auth.directory import Directory
from auth.errors import CredentialsInvalid, GrantUnsupported, NotThere, TokenInvalid, WebIdentityInvalid
from auth.key_ring import KeyRing
from auth.keys import SigningKey
from auth.logins import Logins
from auth.passwords import Passwords
from auth.principals import Principal, PrincipalKind, Session
from auth.revocations import Revocations
from auth.stored_tokens import StoredTokens
from auth.throttle import Throttle
from auth.tokens import TokenIssuer, TokenVerifier
from storage.metadata.accounts import add_account
from storage.metadata.revoked_tokens import is_token_revoked
from storage.metadata.sqlite import SqliteDatabase
from tests.auth.forging import PARTIES

ACCOUNT = "123456789012"
SECRETS_KEY = bytes(range(32))
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}})
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}
)


class TrustedIssuer:
    """Takes the word `ci's token` for an identity token of the role ci."""

    async def caller(
        self,
        role: str,
        identity_token: str,
        session_name: str | None = None,
        *,
        facts: Facts = NO_FACTS,  # noqa: ARG002 (the protocol's)
    ) -> Caller:
        if (role, identity_token) != ("ci", "ci's token"):
            raise WebIdentityInvalid("unknown")
        session = Session(session_name or "web", (("jwt:sub", "x"),))
        return Caller(Principal(ACCOUNT, role, PrincipalKind.ROLE, session), credential=CredentialKind.WEB_IDENTITY)


@dataclass
class World:
    """One registry's accounts and tokens, and a process that authenticates."""

    authenticator: Authenticator
    issuer: TokenIssuer
    accounts: Accounts
    access_keys: AccessKeys
    stored: StoredTokens
    revocations: Revocations
    clock: SimpleNamespace

    async def caller(self, header: str) -> Caller:
        return await self.authenticator.authenticate(header)

    async def refused(self, header: str) -> str:
        with pytest.raises((CredentialsInvalid, TokenInvalid)) as raised:
            await self.authenticator.authenticate(header)
        return str(raised.value)

    def bearer(self, caller: Caller) -> str:
        return f"Bearer {self.issuer.mint(caller).text}"

    async def refresh(self, caller: Caller) -> str:
        token = await self.stored.issue_refresh(caller)
        assert token is not None
        return str(token)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
async def world(
    database: SqliteDatabase, key: SigningKey, clock: SimpleNamespace, passwords: Passwords, throttle: Throttle
) -> World:
    await database.write(lambda c: add_account(c, ACCOUNT, 0))
    accounts = Accounts(database, ACCOUNT, passwords, lambda: clock.time)
    await accounts.create_user("bob", "s:ec:ret")
    await accounts.create_user("eve")
    await accounts.create_role("ci", TRUST)
    clock.time += 10
    directory, ring = Directory(database, SECRETS_KEY), KeyRing([key])
    bearers = Bearers(directory, TokenVerifier(ring, PARTIES, lambda: clock.time), lambda: clock.time)
    return World(
        Authenticator(directory, bearers, Logins(passwords, throttle, directory), TrustedIssuer()),
        TokenIssuer(ring, PARTIES, 300, lambda: clock.time),
        accounts,
        AccessKeys(database, SECRETS_KEY, lambda: clock.time),
        StoredTokens(database, 3600, lambda: clock.time),
        Revocations(database, lambda: clock.time),
        clock,
    )


async def test_authorization_token_is_a_password_of_the_user_aws(world: World) -> None:
    """With all that its owner may do, until it expires (Amazon ECR, GetAuthorizationToken)."""
    token = world.issuer.mint(Caller(BOB), kind=TokenKind.AUTHORIZATION)

    caller = await world.caller(basic("AWS", token.text))

    assert (caller.principal, caller.ceiling) == (BOB, None)
    assert (caller.credential, caller.credential_id) == (CredentialKind.AUTHORIZATION_TOKEN, token.id)
    assert caller.expires_at == world.clock.time + 43_200
    world.clock.time += 43_200 + 60
    assert await world.refused(basic("AWS", token.text)) == "invalid token: it has expired"


async def test_authorization_token_is_nothing_else(world: World) -> None:
    """No bearer token, no password of another user; and a bearer token is no password of AWS."""
    password = world.issuer.mint(Caller(BOB), kind=TokenKind.AUTHORIZATION).text
    bearer = world.issuer.mint(Caller(BOB)).text

    assert "authorization token" in await world.refused(f"Bearer {password}")
    assert "bearer token" in await world.refused(basic("AWS", bearer))
    assert await world.refused(basic("bob", password)) == "the user name or the password is wrong"
    assert await world.refused(basic("AWS", "s:ec:ret")) == "the user name or the password is wrong"


async def test_authorization_token_for_nobody_is_refused(world: World) -> None:
    """Anonymous callers have no password."""
    nobody = world.issuer.mint(Caller(Principal("", "", PrincipalKind.ANONYMOUS)), kind=TokenKind.AUTHORIZATION)

    assert "it names nobody" in await world.refused(basic("AWS", nobody.text))


@pytest.mark.parametrize("password", [True, False])
async def test_signed_token_ends_with_its_user(world: World, password: bool) -> None:  # noqa: FBT001  two of a kind
    """Disabled, given another password, or deleted and made anew."""
    kind = TokenKind.AUTHORIZATION if password else TokenKind.ACCESS

    def header() -> str:
        text = world.issuer.mint(Caller(BOB), kind=kind).text
        return basic("AWS", text) if password else f"Bearer {text}"

    token = header()
    world.clock.time += 1
    await world.accounts.update_user("bob", disabled=True)
    assert "disabled" in await world.refused(token)
    await world.accounts.update_user("bob", disabled=False)
    assert "revoked" in await world.refused(token)

    world.clock.time += 2
    token = header()
    await world.caller(token)
    world.clock.time += 1
    await world.accounts.set_password("bob", "another")
    assert "revoked" in await world.refused(token)

    world.clock.time += 2
    token = header()
    await world.caller(token)
    await world.accounts.delete_user("bob")
    assert "no longer exists" in await world.refused(token)
    await world.accounts.create_user("bob", "s:ec:ret")
    assert "revoked" in await world.refused(token)


async def test_token_that_was_taken_back_is_refused(world: World) -> None:
    """By the id that it says, and with it what was fetched with it; other tokens of the user go on."""
    password = world.issuer.mint(Caller(BOB), kind=TokenKind.AUTHORIZATION)
    first, other = basic("AWS", password.text), world.bearer(Caller(BOB))
    fetched = world.bearer(await world.caller(first))
    await world.caller(fetched)

    await world.revocations.revoke(password.id)

    assert await world.refused(first) == "invalid token: it was revoked: log in again"
    assert await world.refused(fetched) == "invalid token: it was revoked: log in again"
    assert (await world.caller(other)).principal == BOB


async def test_only_an_id_can_be_taken_back(world: World) -> None:
    """What no token can be called is no id."""
    for token_id in ("", "a b", "a" * 65, "é"):
        with pytest.raises(NotThere):
            await world.revocations.revoke(token_id)


async def test_tokens_taken_back_are_forgotten_when_they_have_expired(world: World, database: SqliteDatabase) -> None:
    """Not before the leeway has passed too; without an end they stand as long as any token lives."""
    await world.revocations.revoke("short", world.clock.time + 60)
    await world.revocations.revoke("long")

    async def left() -> list[bool]:
        await world.revocations.sweep()
        return [await database.read(partial(is_token_revoked, id=token_id)) for token_id in ("short", "long")]

    assert await left() == [True, True]
    world.clock.time += 60 + 60
    assert await left() == [True, True]
    world.clock.time += 61
    assert await left() == [False, True]
    world.clock.time += 43_200 + 120
    assert await left() == [False, False]


async def test_token_of_a_session_stands_for_the_session(world: World) -> None:
    """With its facts and policies, as long as the role is there."""
    session = Session("build-7", (("jwt:sub", "x"),), (POLICY,))
    ci = Principal(ACCOUNT, "ci", PrincipalKind.ROLE, session)
    token = world.bearer(Caller(ci))

    caller = await world.caller(token)
    await world.accounts.delete_role("ci")

    assert caller.principal == ci
    assert await world.refused(token) == "invalid token: its role no longer exists"


async def test_token_of_a_user_is_none_of_a_role(world: World) -> None:
    """Though they share a name."""
    await world.accounts.create_role("bob", TRUST)
    world.clock.time += 10

    assert (await world.caller(world.bearer(Caller(BOB)))).principal.kind is PrincipalKind.USER
    role = Principal(ACCOUNT, "bob", PrincipalKind.ROLE, Session("s"))
    assert (await world.caller(world.bearer(Caller(role)))).principal.kind is PrincipalKind.ROLE


async def test_service_token_is_a_password_and_a_bearer_token(world: World) -> None:
    """With its owner's name or `token`, and no other."""
    token = str((await world.stored.create_service("bob", "ci", policy=POLICY, expires_at=world.clock.time + 100))[0])

    callers = [await world.caller(header) for header in (basic("bob", token), basic("token", token), f"Bearer {token}")]

    assert {caller.principal for caller in callers} == {
        Principal(ACCOUNT, "bob", PrincipalKind.USER, Session(policies=(POLICY,)))
    }
    assert {(caller.ceiling, caller.credential) for caller in callers} == {(None, CredentialKind.SERVICE_TOKEN)}
    assert await world.refused(basic("eve", token)) == "the user name or the password is wrong"
    world.clock.time += 100
    assert await world.refused(basic("bob", token)) == "the user name or the password is wrong"
    assert "has expired" in await world.refused(f"Bearer {token}")


async def test_deleted_service_token_ends_what_was_fetched_with_it(world: World) -> None:
    """At the next request."""
    token = str((await world.stored.create_service("bob", "ci"))[0])
    fetched = world.bearer(await world.caller(basic("bob", token)))
    assert (await world.caller(fetched)).principal == BOB

    await world.stored.delete_service("bob", "ci")

    assert "was deleted" in await world.refused(f"Bearer {token}")
    assert "the token that it was fetched with is gone" in await world.refused(fetched)


async def test_service_token_of_a_disabled_user_waits(world: World) -> None:
    """As an access key does; another password does not end it."""
    token = basic("bob", str((await world.stored.create_service("bob", "ci"))[0]))
    await world.accounts.update_user("bob", disabled=True)
    assert await world.refused(token) == "the user name or the password is wrong"

    await world.accounts.update_user("bob", disabled=False)
    await world.accounts.set_password("bob", "another")

    assert (await world.caller(token)).principal == BOB


async def test_secret_of_a_stored_token_must_be_right(world: World) -> None:
    """The id alone opens nothing."""
    token, _ = await world.stored.create_service("bob", "ci")
    forged = f"ldt_{token.id}_{'A' * 43}"

    assert await world.refused(basic("bob", forged)) == "the user name or the password is wrong"
    assert "unknown" in await world.refused(f"Bearer {forged}")


async def refresh_refused(world: World, token: str) -> str:
    with pytest.raises(TokenInvalid) as raised:
        await world.authenticator.check_refresh(token)
    return raised.value.reason


async def test_refresh_token_is_exchanged_any_number_of_times(world: World) -> None:
    """And is nothing but that: no bearer token and no password."""
    logged_in = await world.caller(basic("bob", "s:ec:ret"))
    token = await world.refresh(logged_in)

    callers = [await world.authenticator.check_refresh(token) for _ in range(3)]

    assert [(caller.principal, caller.credential) for caller in callers] == [(BOB, CredentialKind.REFRESH_TOKEN)] * 3
    assert callers[0].expires_at == world.clock.time + 3600
    assert "refresh token" in await world.refused(f"Bearer {token}")
    assert await world.refused(basic("bob", token)) == "the user name or the password is wrong"


async def test_service_token_stands_in_place_of_a_refresh_token(world: World) -> None:
    """For clients that keep nothing else; its policy goes on limiting it."""
    token = str((await world.stored.create_service("bob", "ci", policy=POLICY))[0])

    caller = await world.authenticator.check_refresh(token)

    assert (caller.principal.session, caller.credential) == (
        Session(policies=(POLICY,)),
        CredentialKind.SERVICE_TOKEN,
    )


async def test_refresh_token_ends_with_the_password(world: World) -> None:
    """And with its user, its time, and what is no refresh token at all."""
    token = await world.refresh(await world.caller(basic("bob", "s:ec:ret")))
    await world.accounts.update_user("bob", disabled=True)
    assert "ended" in await refresh_refused(world, token)
    await world.accounts.update_user("bob", disabled=False)
    assert "revoked" in await refresh_refused(world, token)

    token = await world.refresh(await world.caller(basic("bob", "s:ec:ret")))
    await world.accounts.set_password("bob", "another")
    assert "revoked" in await refresh_refused(world, token)

    token = await world.refresh(await world.caller(basic("bob", "another")))
    await world.authenticator.check_refresh(token)
    world.clock.time += 3600
    assert "expired" in await refresh_refused(world, token)
    for other in ("", "x", world.issuer.mint(Caller(BOB)).text):
        await refresh_refused(world, other)


async def test_refresh_token_ends_with_its_access_key(world: World) -> None:
    """Disabled for as long as that is, deleted for good; so does what was fetched with it."""
    key = await world.access_keys.create("bob")
    token = await world.refresh(await world.caller(basic(key.id, key.secret)))
    fetched = world.bearer(await world.authenticator.check_refresh(token))
    await world.caller(fetched)

    await world.access_keys.disable(key.id)
    assert "access key" in await refresh_refused(world, token)
    assert "access key" in await world.refused(fetched)
    await world.access_keys.enable(key.id)
    assert (await world.authenticator.check_refresh(token)).access_key == key.id
    await world.access_keys.delete(key.id)
    assert "ended" in await refresh_refused(world, token)


async def test_identity_token_is_the_password_of_a_role(world: World) -> None:
    """`docker login -u role/ci`; or exchanged, with a name for the session."""
    caller = await world.caller(basic("role/ci", "ci's token"))
    exchanged = await world.authenticator.exchange("ci", "ci's token", "build-7")

    assert caller.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/web"
    assert exchanged.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build-7"
    with pytest.raises(WebIdentityInvalid):
        await world.caller(basic("role/ci", "s:ec:ret"))


async def test_roles_are_nobody_where_no_issuer_is_trusted(world: World) -> None:
    """A password is checked as for any unknown user."""
    plain = Authenticator(world.authenticator._directory, world.authenticator._bearers, world.authenticator._logins)

    with pytest.raises(CredentialsInvalid):
        await plain.check_password(BasicCredentials("role/ci", "ci's token"))
    with pytest.raises(GrantUnsupported):
        await plain.exchange("ci", "ci's token")
