"""The registry that a command works on, opened from its settings, whether its server runs or not."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.authorizer import Authorizer
from auth.bootstrap import open_registry
from auth.directory import Directory
from auth.errors import AuthError
from auth.passwords import Passwords
from auth.policy_documents import PolicyDocuments
from registry.app import open_databases
from registry.commands.settings import settings_of
from registry.commands.subcommands import Report, UsageInvalid, Work, complain, refuse, tell
from registry.config import Settings, SettingsInvalid
from storage.errors import SchemaOutdated, StorageError
from storage.metadata.migration import REGISTRY_SCHEMA, check_revision


@dataclass(frozen=True, slots=True)
class Opened:
    """What account commands call."""

    accounts: Accounts
    access_keys: AccessKeys
    policies: PolicyDocuments
    authorizer: Authorizer
    account_id: str


def run_on_registry(arguments: argparse.Namespace) -> int:
    """Do a subcommand's work on the registry that the settings name; returns the exit code."""
    work: Work = arguments.work
    try:
        report = asyncio.run(_work(settings_of(arguments).settings, work, arguments))
    except UsageInvalid as error:
        return refuse(error)
    except (SettingsInvalid, AuthError, StorageError, OSError) as error:
        return complain(error)
    tell(report, as_json=arguments.json)
    return 0


async def _work(settings: Settings, work: Work, arguments: argparse.Namespace) -> Report:
    async with _opened(settings) as opened:
        return await work(opened, arguments)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Opened]:
    if not settings.storage.root.is_dir():
        message = f"there is no data directory {settings.storage.root}: name it with --root"
        raise FileNotFoundError(message)
    databases, passwords = open_databases(settings), Passwords()
    database = databases.registry
    try:
        if not await database.read(lambda connection: check_revision(connection, REGISTRY_SCHEMA)):
            raise SchemaOutdated(f"{settings.storage.root} holds no registry yet: start `lading serve` once")
        prepared = await open_registry(database, settings.key_file)
        directory = Directory(database, prepared.root_key)
        await directory.refresh()
        yield Opened(
            accounts=Accounts(database, prepared.account_id, passwords, time.time),
            access_keys=AccessKeys(database, prepared.root_key, time.time),
            policies=PolicyDocuments(database, time.time),
            authorizer=Authorizer(prepared.account_id, directory, "none"),
            account_id=prepared.account_id,
        )
    finally:
        passwords.close()
        await databases.close()
