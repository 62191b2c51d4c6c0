"""Registries with their content in one bucket: each on fresh data, without authentication, access log or tracing."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.bucket import REGION, S3Server
from bench.served import Peer, Start, lading_command, served
from bench.tools import free_address, tool

LADING, DISTRIBUTION = "lading", "distribution"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a registry is started on: a folder that is its own, and a prefix of the bucket."""

    server: S3Server
    folder: Path
    prefix: str
    workers: int
    temporary: Path
    """Where Lading would spool, if it did."""


Starting = Callable[[Ground], AbstractContextManager[Peer]]


@contextmanager
def lading(ground: Ground) -> Iterator[Peer]:
    """Lading with its content in S3 and SQLite in the folder, every write synced."""
    address = free_address()
    environment = os.environ | {
        **ground.server.keys.environment,
        "LADING_SERVER__LISTEN": address,
        "LADING_SERVER__WORKERS": str(ground.workers),
        "LADING_STORAGE__ROOT": str(ground.folder / "data"),
        "LADING_STORAGE__BACKEND": "s3",
        "LADING_STORAGE__BUCKET": ground.server.bucket,
        "LADING_STORAGE__PREFIX": ground.prefix,
        "LADING_STORAGE__ENDPOINT_URL": ground.server.endpoint,
        "LADING_STORAGE__REGION": REGION,
        "LADING_LOG__ACCESS": "false",
        "LADING_LOG__LEVEL": "warning",
        "TMPDIR": str(ground.temporary),
    }
    with served(Start(LADING, [*lading_command(), "serve", "--dev"], environment, address, ground.folder)) as peer:
        yield peer


@contextmanager
def distribution(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3 on the same bucket, parts of 10 MiB, which is its default."""
    address = free_address()
    config = ground.folder / "config.json"  # every JSON document is YAML
    config.write_text(_distribution_config(ground, address))
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    command = [tool("registry"), "serve", str(config)]
    with served(Start(DISTRIBUTION, command, environment, address, ground.folder)) as peer:
        yield peer


PEERS: dict[str, Starting] = {LADING: lading, DISTRIBUTION: distribution}


def versions() -> dict[str, str]:
    """What the programs say of themselves."""
    asked = {LADING: [*lading_command(), "version"], DISTRIBUTION: [tool("registry"), "--version"]}
    found = {}
    for name, command in asked.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[name] = " ".join(done.stdout.split()[-1:])
    return found


def _distribution_config(ground: Ground, address: str) -> str:
    server = ground.server
    return f"""{{
  "version": "0.1",
  "log": {{"level": "error", "accesslog": {{"disabled": true}}}},
  "http": {{"addr": "{address}"}},
  "storage": {{
    "cache": {{"blobdescriptor": "inmemory"}},
    "delete": {{"enabled": true}},
    "redirect": {{"disable": true}},
    "s3": {{
      "accesskey": "{server.keys.access_key}", "secretkey": "{server.keys.secret_key}",
      "region": "{REGION}", "regionendpoint": "{server.endpoint}", "forcepathstyle": true, "secure": false,
      "bucket": "{server.bucket}", "rootdirectory": "/{ground.prefix.strip("/")}"
    }}
  }}
}}
"""
