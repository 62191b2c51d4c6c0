"""What an event of the audit trail is, how it is written as JSON, and the seal that ties it to those before it.

- The seal of an event is 64 bytes: the last 32 of the seal before it (zeros for the first event of all), then
  HMAC-SHA256 under the trail's key of those 32 and the event's JSON, its members sorted by name. So each event proves
  itself and its place, whether it is found in the database, in the file or in an export.
- Ids count from 1 without a gap. The old end is cut off only together with an event that says so.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from math import floor
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from storage.errors import AuditTrailBroken

_HALF: Final = 32
_NOTHING_BEFORE: Final = bytes(_HALF)

CUT: Final = "lading:CutAuditTrail"
"""The action of the event that says which events were cut off, `details.through` being the id of the last."""

QUARANTINE: Final = "lading:QuarantineBlob"
"""The action of the event that says that a stored object was found bad, and is served no more."""

THE_REGISTRY: Final = "registry"
"""The principal of what the registry does by itself."""

UNKNOWN: Final = "unknown"
"""The principal of who failed to show who it is."""


class EventKind(StrEnum):
    """What kind of thing happened."""

    AUTHENTICATE = "authenticate"
    REFUSE = "refuse"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CHANGE = "change"
    DAMAGE = "damage"


class Verdict(StrEnum):
    """How it was decided: as policies decide, or refused for what the credentials were."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of a policy that decided; `index` counts from 0."""

    policy: str
    sid: str | None
    index: int


@dataclass(slots=True)  # one is made with each pull, and a frozen one takes four times as long
class AuditEvent:
    """Who did what, from where, and why it was allowed or not.

    `principal` is an ARN, or `anonymous`, `unknown` for who failed to log in, `registry` for the registry itself.
    `at` is in seconds since the epoch. `details` holds what JSON can say, and no secret.
    """

    at: float
    event: EventKind
    principal: str
    source: str
    action: str
    resource: str
    decision: Verdict
    request_id: str
    statement: Statement | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)  # as above
class RecordedEvent:
    """An event in its place in the trail."""

    id: int
    event: AuditEvent
    seal: bytes

    @property
    def place(self) -> tuple[float, int]:
        """Where the event is in the order of time."""
        return self.event.at, self.id

    def document(self) -> dict[str, Any]:
        """The event as JSON shows it everywhere."""
        return event_document(self.id, self.event)

    def line(self) -> bytes:
        """The event as a line of JSON that proves itself: its seal is one of the members."""
        return orjson.dumps({**self.document(), "seal": self.seal.hex()}) + b"\n"


def unsealed_line(event: AuditEvent) -> bytes:
    """An event as a line of JSON, where the trail did not take it: without id and seal."""
    return orjson.dumps({**event_document(None, event), "seal": None}) + b"\n"


def event_document(event_id: int | None, event: AuditEvent) -> dict[str, Any]:
    """An event as JSON shows it; without an id when it is not in the trail."""
    statement = event.statement
    return {
        "id": event_id,
        "time": _time(event.at),
        "event": event.event,
        "principal": event.principal,
        "source": event.source,
        "action": event.action,
        "resource": event.resource,
        "decision": event.decision,
        "statement": None if statement is None else statement_document(statement),
        "request_id": event.request_id,
        "details": event.details,
    }


def _time(at: float) -> str:
    """Seconds since the epoch as RFC 3339 has them, to the microsecond."""
    second = floor(at)
    microseconds = round((at - second) * 1_000_000)
    if microseconds == 1_000_000:  # noqa: PLR2004  a whole second
        second, microseconds = second + 1, 0
    return f"{_second(second)}.{microseconds:06d}Z"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def statement_document(statement: Statement) -> dict[str, Any]:
    """A statement as JSON shows it."""
    return {"policy": statement.policy, "sid": statement.sid, "index": statement.index}


def seal_after(previous: bytes, key: bytes, document: Mapping[str, Any]) -> bytes:
    """The seal of an event that follows the one with the seal `previous`, which is empty for the first of all."""
    before = previous[_HALF:] or _NOTHING_BEFORE
    return before + _proof(before, key, document)


def is_sealed(seal: bytes, key: bytes, document: Mapping[str, Any]) -> bool:
    """Whether an event is as it was when it was recorded, in the place where it was recorded."""
    return hmac.compare_digest(seal[_HALF:], _proof(seal[:_HALF], key, document))


def _proof(before: bytes, key: bytes, document: Mapping[str, Any]) -> bytes:
    proof = _keyed(key).copy()
    proof.update(before + orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
    return proof.finalize()


@lru_cache(maxsize=2)
def _keyed(key: bytes) -> HMAC:
    """Ready for a message: to begin anew with the key costs more than to seal an event."""
    return HMAC(key, SHA256())


class ChainCheck:
    """Follows a trail from its oldest kept event to its newest, event by event."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._first: int | None = None
        self._cut_through = 0
        self._last: tuple[int, bytes] | None = None
        self.events = 0

    def take(self, event_id: int, seal: bytes, document: Mapping[str, Any]) -> None:
        """Check the next event; raises AuditTrailBroken."""
        if not is_sealed(seal, self._key, document):
            raise AuditTrailBroken(event_id, "it is not what was recorded")
        if self._last is None:
            self._first = event_id
        elif self._last[0] + 1 != event_id:
            raise AuditTrailBroken(event_id, f"what was recorded after event {self._last[0]} is missing before it")
        elif seal[:_HALF] != self._last[1][_HALF:]:
            raise AuditTrailBroken(event_id, "it does not follow the event before it")
        if document["action"] == CUT:
            self._cut_through = document["details"]["through"]
        self._last = (event_id, seal)
        self.events += 1

    def finish(self) -> None:
        """Check that only what the registry itself cut off is missing at the old end; raises AuditTrailBroken."""
        if self._first is not None and self._first != self._cut_through + 1:
            raise AuditTrailBroken(self._first, "the events before it were not cut off by the registry")
