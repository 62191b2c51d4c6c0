"""`lading migrate`."""

import argparse
import asyncio

from registry.bootstrap import migrate
from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain
from registry.config import SettingsInvalid
from storage.errors import StorageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the settings."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Bring the databases to the schema of this version."""
    try:
        asyncio.run(migrate(settings_of(arguments).settings))
    except (SettingsInvalid, StorageError, OSError) as error:
        return complain(error)
    print("the databases have the schema of this version")  # noqa: T201 (a command speaks)
    return 0
