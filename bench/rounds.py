"""Rounds: every registry in turn, again and again, so that whatever else the machine does falls on all of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some figures, and how far they go."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """The spread of at least one figure."""
        return cls(median(figures), min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class Planned(Generic[Row]):
    """A row of a table, how many rounds it should get, and of which peers: of all, where it names none."""

    row: Row
    rounds: int
    peers: tuple[str, ...] = ()


def rotated(peers: Sequence[str], count: int) -> list[str]:
    """The same peers, of which another one begins in each round."""
    start = count % len(peers) if peers else 0
    return [*peers[start:], *peers[:start]]


class Schedule(Generic[Row, Outcome]):
    """Passes over all rows, A B C then B C A, until each has its rounds or the time is up.

    Every row gets a first round; a further one begins only if it would end in time, were it as long as the one before.
    """

    def __init__(self, rows: Sequence[Planned[Row]], peers: Sequence[str], seconds: float) -> None:
        self._rows = rows
        self._peers = tuple(peers)
        self._deadline = time.monotonic() + seconds
        self._took: dict[int, float] = {}

    def run(self, measure: Callable[[Row, str], Outcome]) -> Iterator[tuple[Row, str, Outcome]]:
        """Measure, and give each outcome as it comes."""
        for count in range(max(planned.rounds for planned in self._rows)):
            for index, planned in enumerate(self._rows):
                if planned.rounds <= count or not self._fits(index):
                    continue
                began = time.monotonic()
                for peer in rotated(planned.peers or self._peers, count):
                    yield planned.row, peer, measure(planned.row, peer)
                self._took[index] = time.monotonic() - began

    def _fits(self, index: int) -> bool:
        return time.monotonic() + self._took.get(index, 0.0) < self._deadline
