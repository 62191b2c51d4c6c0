"""Registries with their content in files, each started on a folder of its own: ours with encryption and without."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import DISTRIBUTION, Peer, lading_command, served
from bench.tools import free_address, tool

SEALED, PLAIN = "sealed", "plain"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a registry is started on."""

    folder: Path
    workers: int


Start = Callable[[Ground], AbstractContextManager[Peer]]


@contextmanager
def sealed(ground: Ground) -> Iterator[Peer]:
    """Lading as it is when nothing is set."""
    with _lading(SEALED, ground, {"LADING_ENCRYPTION__MODE": "local"}) as peer:
        yield peer


@contextmanager
def plain(ground: Ground) -> Iterator[Peer]:
    """Lading without encryption, which sends files with sendfile."""
    with _lading(PLAIN, ground, {"LADING_ENCRYPTION__MODE": "off"}) as peer:
        yield peer


@contextmanager
def distribution(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3, which encrypts nothing."""
    address = free_address()
    config = ground.folder / "config.json"  # every JSON document is YAML
    config.write_text(f"""{{
  "version": "0.1",
  "log": {{"level": "error", "accesslog": {{"disabled": true}}}},
  "http": {{"addr": "{address}"}},
  "storage": {{"cache": {{"blobdescriptor": "inmemory"}}, "filesystem": {{"rootdirectory": "{ground.folder}/data"}}}}
}}
""")
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    command = [tool("registry"), "serve", str(config)]
    with served(DISTRIBUTION, command, environment, address, ground.folder) as peer:
        yield peer


REGISTRIES: dict[str, Start] = {SEALED: sealed, PLAIN: plain, DISTRIBUTION: distribution}


@contextmanager
def _lading(name: str, ground: Ground, settings: Mapping[str, str]) -> Iterator[Peer]:
    address = free_address()
    environment = os.environ | {
        "LADING_SERVER__LISTEN": address,
        "LADING_SERVER__WORKERS": str(ground.workers),
        "LADING_STORAGE__ROOT": str(ground.folder / "data"),
        "LADING_LOG__ACCESS": "false",
        "LADING_LOG__LEVEL": "warning",
        **settings,
    }
    with served(name, [*lading_command(), "serve", "--dev"], environment, address, ground.folder) as peer:
        yield peer
