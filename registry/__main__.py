"""The command `lading`: a table of commands, each a module that is imported only when it is chosen."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, Protocol, cast

COMMANDS: Final = {
    "serve": ("registry.commands.serve", "serve the registry"),
    "config": ("registry.commands.config", "show or check the settings"),
    "user": ("registry.commands.user", "make users, change and remove them"),
    "group": ("registry.commands.group", "put users into groups that share policies"),
    "role": ("registry.commands.role", "make roles and remove them"),
    "key": ("registry.commands.key", "make access keys, disable and remove them"),
    "token": ("registry.commands.token", "make tokens that stand in place of passwords, and take tokens back"),
    "policy": ("registry.commands.policy", "say who may do what, and ask why"),
    "repo": ("registry.commands.repo", "say who may do what to one repository"),
    "signing": ("registry.commands.signing", "let the keys that sign tokens take turns"),
    "encryption": ("registry.commands.encryption", "let the keys of encryption at rest take turns, and destroy them"),
    "audit": ("registry.commands.audit", "find, export and prove who did what"),
    "migrate": ("registry.commands.migrate", "bring the database to this version"),
    "verify": ("registry.commands.verify", "check everything that is stored"),
    "import": ("registry.commands.importing", "copy all content from another store into this one"),
    "doctor": ("registry.commands.doctor", "look for what would keep the registry from working, and say what to do"),
    "version": ("registry.commands.version", "show the version"),
}
_USAGE: Final = 2


class Command(Protocol):
    """What a module under `registry/commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns 0 done, 1 failed (one line on standard error says why), 2 usage."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(words: Sequence[str]) -> int:
    chosen = next((word for word in words if word in COMMANDS), None)
    parser = argparse.ArgumentParser(prog="lading", description="An OCI container registry server.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    loaded: Command | None = None
    for name, (module, summary) in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name == chosen:
            loaded = cast("Command", import_module(module))
            loaded.add_arguments(subparser)
    arguments = parser.parse_args(words)
    if loaded is None:
        parser.print_help(sys.stderr)
        return _USAGE
    code = loaded.run(arguments)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
