"""The flags that every command with settings understands."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from registry.config import SettingsInvalid
from registry.config_sources import LoadedSettings, load

_FLAGS: Final = {
    "listen": ("server.listen", "HOST:PORT", "address and port to listen on"),
    "root": ("storage.root", "DIRECTORY", "the data directory"),
    "workers": ("server.workers", "N", "worker processes"),
    "public_url": ("server.public_url", "URL", "the URL that clients use"),
    "tls_certificate": ("server.tls_certificate", "FILE", "certificate chain, PEM"),
    "tls_key": ("server.tls_key", "FILE", "key of the certificate, PEM"),
    "log_level": ("log.level", "LEVEL", "debug, info, warning or error"),
    "log_format": ("log.format", "FORMAT", "json or console"),
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    for name, (_, metavar, text) in _FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=metavar, help=text)
    parser.add_argument("--dev", action="store_true", help="anonymous push and pull, for this machine only")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="any setting, as lading config show lists them",
    )


def settings_of(arguments: argparse.Namespace) -> LoadedSettings:
    """Merge the flags with the environment and the file; raises SettingsInvalid."""
    return load(_flags(arguments), arguments.config)


def _flags(arguments: argparse.Namespace) -> Mapping[str, object]:
    flags: dict[str, object] = {}
    for pair in arguments.set:
        key, equals, value = pair.partition("=")
        if not equals:
            msg = f"--set {pair}: write it as SECTION.KEY=VALUE"
            raise SettingsInvalid(msg)
        flags[key] = value
    flags |= {key: value for name, (key, _, _) in _FLAGS.items() if (value := getattr(arguments, name)) is not None}
    if arguments.dev:
        flags["dev"] = True
    return flags
