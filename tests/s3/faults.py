"""Faults: what goes wrong between a client and S3, asked for by a test and counted down request by request."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class FaultKind(Enum):
    """How a request goes wrong."""

    ERROR = auto()  # an error document of `code`, or an empty body
    ERROR_IN_200 = auto()  # the status says success, the document inside is an error; nothing was done
    RESET = auto()  # the connection is reset before the body is read
    RESET_IN_BODY = auto()  # the connection is reset after `at_byte` bytes of the body, or half of it
    ANSWER_LOST = auto()  # the work is done, then the connection is reset
    DELAY = auto()  # `seconds` pass
    HANG = auto()  # nothing happens until the fault is released
    TRUNCATE = auto()  # the body ends after `at_byte` bytes, its Content-Length says more
    FLIP = auto()  # the lowest bit of byte `at_byte` of the body is the other one


@dataclass(slots=True, eq=False)
class Fault:
    """One fault: for which requests, and how it shows.

    It passes the first `after` requests that match, and then meets `times` of them (None: all). `operation` may be
    "*"; `match` is a prefix of the key. DELAY and HANG come before the work, unless `works_first`.
    """

    operation: str
    kind: FaultKind
    times: int | None = 1
    after: int = 0
    match: str = ""
    code: str = "InternalError"
    status: int | None = None
    has_body: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0
    at_byte: int | None = None
    works_first: bool = False
    fired: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    _passed: int = 0

    def release(self) -> None:
        """Let everything go on that hangs in this fault."""
        self.released.set()

    def meets(self, operation: str, key: str) -> bool:
        """Whether the fault is for this request; counts."""
        if self.operation not in {operation, "*"} or not key.startswith(self.match):
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        if self._passed < self.after:
            self._passed += 1
            return False
        self.fired += 1
        return True


class Faults:
    """The faults that are armed; a request meets at most one of them, the first that was added."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults, and release those that hang."""
        with self._lock:
            armed, self._armed = self._armed, []
        for fault in armed:
            fault.release()

    def take(self, operation: str, key: str) -> Fault | None:
        """The fault that the next request meets."""
        if not self._armed:
            return None
        with self._lock:
            return next((fault for fault in self._armed if fault.meets(operation, key)), None)
