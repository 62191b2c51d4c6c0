"""`lading config show` and `lading config check`."""

import argparse
import sys

from registry.commands.settings import add_settings, settings_of
from registry.config import SettingsInvalid
from registry.config_encryption import NOT_ENCRYPTED
from registry.config_text import json_text, toml_text
from registry.preflight import problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two subcommands."""
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="show|check")
    show = subcommands.add_parser("show", help="print every setting, its value and where that came from")
    show.add_argument("--json", action="store_true", help="print JSON")
    check = subcommands.add_parser("check", help="say whether a server could start with these settings")
    for subparser in (show, check):
        add_settings(subparser)


def run(arguments: argparse.Namespace) -> int:
    """Print the settings, or say what is wrong with them."""
    try:
        loaded = settings_of(arguments)
    except SettingsInvalid as error:
        return _complain(str(error))
    if arguments.subcommand == "show":
        sys.stdout.write(json_text(loaded) if arguments.json else toml_text(loaded))
        return 0
    found = list(problems(loaded.settings))
    if found:
        return _complain("\n".join(found))
    print("the settings are valid")  # noqa: T201 (a command speaks)
    if loaded.settings.encryption.mode == "off":
        print(NOT_ENCRYPTED)  # noqa: T201 (the same)
    return 0


def _complain(text: str) -> int:
    print(f"lading: {text}", file=sys.stderr)  # noqa: T201 (a command speaks)
    return 1
