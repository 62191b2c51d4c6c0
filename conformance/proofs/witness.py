"""Requests of many clients at once: what was acknowledged, what was refused without a reason, and what is secret.

- Every request has a connection and a `User-Agent` of its own, by which its audit event is found.
- A connection may break when a worker was killed while the request was under way, and at no other time.
"""

import base64
import http.client
import itertools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proofs.registry import Answer, Registry, send
from proofs.server import Server

ADMIN_API = "/admin/v1"
REQUEST_SECONDS = 60
DEATH_SECONDS = 10
EVERY_SECONDS = 60


class Cut(Exception):
    """The connection broke because its worker was killed."""


class Broken(Exception):
    """A request failed that must not fail."""


def basic(name: str, password: str) -> str:
    """An Authorization header with a name and a password."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Witness:
    """Sends requests to one server and remembers what came of them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._address = server.registry.address
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._kills: list[list[float]] = []
        self.ending = threading.Event()
        self.requests = 0
        self.cut = 0
        self.rounds_of_workers = 0
        self.acknowledged: dict[str, str] = {}
        self.failures: list[str] = []
        self.secrets: dict[str, str] = {}

    # -- requests ------------------------------------------------------------------------------------------------

    def exchange(self, method: str, path: str, authorization: str, body: bytes = b"", kind: str = "") -> Answer:
        """One request; raises Cut, or Broken when the connection broke without a reason."""
        return self._exchange(method, path, authorization, body, kind)[0]

    def change(self, method: str, path: str, authorization: str, body: bytes = b"", kind: str = "") -> Answer:
        """A request that is answered with 2xx and leaves an event; raises Cut or Broken."""
        answer, agent = self._exchange(method, path, authorization, body, kind)
        if not 200 <= answer.status < 300:
            raise Broken(f"{method} {path} was answered {answer.status}: {answer.body[:300]!r}")
        with self._lock:
            self.acknowledged[agent] = f"{method} {path}"
        return answer

    def _exchange(self, method: str, path: str, authorization: str, body: bytes, kind: str) -> tuple[Answer, str]:
        agent = f"proof/{next(self._numbers)}"
        headers = {"Authorization": authorization, "User-Agent": agent} | ({"Content-Type": kind} if kind else {})
        connection = http.client.HTTPConnection(self._address, timeout=REQUEST_SECONDS)
        began = time.monotonic()
        try:
            send(connection, method, path, headers, body)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, content), agent
        except (OSError, http.client.HTTPException) as error:
            raise self._reason(began, f"{method} {path}", error) from error
        finally:
            self.requests += 1
            connection.close()

    def ask_every_worker(self, path: str, authorization: str, expected: int) -> None:
        """Ask until every living worker has answered, each time as expected; raises Broken for another answer."""
        seen: set[int | None] = set()
        deadline = time.monotonic() + EVERY_SECONDS
        while missing := set(self._server.workers()) - seen:
            if time.monotonic() > deadline:
                raise Broken(f"the workers {missing} did not answer")
            try:
                worker, status = self._ask(path, authorization)
            except Cut:
                continue
            if status != expected:
                raise Broken(f"GET {path} was answered {status} by worker {worker}, not {expected}")
            seen.add(worker)
        self.rounds_of_workers += 1

    def _ask(self, path: str, authorization: str) -> tuple[int | None, int]:
        """Which worker answered a GET, and with what status."""
        connection = http.client.HTTPConnection(self._address, timeout=REQUEST_SECONDS)
        began = time.monotonic()
        try:
            connection.request("GET", path, headers={"Authorization": authorization})
            status = connection.getresponse().status
            return self._server.worker_behind(connection.sock), status
        except (OSError, http.client.HTTPException) as error:
            raise self._reason(began, f"GET {path}", error) from error
        finally:
            self.requests += 1
            connection.close()

    def _reason(self, began: float, request: str, error: Exception) -> Exception:
        if self._was_killed(began, time.monotonic()):
            self.cut += 1
            return Cut()
        return Broken(f"{request}: {error!r}")

    # -- kills ---------------------------------------------------------------------------------------------------

    def kill(self, worker: int) -> None:
        """End a worker without a word, and wait until it is gone."""
        moment = [time.monotonic(), math.inf]
        self._kills.append(moment)
        os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + DEATH_SECONDS
        while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        moment[1] = time.monotonic()

    def _was_killed(self, began: float, ended: float) -> bool:
        return any(first <= ended and last >= began for first, last in self._kills)

    @property
    def kills(self) -> int:
        """How many workers were killed."""
        return len(self._kills)

    # -- secrets -------------------------------------------------------------------------------------------------

    def keep_secret(self, secret: str, what: str) -> str:
        """Remember what must not be found anywhere."""
        with self._lock:
            self.secrets[secret] = what
        return secret

    def found_secrets(self, places: Mapping[str, bytes]) -> list[str]:
        """Which secrets are where they must not be."""
        return [
            f"{what} in {place}"
            for place, content in places.items()
            for secret, what in self.secrets.items()
            if secret.encode() in content
        ]


class Steward:
    """Changes who may do what by the admin API; a change that a kill cut off is made again."""

    def __init__(self, witness: Witness, registry: Registry, password: str) -> None:
        self._witness = witness
        self._authorization = basic("admin", witness.keep_secret(password, "the root password"))
        self.service = (
            registry.exchange("GET", "/v2/", {}).headers["www-authenticate"].split('service="')[1].split('"')[0]
        )

    def change(self, method: str, path: str, document: object = None) -> Any:
        """Do it, again where a kill cut it off; what the server answers."""
        while True:
            try:
                return self.try_once(method, path, document)
            except Cut:
                continue

    def try_once(self, method: str, path: str, document: object = None) -> Any:
        """Do it; raises Cut when it may have been done or not."""
        body = b"" if document is None else json.dumps(document).encode()
        answer = self._witness.change(method, ADMIN_API + path, self._authorization, body, "application/json")
        return answer.json() if answer.body else None

    def read(self, path: str) -> Any:
        """What the admin API shows."""
        while True:
            try:
                return self._witness.exchange("GET", ADMIN_API + path, self._authorization).expect(200).json()
            except Cut:
                continue

    def policy(self, user: str, *actions: str) -> None:
        """Let a user do these actions in its repository, and nothing else."""
        statement = {
            "Effect": "Allow" if actions else "Deny",
            "Action": list(actions or ["ecr:*"]),
            "Resource": f"arn:aws:ecr:*:*:repository/access/{user}",
        }
        document = {"Version": "2012-10-17", "Statement": [statement]}
        self.change("PUT", f"/users/{user}/inline-policies/here", {"document": document})

    def user(self, name: str) -> str:
        """Make a user who may pull and push in its repository; its password."""
        password = self._witness.keep_secret(os.urandom(18).hex(), f"the password of {name}")
        self.change("POST", "/users", {"name": name, "password": password})
        self.policy(name, "ecr:*")
        return password
