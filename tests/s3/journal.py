"""The journal of a server: every request that it got, for tests that ask how often and with which headers."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ENTRIES = 20_000  # state machines send many thousands; counts go on beyond


@dataclass(frozen=True, slots=True)
class Entry:
    """One request; header names are in lower case, `body_length` is what was read of the body."""

    operation: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body_length: int


class Journal:
    """The requests in the order in which their bodies were read; the last 20 000 of them in full."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_ENTRIES)
        self._counts: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._counts[entry.operation] += 1

    def clear(self) -> None:
        self._entries.clear()
        self._counts.clear()

    def count(self, operation: str) -> int:
        return self._counts[operation]

    def counts(self) -> dict[str, int]:
        """How many requests there were of each operation that was asked for."""
        return dict(self._counts)

    def of(self, operation: str) -> list[Entry]:
        return [entry for entry in list(self._entries) if entry.operation == operation]

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def __len__(self) -> int:
        return self._counts.total()
