"""Users, keys and policies for a registry that serves: written to its database as another process would."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.bootstrap import open_registry
from auth.policy_documents import Owner, OwnerKind, PolicyDocuments
from auth.revocations import Revocations
from auth.signing_keys import SigningKeys
from auth.stored_tokens import StoredTokens
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.databases import open_databases
from registry.roots import open_roots
from storage.metadata.database import Database
from tests.http.cheap_passwords import CheapPasswords
from tests.http.client import basic

PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")
PUSH: Final = (
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
    "ecr:CreateRepository",
)


@dataclass(frozen=True)
class People:
    """What an administrator does, on connections of their own."""

    accounts: Accounts
    keys: AccessKeys
    policies: PolicyDocuments
    stored: StoredTokens
    revocations: Revocations
    signing_keys: SigningKeys
    database: Database
    account_id: str

    def arn(self, user: str) -> str:
        return f"arn:aws:iam::{self.account_id}:user/{user}"

    def repository(self, pattern: str) -> str:
        return f"arn:aws:ecr:local:{self.account_id}:repository/{pattern}"

    async def add(self, user: str, *statements: dict[str, Any]) -> str:
        """Make a user with one inline policy; returns its Basic credentials."""
        await self.accounts.create_user(user, f"password of {user}")
        if statements:
            await self.give(user, *statements)
        return basic(user, f"password of {user}")

    async def give(self, user: str, *statements: dict[str, Any]) -> None:
        """Put the statements in place of those that the user had."""
        await self.policies.put_inline(Owner(OwnerKind.USER, user), "own", document(*statements))

    async def give_role(self, role: str, *statements: dict[str, Any]) -> None:
        """Put the statements in place of those that the role had."""
        await self.policies.put_inline(Owner(OwnerKind.ROLE, role), "own", document(*statements))


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(*actions: str, **members: Any) -> dict[str, Any]:
    """A statement that allows actions on everything; more members are added or replace its own."""
    return {"Effect": "Allow", "Action": actions, "Resource": "*", **members}


def deny(*actions: str, **members: Any) -> dict[str, Any]:
    return allow(*actions, **members) | {"Effect": "Deny"}


def of_resource(effect: str, principal: Any, *actions: str, **members: Any) -> dict[str, Any]:
    """A statement of a repository's policy."""
    return {"Effect": effect, "Principal": principal, "Action": actions, **members}


@asynccontextmanager
async def administered(root: Path) -> AsyncIterator[People]:
    """Open the database of a registry a second time, as a command does."""
    settings = Settings(storage=StorageSettings(root=root))
    databases, passwords = open_databases(settings), CheapPasswords()
    with open_roots(settings) as roots:
        prepared = await open_registry(databases.registry, roots)
    database = databases.registry
    try:
        yield People(
            Accounts(database, prepared.account_id, passwords, time.time),
            AccessKeys(database, prepared.secrets_key, time.time),
            PolicyDocuments(database, time.time),
            StoredTokens(database, settings.auth.refresh_ttl, time.time),
            Revocations(database, time.time),
            SigningKeys(database, prepared.secrets_key, time.time),
            database,
            prepared.account_id,
        )
    finally:
        passwords.close()
        await databases.close()
