"""The parent process: it forks the workers, restarts those that die, and turns every way to stop into one drain.

- It serves nothing and runs no event loop or thread, so that it can fork at any time.
- It keeps every listening socket open: the connections that wait at a dead worker's are served by its successor.
- A worker that ends with 0 was told to stop, and so all stop; any other end is a death, and it is started again.
- A worker that was ready once is started again for ever: its deaths never end the others, which serve.
"""

import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, NoReturn, Protocol

from registry.logs import Logger
from registry.worker import News

_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_SIGNALS: Final = _STOP_SIGNALS | {signal.SIGHUP, signal.SIGCHLD}
_SAME_ORDER_SECONDS: Final = 0.2  # a signal sent to a whole group, and forwarded as well, is one order
_CLEANUP_SECONDS: Final = 3.0
_MESSAGE_BYTES: Final = 8192
_MOST_DOUBLINGS: Final = 30


@dataclass(slots=True)
class Restarts:
    """When one worker that died is started again, and when there is no point any more."""

    quick_seconds: float = 5.0
    """A worker that lived no longer than this died at once."""
    attempts: int = 10
    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 5.0
    _quick_deaths: int = field(default=0, init=False)

    def delay(self, lived_seconds: float, *, was_ready: bool) -> float | None:
        """Seconds to wait before the next start; None after too many quick deaths of one that never was ready."""
        if lived_seconds > self.quick_seconds:
            self._quick_deaths = 0
            return 0.0
        self._quick_deaths += 1
        if self._quick_deaths >= self.attempts and not was_ready:
            return None
        doublings = min(self._quick_deaths - 1, _MOST_DOUBLINGS)
        return min(math.ldexp(self.first_delay_seconds, doublings), self.longest_delay_seconds)


class Phase(Enum):
    """Where a supervisor is; it only moves down this list."""

    STARTING = auto()
    SERVING = auto()
    DRAINING = auto()
    ENDING = auto()


class Channel:
    """What ties the supervisor to its workers: news come up, and its life is felt below."""

    def __init__(self) -> None:
        self.news, self._upward = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.life, self._lifeline = os.pipe()
        self.news.settimeout(0)
        self._upward.settimeout(0)

    def receive(self) -> tuple[News, str] | None:
        """Take the next message, if there is one."""
        try:
            message = self.news.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return None
        return News(message[:1]), message[1:].decode("utf-8", "replace")

    def tell(self, news: News, text: str = "") -> None:
        """Send the supervisor a message (READY with the worker's index); one that finds no room is dropped."""
        with suppress(OSError):
            self._upward.send(news.value + text.encode("utf-8", "replace")[: _MESSAGE_BYTES - 1])

    def keep_worker_ends(self) -> None:
        """Close the supervisor's ends, in a worker."""
        os.close(self._lifeline)
        self.news.close()


class Crew(Protocol):
    """What a supervisor's workers do, and who hears of them."""

    def start(self, index: int) -> int:
        """Be this worker until it ends, in the forked child; returns its exit code."""

    def ready(self) -> None:
        """Hear that all workers serve for the first time."""

    def restarted(self) -> None:
        """Hear that a worker died and is started again."""

    def failed(self, reason: str) -> None:
        """Hear that the server ends by itself, and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor keeps to."""

    listeners: Sequence[socket.socket]
    """One for each worker."""
    drain_seconds: float
    restarts: Restarts
    """Each worker starts with a copy."""


@dataclass(frozen=True, slots=True)
class _Worker:
    index: int
    started_at: float


class Supervisor:
    """Keeps one worker for each listening socket until told to stop."""

    def __init__(self, plan: Plan, channel: Channel, crew: Crew, log: Logger) -> None:
        self._plan = plan
        self._channel = channel
        self._crew = crew
        self._log = log
        self._phase = Phase.STARTING
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}
        self._ready: set[str] = set()
        self._restarts = [replace(plan.restarts) for _ in plan.listeners]
        self._ordered_at: float | None = None
        self._deadline = math.inf
        self._exit_code = 0

    def run(self) -> int:
        """Serve until all workers have ended; returns 0 after a drain, 1 when they would not live."""
        with _signals() as wakeup, selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            selector.register(self._channel.news, selectors.EVENT_READ)
            for index in range(len(self._plan.listeners)):
                self._fork(index)
            while self._workers or self._due:
                selector.select(self._patience())
                self._take_news()
                for number in _received(wakeup):
                    self._obey(number)
                self._reap()
                self._keep_time()
        return self._exit_code

    def _fork(self, index: int) -> None:
        # No signal may find the child with the supervisor's handlers: they would be lost there
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._be_worker(index)
        self._workers[pid] = _Worker(index, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_worker(self, index: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _STOP_SIGNALS:
                signal.signal(number, lambda *_: os._exit(0))  # until the worker's loop takes over
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._channel.keep_worker_ends()
            for other, listener in enumerate(self._plan.listeners):
                if other != index:
                    listener.close()
            code = self._crew.start(index)
        finally:
            os._exit(code)  # never back into the supervisor's frames

    def _take_news(self) -> None:
        while (message := self._channel.receive()) is not None:
            news, text = message
            match news:
                case News.READY:
                    self._ready.add(text)
                    if self._phase is Phase.STARTING and len(self._ready) >= len(self._plan.listeners):
                        self._phase = Phase.SERVING
                        self._crew.ready()
                case News.DRAINING:
                    self._drain()
                case News.FAILED if self._phase is Phase.STARTING:
                    self._fail(text)
                case News.FAILED:
                    self._log.error("a worker could not start", reason=text)

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._signal_all(signal.SIGHUP)
        if number not in _STOP_SIGNALS:
            return
        now = time.monotonic()
        if self._ordered_at is None:
            self._ordered_at = now
            self._drain()
        elif now - self._ordered_at > _SAME_ORDER_SECONDS and self._phase is Phase.DRAINING:
            self._end()

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, code: int) -> None:
        """Decide what the end of a worker means."""
        if self._phase in {Phase.DRAINING, Phase.ENDING}:
            return
        if code == 0:
            self._drain()
            return
        lived = time.monotonic() - worker.started_at
        delay = self._restarts[worker.index].delay(lived, was_ready=str(worker.index) in self._ready)
        self._log.error("a worker died", worker=worker.index, exit_code=code, lived_seconds=round(lived, 3))
        if delay is None:
            self._fail(
                f"workers die as soon as they start (the latest with {code}): see the lines above for the reason"
            )
            return
        self._due[worker.index] = time.monotonic() + delay
        self._crew.restarted()

    def _fail(self, reason: str) -> None:
        if self._exit_code == 0 and self._phase in {Phase.STARTING, Phase.SERVING}:
            self._exit_code = 1
            self._crew.failed(reason)
        self._drain()

    def _drain(self) -> None:
        if self._phase in {Phase.DRAINING, Phase.ENDING}:
            return
        self._phase = Phase.DRAINING
        self._log.info("draining", seconds=self._plan.drain_seconds)
        self._due.clear()
        self._deadline = time.monotonic() + self._plan.drain_seconds + _CLEANUP_SECONDS
        self._signal_all(signal.SIGTERM)
        for listener in self._plan.listeners:
            listener.close()

    def _end(self) -> None:
        self._phase = Phase.ENDING
        self._deadline = time.monotonic() + _CLEANUP_SECONDS
        self._signal_all(signal.SIGQUIT)

    def _keep_time(self) -> None:
        """Start what is due, and end what is overdue."""
        now = time.monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            del self._due[index]
            self._fork(index)
        if now >= self._deadline:
            self._log.error("workers did not end in time and are killed", workers=len(self._workers))
            self._deadline = math.inf
            self._signal_all(signal.SIGKILL)

    def _patience(self) -> float | None:
        """How long nothing has to be done, unless news or a signal comes; None for ever."""
        next_time = min(self._deadline, *self._due.values(), math.inf)
        return None if next_time == math.inf else max(0.0, next_time - time.monotonic())

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)  # not reaped yet, so the id is still theirs


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Turn signals into bytes on a socket for the time being."""
    wakeup, sender = socket.socketpair()
    wakeup.settimeout(0)
    sender.settimeout(0)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield wakeup
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in before.items():
            signal.signal(number, handler)
        wakeup.close()
        sender.close()


def _received(wakeup: socket.socket) -> bytes:
    with suppress(BlockingIOError):
        return wakeup.recv(_MESSAGE_BYTES)
    return b""
