"""Running a subcommand's work: on the data directory here, or on the server that the arguments name."""

import argparse
import asyncio

from auth.errors import AuthError
from registry.commands.api import Refused
from registry.commands.settings import settings_of
from registry.commands.subcommands import Report, UsageInvalid, Work, complain, refuse, tell
from registry.config import SettingsInvalid
from registry.core.errors import RegistryError
from storage.errors import StorageError


def run_with_api(arguments: argparse.Namespace) -> int:
    """Do a subcommand's work on the registry that the arguments name; returns the exit code."""
    work: Work = arguments.work
    try:
        report = asyncio.run(_work(arguments, work))
    except UsageInvalid as error:
        return refuse(error)
    except (SettingsInvalid, AuthError, RegistryError, StorageError, Refused, OSError) as error:
        return complain(error)
    tell(report, as_json=arguments.json)
    return 0


async def _work(arguments: argparse.Namespace, work: Work) -> Report:
    if arguments.server is not None:
        from registry.commands.remote import remote_api  # noqa: PLC0415 (a client is loaded where one is used)

        async with remote_api(arguments.server) as api:
            return await work(api, arguments)
    from registry.commands.local import local_api  # noqa: PLC0415 (the same)

    async with local_api(settings_of(arguments).settings) as api:
        return await work(api, arguments)
