"""A registry that runs, and how it is started and waited for."""

import http.client
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import Program
from bench.tls import http_connection
from bench.tokens import Login, repository_scope

START_SECONDS = 30
_ANSWER_SECONDS = 5
_READY = {http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED}


@dataclass(frozen=True, slots=True)
class Peer:
    """A registry that runs on a folder; with a login, it wants tokens; with a certificate, TLS."""

    name: str
    address: str
    program: Program
    folder: Path
    login: Login | None = None
    certificate: Path | None = None

    def headers(self, repository: str) -> dict[str, str]:
        """What requests about a repository need: a token of its own for each who asks, as clients do."""
        return self.scoped(repository_scope(repository))

    def scoped(self, scope: str) -> dict[str, str]:
        """What requests need that a scope is for."""
        return {} if self.login is None else self.login.bearer(scope)


@dataclass(frozen=True, slots=True)
class Start:
    """How a registry is started: under a name, with its log in a folder."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    address: str
    folder: Path
    login: Login | None = None
    certificate: Path | None = None


def lading_command() -> list[str]:
    """The command that LADING names, else the package beside this one."""
    return shlex.split(os.environ.get("LADING", "")) or [sys.executable, "-m", "registry"]


@contextmanager
def served(start: Start) -> Iterator[Peer]:
    """Start a registry and wait until it answers; raises NotStarted."""
    with Program(start.command, start.environment, start.folder / "server.log") as program:
        program.wait_for(_answers(start), START_SECONDS)
        yield Peer(start.name, start.address, program, start.folder, start.login, start.certificate)


def _answers(start: Start) -> Iterator[bool]:
    while True:
        connection = http_connection(start.address, start.certificate, _ANSWER_SECONDS)
        try:
            connection.request("GET", "/v2/")
            yield connection.getresponse().status in _READY
        except (OSError, http.client.HTTPException):
            yield False
        finally:
            connection.close()
