"""Registries with their content in files, each started on a folder of its own.

All sync what they acknowledge, tell their log of errors only, trace nothing and encrypt nothing, unless their `about`
says otherwise.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.peers import DISTRIBUTION, LADING
from bench.process import NotStarted
from bench.served import Peer, Start, lading_command, served
from bench.tokens import Login
from bench.tools import free_address, tool

SEALED, PLAIN = "sealed", "plain"
LADING_SEALED, LADING_OPEN = "lading sealed", "lading open"
DISTRIBUTION_TOKENS, DOCKER, ZOT = "distribution with tokens", "docker-registry", "zot"
_OTHER_SERVICE = "bench.example"
_VERSION = re.compile(r"(?<!\S)v?\d+\.\d[\w.+-]*")
_OFF, _ON = {"LADING_ENCRYPTION__MODE": "off"}, {"LADING_ENCRYPTION__MODE": "local"}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a registry is started on; whoever starts on it again finds its data and knows its password."""

    folder: Path
    workers: int
    zot: str = ""
    password: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Registry:
    """One way to run a registry, what there is to know of its settings, and how to ask its program for its version."""

    start: Callable[[Ground], AbstractContextManager[Peer]]
    about: str
    command: Callable[[Ground], list[str]]

    def version(self, ground: Ground) -> str:
        """What its program says of itself; raises NotStarted where it is not there."""
        done = subprocess.run(self.command(ground), capture_output=True, text=True, check=False)
        found = _VERSION.search(done.stdout + done.stderr)
        return found.group() if found else ""


@contextmanager
def sealed(ground: Ground) -> Iterator[Peer]:
    """Lading as it is when nothing is set, but for tokens."""
    with _lading_open(SEALED, ground, _ON) as peer:
        yield peer


@contextmanager
def plain(ground: Ground) -> Iterator[Peer]:
    """Lading without encryption and tokens, which sends files with sendfile."""
    with _lading_open(PLAIN, ground, _OFF) as peer:
        yield peer


@contextmanager
def lading(ground: Ground) -> Iterator[Peer]:
    """Lading with tokens."""
    with _lading_with_tokens(LADING, ground, _OFF) as peer:
        yield peer


@contextmanager
def lading_sealed(ground: Ground) -> Iterator[Peer]:
    """Lading with tokens and encryption: its defaults."""
    with _lading_with_tokens(LADING_SEALED, ground, _ON) as peer:
        yield peer


@contextmanager
def lading_open(ground: Ground) -> Iterator[Peer]:
    """Lading that anybody may use."""
    with _lading_open(LADING_OPEN, ground, _OFF) as peer:
        yield peer


@contextmanager
def distribution(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3, which encrypts nothing."""
    with _distribution(DISTRIBUTION, [tool("registry")], ground) as peer:
        yield peer


@contextmanager
def docker_registry(ground: Ground) -> Iterator[Peer]:
    """The registry 2.8 that distributions of Linux package."""
    with _distribution(DOCKER, [tool("docker-registry")], ground) as peer:
        yield peer


@contextmanager
def distribution_with_tokens(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3 that trusts the tokens of a Lading beside it, whose cost counts nowhere."""
    issuing = replace(ground, folder=ground.folder / "issuer")
    issuing.folder.mkdir(exist_ok=True)
    with _lading_with_tokens(LADING, issuing, _OFF) as issuer:
        keys = ground.folder / "jwks.json"
        keys.write_bytes(urllib.request.urlopen(f"http://{issuer.address}/auth/jwks.json", timeout=10).read())
        trust = {
            "realm": f"http://{issuer.address}/auth/token",
            "issuer": f"http://{issuer.address}",
            "service": _OTHER_SERVICE,
            "jwks": str(keys),
            "signingalgorithms": ["ES256"],
        }
        login = Login(issuer.address, _OTHER_SERVICE, "admin", ground.password)
        with _distribution(DISTRIBUTION_TOKENS, [tool("registry")], ground, {"token": trust}, login) as peer:
            yield peer


@contextmanager
def zot(ground: Ground) -> Iterator[Peer]:
    """Zot, told to sync what it acknowledges, which it does not by itself."""
    address = free_address()
    host, port = address.split(":")
    config = ground.folder / "config.json"
    document = {
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": str(ground.folder / "data"), "commit": True},
        "http": {"address": host, "port": port},
        "log": {"level": "error"},
    }
    config.write_text(json.dumps(document))
    with served(Start(ZOT, [*_zot(ground), "serve", str(config)], os.environ, address, ground.folder)) as peer:
        yield peer


_SYNCED = "syncs files and directories, always"
REGISTRIES: dict[str, Registry] = {
    SEALED: Registry(sealed, "no tokens, encryption local, durability full", lambda _: _lading_version()),
    PLAIN: Registry(plain, "no tokens, encryption off, durability full", lambda _: _lading_version()),
    LADING: Registry(
        lading, "a bearer token with every request, encryption off, durability full", lambda _: _lading_version()
    ),
    LADING_SEALED: Registry(
        lading_sealed,
        "a bearer token with every request, encryption local, durability full",
        lambda _: _lading_version(),
    ),
    LADING_OPEN: Registry(lading_open, "no tokens, encryption off, durability full", lambda _: _lading_version()),
    DISTRIBUTION: Registry(
        distribution,
        f"no tokens, descriptors cached in memory, tracing off; {_SYNCED}",
        lambda _: [tool("registry"), "--version"],
    ),
    DISTRIBUTION_TOKENS: Registry(
        distribution_with_tokens,
        f"the same, with bearer tokens (ES256) that Lading issued; {_SYNCED}",
        lambda _: [tool("registry"), "--version"],
    ),
    DOCKER: Registry(
        docker_registry,
        "no tokens, descriptors cached in memory; syncs files",
        lambda _: [tool("docker-registry"), "--version"],
    ),
    ZOT: Registry(
        zot,
        "no tokens, storage.commit true, so it syncs files; its default does not",
        lambda ground: [*_zot(ground), "--version"],
    ),
}


def present(names: Mapping[str, Registry], ground: Ground) -> tuple[dict[str, str], list[str]]:
    """The version of each registry whose program is there, and why others are left out."""
    found, absent = {}, []
    for name, registry in names.items():
        try:
            found[name] = registry.version(ground)
        except (NotStarted, OSError) as reason:
            absent.append(f"{name} is left out: {reason}")
    return found, absent


def _zot(ground: Ground) -> list[str]:
    if not ground.zot:
        raise NotStarted("name its program with --zot PATH")
    found = shutil.which(ground.zot)
    if found is None:
        raise NotStarted(f"{ground.zot} is no program")
    return [found]


def _lading_version() -> list[str]:
    return [*lading_command(), "version"]


@contextmanager
def _distribution(
    name: str, program: list[str], ground: Ground, auth: Mapping[str, object] | None = None, login: Login | None = None
) -> Iterator[Peer]:
    address = free_address()
    config = ground.folder / "config.json"  # every JSON document is YAML
    document = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "http": {"addr": address},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(ground.folder / "data")},
        },
        **({"auth": auth} if auth else {}),
    }
    config.write_text(json.dumps(document))
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    start = Start(name, [*program, "serve", str(config)], environment, address, ground.folder, login)
    with served(start) as peer:
        yield peer


@contextmanager
def _lading_open(name: str, ground: Ground, settings: Mapping[str, str]) -> Iterator[Peer]:
    address = free_address()
    command = [*lading_command(), "serve", "--dev"]
    with served(Start(name, command, _environment(ground, address, settings), address, ground.folder)) as peer:
        yield peer


@contextmanager
def _lading_with_tokens(name: str, ground: Ground, settings: Mapping[str, str]) -> Iterator[Peer]:
    address = free_address()
    environment = _environment(ground, address, settings) | {
        "LADING_AUTH__ADMIN_PASSWORD": ground.password,
        "LADING_AUTH__SERVICES": _OTHER_SERVICE,
        "LADING_SERVER__PUBLIC_URL": f"http://{address}",
    }
    login = Login(address, "lading", "admin", ground.password)
    command = [*lading_command(), "serve"]
    with served(Start(name, command, environment, address, ground.folder, login)) as peer:
        yield peer


def _environment(ground: Ground, address: str, settings: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {
        "LADING_SERVER__LISTEN": address,
        "LADING_SERVER__WORKERS": str(ground.workers),
        "LADING_STORAGE__ROOT": str(ground.folder / "data"),
        "LADING_LOG__ACCESS": "false",
        "LADING_LOG__LEVEL": "warning",
        **settings,
    }
