"""The audit trail of a whole server: several workers, one chain, and what a kill takes with it."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.registry.serving import ROOT, eventually

PASSWORD = "correct-horse"
AUTHORIZATION = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """Ask on a connection of its own, which any worker may get; returns the status."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Authorization": AUTHORIZATION})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def push(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert self.ask("POST", f"/v2/a/blobs/uploads/?digest={digest}", content) == 201
        return digest


def _arguments(root: Path, command: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "registry", *command.split(), "--root", str(root / "data"), *more]


@contextmanager
def _serving(root: Path, *more: str) -> Iterator[Served]:
    log = root / "log"
    settings = ["--listen", "127.0.0.1:0", "--workers", "2", "--log-format", "json"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            _arguments(root, "serve", *settings, *more),
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=os.environ | {"LADING_AUTH__ADMIN_PASSWORD": PASSWORD},
            start_new_session=True,
        )
    try:
        eventually(lambda: b'"event":"serving"' in log.read_bytes() or process.poll() is not None)
        line = next(line for line in log.read_text().splitlines() if '"event":"serving"' in line)
        yield Served(process, int(json.loads(line)["address"].rpartition(":")[2]))
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _audit(root: Path, command: str) -> str:
    ran = subprocess.run(_arguments(root, f"audit {command}"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _exported(root: Path, event: str) -> list[str]:
    """The digests of all events of a kind."""
    lines = _audit(root, f"export --event {event}").splitlines()
    return [json.loads(line)["details"]["digest"] for line in lines]


def test_workers_write_one_chain_and_one_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with _serving(tmp_path, "--set", f"audit.file={file}") as server, ThreadPoolExecutor(8) as threads:
        digests = list(threads.map(server.push, (str(number).encode() for number in range(40))))
        assert set(threads.map(lambda digest: server.ask("GET", f"/v2/a/blobs/{digest}"), digests)) == {200}

    assert sorted(_exported(tmp_path, "push")) == sorted(digests)
    assert sorted(_exported(tmp_path, "pull")) == sorted(digests)
    assert _audit(tmp_path, "verify") == "80 events: all as they were recorded\n"
    lines = sorted(file.read_text().splitlines(), key=lambda line: int(json.loads(line)["id"]))
    assert sorted(lines) == sorted(_audit(tmp_path, "export").splitlines())


def test_a_killed_worker_takes_its_last_second_of_pulls_and_nothing_else(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        digests = [server.push(str(number).encode()) for number in range(10)]
        for digest in digests:
            assert server.ask("GET", f"/v2/a/blobs/{digest}") == 200
        time.sleep(1.5)  # a noted event is written within a second
        digests.append(server.push(b"last"))
        killed = server.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(server.workers()) - set(killed)) == 2)
        eventually(lambda: _answers(server))
        digests.append(server.push(b"after"))

    assert sorted(_exported(tmp_path, "push")) == sorted(digests)
    assert sorted(_exported(tmp_path, "pull")) == sorted(digests[:10])
    assert _audit(tmp_path, "verify") == "22 events: all as they were recorded\n"


def _answers(server: Served) -> bool:
    try:
        return server.ask("GET", "/healthz") == 200
    except OSError:
        return False
