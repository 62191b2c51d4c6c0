"""Proving lines of audit events, from the file or an export, without the database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from storage.metadata.audit_event import is_sealed


@dataclass(slots=True)
class CheckedLines:
    """What was found: numbers of lines from 1; an unsealed line is of an event that the database did not take."""

    events: int = 0
    unsealed: int = 0
    bad: list[int] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    missing: int = 0
    """How many ids between the first and the last have no line: a filter leaves some out, and so does who hides one."""


def check_lines(lines: Iterable[bytes], key: bytes) -> CheckedLines:
    """Look at every line; the memory that it takes grows with the number of events, by some 60 bytes each."""
    found, ids = CheckedLines(), set[int]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event_id = _proven_id(line, key)
        if event_id is None:
            found.bad.append(number)
        elif event_id:
            ids.add(event_id)
        else:
            found.unsealed += 1
    if ids:
        found.events, found.first, found.last = len(ids), min(ids), max(ids)
        found.missing = found.last - found.first + 1 - len(ids)
    return found


def _proven_id(line: bytes, key: bytes) -> int | None:
    """The id of the event that a line is about, 0 where it was never sealed, None where it is not as it was written."""
    try:
        document: dict[str, Any] = orjson.loads(line)
        seal = document.pop("seal")
        if seal is None and document["id"] is None:
            return 0
        is_proven = is_sealed(bytes.fromhex(seal), key, document)
        return int(document["id"]) if is_proven else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
