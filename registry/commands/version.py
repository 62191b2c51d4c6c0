"""`lading version`."""

import argparse

from registry.release import release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 (every command takes them)
    """Print the version."""
    print(f"lading {release()}")  # noqa: T201 (a command speaks)
    return 0
