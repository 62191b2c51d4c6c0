"""Processes that are started for a benchmark, and what the kernel tells of them: CPU time, memory, bytes written."""

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_SECONDS = 20
POLL_SECONDS = 0.05
READY_POLL_SECONDS = 0.005
SAMPLE_SECONDS = 0.1
LOG_TAIL = 1500
TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NOTABLE_BYTES = 1 << 20


class NotStarted(Exception):
    """A server could not be started; the message says why."""


class Program:
    """One program in a session of its own, which is how its children are found; leaving the context ends them all."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """Where it was started; what it keeps is below."""
        return self._log.parent

    def wait_for(self, is_ready: "Iterator[bool]", seconds: float) -> None:
        """Wait until an answer is true; raises NotStarted with the end of the log."""
        deadline = time.monotonic() + seconds
        for answer in is_ready:
            if answer:
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(READY_POLL_SECONDS)
        raise NotStarted(f"{self._process.args!r} is not ready: {self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what it wrote."""
        return " | ".join(self._log.read_text(errors="replace")[-LOG_TAIL:].splitlines()[-6:])

    def processes(self) -> list[int]:
        """Every living process of the session."""
        return [process for process, fields in _stats() if int(fields[3]) == self._process.pid and fields[0] != "Z"]

    def stop(self) -> None:
        """Ask for a clean end; after a while, insist."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        while left := self.processes():
            for process in left:
                _send(process, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time of every process of the session, and of its children that have ended."""
        return sum(
            sum(map(int, fields[11:15])) / TICKS for _, fields in _stats() if int(fields[3]) == self._process.pid
        )

    def memory_bytes(self) -> int:
        """The proportional share of memory of all processes: what is shared counts once."""
        return sum(_pss_bytes(process) for process in self.processes())

    def written_bytes(self) -> int:
        """What the living processes had written to block devices; files in tmpfs do not count."""
        return sum(_written_bytes(process) for process in self.processes())


class Peak:
    """The most memory that its processes of now held while the context lasted, to a MiB.

    What they share is told apart only when they have grown: for that the kernel walks over all their pages, while they
    wait. Done at each look, it took half of the rate of pulls of 100 MiB.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._processes: list[int] = []
        self._most_resident = 0
        self.memory_bytes = 0

    def __enter__(self) -> Self:
        self._processes = self._program.processes()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        resident = sum(map(_resident_bytes, self._processes))
        if resident > self._most_resident + _NOTABLE_BYTES:
            self._most_resident = resident
            self.memory_bytes = max(self.memory_bytes, sum(map(_pss_bytes, self._processes)))


@contextmanager
def unwritable(directory: Path) -> Iterator[bool]:
    """Make a directory that nobody can write to, not even root where it may mount; false where that failed."""
    directory.mkdir()
    directory.chmod(0o500)
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=4k", "tmpfs", str(directory)]
    is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted or os.geteuid() != 0
    finally:
        if is_mounted:
            subprocess.run(["umount", str(directory)], check=False)


def own_cpu_seconds() -> float:
    """User and system time of this process, without its children."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Every process with the fields of its `stat` from the third on."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _number(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name))


def _resident_bytes(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _pss_bytes(process: int) -> int:
    return _number(Path(f"/proc/{process}/smaps_rollup"), "Pss:") << 10


def _written_bytes(process: int) -> int:
    return _number(Path(f"/proc/{process}/io"), "write_bytes:")
