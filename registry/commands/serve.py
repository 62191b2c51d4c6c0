"""`lading serve`."""

import argparse

from registry.commands.settings import add_settings, settings_of
from registry.commands.subcommands import complain
from registry.config import SettingsInvalid

_USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the settings."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    try:
        loaded = settings_of(arguments)
    except SettingsInvalid as error:
        complain(error)
        return _USAGE
    from registry.server import serve  # noqa: PLC0415 (bad settings are told before the server is loaded)

    return serve(loaded.settings)
