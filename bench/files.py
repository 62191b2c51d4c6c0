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
from functools import partial
from pathlib import Path

from bench.certificates import Pair, pair_in
from bench.peers import DISTRIBUTION, LADING
from bench.process import NotStarted
from bench.served import Peer, Start, lading_command, served
from bench.tokens import Login
from bench.tools import free_address, tool

SEALED, PLAIN = "sealed", "plain"
LADING_SEALED, LADING_OPEN = "lading sealed", "lading open"
DISTRIBUTION_TOKENS, DOCKER, ZOT = "distribution with tokens", "docker-registry", "zot"
LADING_TLS, DISTRIBUTION_TLS, ZOT_TLS = "lading with TLS", "distribution with TLS", "zot with TLS"
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
def _lading_open(name: str, settings: Mapping[str, str], ground: Ground) -> Iterator[Peer]:
    """Lading that anybody may use."""
    address = free_address()
    command = [*lading_command(), "serve", "--dev"]
    with served(Start(name, command, _environment(ground, address, settings), address, ground.folder)) as peer:
        yield peer


@contextmanager
def _lading_with_tokens(
    name: str, settings: Mapping[str, str], ground: Ground, certificate: Path | None = None
) -> Iterator[Peer]:
    """Lading as it is when nothing is set, but for encryption."""
    address = free_address()
    environment = _environment(ground, address, settings) | {
        "LADING_AUTH__ADMIN_PASSWORD": ground.password,
        "LADING_AUTH__SERVICES": _OTHER_SERVICE,
        "LADING_SERVER__PUBLIC_URL": f"{'http' if certificate is None else 'https'}://{address}",
    }
    login = Login(address, "lading", "admin", ground.password, certificate)
    command = [*lading_command(), "serve"]
    with served(Start(name, command, environment, address, ground.folder, login, certificate)) as peer:
        yield peer


@contextmanager
def _lading_with_tls(ground: Ground) -> Iterator[Peer]:
    """The same over TLS."""
    pair = pair_in(ground.folder)
    settings = {"LADING_SERVER__TLS_CERTIFICATE": str(pair.certificate), "LADING_SERVER__TLS_KEY": str(pair.key)}
    with _lading_with_tokens(LADING_TLS, _OFF | settings, ground, pair.certificate) as peer:
        yield peer


@contextmanager
def _distribution(
    name: str,
    program: str,
    ground: Ground,
    auth: Mapping[str, object] | None = None,
    login: Login | None = None,
    pair: Pair | None = None,
) -> Iterator[Peer]:
    """CNCF distribution, of version 3 or before, which encrypts nothing that it keeps."""
    address = free_address()
    config = ground.folder / "config.json"  # every JSON document is YAML
    document = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "http": {"addr": address, **({"tls": _named(pair, "certificate")} if pair else {})},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(ground.folder / "data")},
        },
        **({"auth": auth} if auth else {}),
    }
    config.write_text(json.dumps(document))
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    command, certificate = [tool(program), "serve", str(config)], pair.certificate if pair else None
    with served(Start(name, command, environment, address, ground.folder, login, certificate)) as peer:
        yield peer


@contextmanager
def _distribution_with_tokens(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3 that trusts the tokens of a Lading beside it, whose cost counts nowhere."""
    issuing = replace(ground, folder=ground.folder / "issuer")
    issuing.folder.mkdir(exist_ok=True)
    with _lading_with_tokens(LADING, _OFF, issuing) as issuer:
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
        with _distribution(DISTRIBUTION_TOKENS, "registry", ground, {"token": trust}, login) as peer:
            yield peer


@contextmanager
def _distribution_with_tls(ground: Ground) -> Iterator[Peer]:
    """CNCF distribution v3 over TLS."""
    with _distribution(DISTRIBUTION_TLS, "registry", ground, pair=pair_in(ground.folder)) as peer:
        yield peer


@contextmanager
def _zot_with_tls(ground: Ground) -> Iterator[Peer]:
    """Zot over TLS."""
    with _start_zot(ZOT_TLS, ground, pair_in(ground.folder)) as peer:
        yield peer


@contextmanager
def _start_zot(name: str, ground: Ground, pair: Pair | None = None) -> Iterator[Peer]:
    """Zot, told to sync what it acknowledges, which it does not by itself."""
    address = free_address()
    host, port = address.split(":")
    config = ground.folder / "config.json"
    document = {
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": str(ground.folder / "data"), "commit": True},
        "http": {"address": host, "port": port, **({"tls": _named(pair, "cert")} if pair else {})},
        "log": {"level": "error"},
    }
    config.write_text(json.dumps(document))
    command, certificate = [*_zot(ground), "serve", str(config)], pair.certificate if pair else None
    with served(Start(name, command, os.environ, address, ground.folder, certificate=certificate)) as peer:
        yield peer


def _named(pair: Pair, certificate: str) -> dict[str, str]:
    """The files of a pair, the certificate under the name that a registry in Go has for it."""
    return {certificate: str(pair.certificate), "key": str(pair.key)}


def _environment(ground: Ground, address: str, settings: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {
        "LADING_SERVER__LISTEN": address,
        "LADING_SERVER__WORKERS": str(ground.workers),
        "LADING_STORAGE__ROOT": str(ground.folder / "data"),
        "LADING_LOG__ACCESS": "false",
        "LADING_LOG__LEVEL": "warning",
        **settings,
    }


def _zot(ground: Ground) -> list[str]:
    if not ground.zot:
        raise NotStarted("name its program with --zot PATH")
    found = shutil.which(ground.zot)
    if found is None:
        raise NotStarted(f"{ground.zot} is no program")
    return [found]


def _program(name: str) -> Callable[[Ground], list[str]]:
    return lambda _: [tool(name), "--version"]


def _version_of_zot(ground: Ground) -> list[str]:
    return [*_zot(ground), "--version"]


def _version_of_lading(_ground: Ground) -> list[str]:
    return [*lading_command(), "version"]


_OPEN, _TOKENS = "no tokens", "a bearer token with every request"
_FULL, _CACHED = "durability full", "descriptors cached in memory"
_SECURE = "over TLS 1.3 and HTTP/1.1, with a P-256 certificate that the client checks"
REGISTRIES: dict[str, Registry] = {
    SEALED: Registry(partial(_lading_open, SEALED, _ON), f"{_OPEN}, encryption local, {_FULL}", _version_of_lading),
    PLAIN: Registry(partial(_lading_open, PLAIN, _OFF), f"{_OPEN}, encryption off, {_FULL}", _version_of_lading),
    LADING: Registry(
        partial(_lading_with_tokens, LADING, _OFF), f"{_TOKENS}, encryption off, {_FULL}", _version_of_lading
    ),
    LADING_SEALED: Registry(
        partial(_lading_with_tokens, LADING_SEALED, _ON), f"{_TOKENS}, encryption local, {_FULL}", _version_of_lading
    ),
    LADING_OPEN: Registry(
        partial(_lading_open, LADING_OPEN, _OFF), f"{_OPEN}, encryption off, {_FULL}", _version_of_lading
    ),
    DISTRIBUTION: Registry(
        partial(_distribution, DISTRIBUTION, "registry"),
        f"{_OPEN}, {_CACHED}, tracing off; syncs files and directories, always",
        _program("registry"),
    ),
    DISTRIBUTION_TOKENS: Registry(
        _distribution_with_tokens,
        f"the same, but {_TOKENS}: ES256, issued by a Lading beside it whose cost counts nowhere",
        _program("registry"),
    ),
    DOCKER: Registry(
        partial(_distribution, DOCKER, "docker-registry"),
        f"{_OPEN}, {_CACHED}; syncs files, always",
        _program("docker-registry"),
    ),
    ZOT: Registry(
        partial(_start_zot, ZOT),
        f"{_OPEN}, storage.commit true, so it syncs files; its default does not",
        _version_of_zot,
    ),
    LADING_TLS: Registry(_lading_with_tls, f"as {LADING}, {_SECURE}", _version_of_lading),
    DISTRIBUTION_TLS: Registry(_distribution_with_tls, f"as {DISTRIBUTION}, {_SECURE}", _program("registry")),
    ZOT_TLS: Registry(_zot_with_tls, f"as {ZOT}, {_SECURE}", _version_of_zot),
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
