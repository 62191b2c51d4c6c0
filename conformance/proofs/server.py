"""One Lading server in a session of its own: started, killed, stopped, measured."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from proofs.api import is_alive, wait_until_ready
from proofs.outcome import Failed
from proofs.registry import Registry
from proofs.workspace import Workspace

START_SECONDS = 30
STOP_SECONDS = 40
VERIFY_SECONDS = 180
POLL_SECONDS = 0.05
LOG_TAIL = 1500


class Server:
    """A server on a data directory; leaving the context kills what still runs of it."""

    def __init__(self, workspace: Workspace, data: Path, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self._workspace = workspace
        self._log = log
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.data = data
        self.registry = Registry("", "", "")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def prefix(self) -> str:
        """What its keys begin with, where content is in a bucket."""
        return "/".join(self.data.parts[-3:-1]) + "/"

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "LADING_STORAGE__ROOT": str(self.data),
            "LADING_AUTH__ADMIN_PASSWORD": self._workspace.password,
            "LADING_SERVER__WORKERS": str(self._workspace.workers),
            # content of different data directories lies apart in a bucket too
            "LADING_STORAGE__PREFIX": self.prefix,
            **self._settings,
        }

    def start(self) -> Registry:
        """Serve, on a new port, and wait until the server is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._workspace.command, "serve"],
                env=self._environment() | {"LADING_SERVER__LISTEN": address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not wait_until_ready(address, self._process.pid, START_SECONDS):
            self.kill()
            raise Failed(f"the server did not start: {self.log_tail()}")
        self.registry = Registry(address, "admin", self._workspace.password)
        return self.registry

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise Failed("the server does not run")
        return self._process

    def log_tail(self) -> str:
        """The end of what the server wrote."""
        return " | ".join(self._log.read_text(errors="replace")[-LOG_TAIL:].splitlines()[-6:])

    def processes(self) -> list[int]:
        """Every living process of the server's session."""
        if self._process is None:
            return []
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, session = fields[0], int(fields[3])
            if session == self._process.pid and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    def pause(self) -> None:
        """Stop every process where it is, and wait until none runs, not even inside the kernel."""
        self.signal_all(signal.SIGSTOP)
        while any(state(thread) not in "Tt" for process in self.processes() for thread in threads(process)):
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """End every process without a word."""
        while self.processes():
            self.signal_all(signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """Ask the server to stop."""
        self._running().terminate()

    def wait(self) -> None:
        """Wait for its end after `terminate`; it must be clean."""
        try:
            status = self._running().wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"the server did not stop within {STOP_SECONDS} s") from None
        if status != 0:
            raise Failed(f"the server exited with {status} on SIGTERM: {self.log_tail()}")
        if self.processes():
            raise Failed(f"processes outlived the server: {self.processes()}")
        self._process = None

    def stop(self) -> None:
        """Ask the server to stop and wait for its clean end."""
        self.terminate()
        self.wait()

    def verify(self) -> None:
        """`lading verify` finds nothing wrong."""
        self.lading("verify")

    def lading(self, *words: str) -> str:
        """What a command prints that is run in the data directory; it must succeed."""
        status, said = self.outcome(*words)
        if status != 0:
            raise Failed(f"lading {words[0]} exited with {status}: {said[-LOG_TAIL:]}")
        return said

    def outcome(self, *words: str) -> tuple[int, str]:
        """How a command ends that is run in the data directory, and what it prints, errors where there is no more."""
        try:
            done = subprocess.run(
                [*self._workspace.command, *words],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=VERIFY_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"lading {words[0]} took more than {VERIFY_SECONDS} s") from None
        return done.returncode, done.stdout or done.stderr

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that runs in the data directory; what it prints can be read."""
        return subprocess.Popen(
            [*self._workspace.command, *words],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def workers(self) -> list[int]:
        """The living worker processes."""
        supervisor = self._running().pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
        return [process for process in map(int, children.split()) if is_alive(process)]

    def worker_behind(self, connection: socket.socket) -> int | None:
        """The worker that holds the other end of a connection, None when none does any more."""
        ends = connection.getpeername()[1], connection.getsockname()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if tuple(int(end.partition(":")[2], 16) for end in fields[1:3]) == ends:
                return next((worker for worker in self.workers() if holds(worker, fields[9])), None)
        return None

    def memory_bytes(self) -> dict[int, int]:
        """The proportional share of memory of each of its processes."""
        found = {}
        for process in self.processes():
            try:
                lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[process] = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
        return found


def holds(process: int, inode: str) -> bool:
    """Whether a process has a socket open."""
    try:
        return any(str(each.readlink()) == f"socket:[{inode}]" for each in Path(f"/proc/{process}/fd").iterdir())
    except FileNotFoundError:
        return False


def threads(process: int) -> list[Path]:
    """The kernel's folders of a process's threads."""
    return list(Path(f"/proc/{process}/task").glob("*"))


def state(thread: Path) -> str:
    """The one-letter state of a thread; one that has gone counts as stopped."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "T"
