"""An account with one identity provider that a test runs, and roles that trust it."""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.callers import Caller
from auth.directory import Directory
from auth.errors import WebIdentityInvalid
from auth.identity_providers import IdentityProviders
from auth.key_discovery import DiscoveredKeys
from auth.passwords import Passwords
from auth.web_identity import WebIdentities
from registry.upstream.documents import Documents
from storage.metadata.accounts import add_account
from storage.metadata.sqlite import SqliteDatabase
from tests.auth.issuer import Issuer, issuing

ACCOUNT = "123456789012"
UNTRUSTED = "invalid identity token: no role by this name trusts it"


class Trusting:
    """An account with one identity provider, and roles that trust it."""

    def __init__(self, database: SqliteDatabase, accounts: Accounts, issuer: Issuer, identities: WebIdentities) -> None:
        self.database = database
        self.accounts = accounts
        self.issuer = issuer
        self.identities = identities

    @property
    def provider(self) -> str:
        return self.issuer.url.partition("://")[2]

    async def trust(self, role: str, condition: dict[str, Any] | None = None, **members: Any) -> None:
        """Make a role that trusts the provider under a condition, whose keys are written with PROVIDER for its name."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{self.provider}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition or {},
            **members,
        }
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await self.accounts.create_role(role, text.replace("PROVIDER:", f"{self.provider}:"))

    async def caller(self, role: str = "ci", session_name: str | None = None, **claims: Any) -> Caller:
        return await self.identities.caller(role, self.issuer.token(**claims), session_name)

    async def refusal(self, role: str = "ci", **claims: Any) -> str:
        with pytest.raises(WebIdentityInvalid) as raised:
            await self.caller(role, **claims)
        return str(raised.value)


@pytest.fixture
async def trusting(database: SqliteDatabase, passwords: Passwords, clock: SimpleNamespace) -> AsyncIterator[Trusting]:
    def now() -> float:
        time: float = clock.time
        return time

    documents = Documents(seconds=0.5)
    async with issuing() as issuer:
        await database.write(lambda c: add_account(c, ACCOUNT, 0))
        audiences = ["lading", "https://registry.example.com"]
        await IdentityProviders(database, now).create(issuer.url, audiences, allow_private=True)
        directory = Directory(database, bytes(32))
        identities = WebIdentities(directory, DiscoveredKeys(documents.fetch, now), ACCOUNT, now)
        yield Trusting(database, Accounts(database, ACCOUNT, passwords, now), issuer, identities)
    await documents.close()
