"""Numbers that all worker processes add to and any of them can read: the counts behind every metric.

- One anonymous shared mapping, made before the workers are forked, with a region for each writer; nothing is on disk.
- A region has one writer at a time and outlives it: a restarted worker takes over the region of the one that died and
  goes on counting there, so nothing that was counted is lost or counted twice.
- `add` belongs to one thread of the writer: that of its event loop.

A region is a row of slots: 120 bytes of key (its length, then its UTF-8) and a 64-bit float, exact to 2**53.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

_SLOT_BYTES: Final = 128
_KEY_BYTES: Final = 119
_SLOTS: Final = 4096  # 512 KiB a writer; only pages in use take memory
_LAST: Final = _SLOTS - 1


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number means; its keys are its name and the values of its labels."""

    name: str
    description: str
    kind: Literal["counter", "histogram"]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, inclusive and rising; only for a histogram."""

    def key(self, *values: str) -> str:
        """Key of one series; a histogram adds the number of the bucket, or `sum`."""
        return "\n".join((self.name, *values))


WORKER_RESTARTS: Final = Metric("lading_worker_restarts_total", "Workers that died and were started again.", "counter")
OVERFLOW: Final = Metric(
    "lading_metrics_overflow_total", "Counts that found no room for a series of their own.", "counter"
)


class Counts:
    """The shared numbers of some writers."""

    def __init__(self, writers: int = 1) -> None:
        self._regions: list[memoryview] = []
        memory = memoryview(mmap.mmap(-1, writers * _SLOTS * _SLOT_BYTES))
        for start in range(0, len(memory), _SLOTS * _SLOT_BYTES):
            self._regions.append(memory[start : start + _SLOTS * _SLOT_BYTES])

    def writer(self, index: int) -> "CountWriter":
        """Take over a region, from 0; there must be no other living writer of it."""
        return CountWriter(self._regions[index])

    def totals(self) -> dict[str, float]:
        """Sum every key over all writers."""
        totals: dict[str, float] = {}
        for region in self._regions:
            numbers = region.cast("d")
            for slot, key in _keys(region):
                totals[key] = totals.get(key, 0.0) + numbers[(slot << 4) + 15]
        return totals


class CountWriter:
    """The one writer of a region."""

    def __init__(self, region: memoryview) -> None:
        self._region = region
        self._numbers = region.cast("d")
        self._slots = {key: slot for slot, key in _keys(region)}

    def slot(self, key: str) -> int:
        """Where a key is counted, which never changes; once the region is full, all further keys share one slot."""
        found = self._slots.get(key)
        if found is not None:
            return found
        encoded = key.encode()
        if len(encoded) > _KEY_BYTES or len(self._slots) >= _LAST:
            return self._take(_LAST, OVERFLOW.name)
        return self._take(len(self._slots) - (OVERFLOW.name in self._slots), key)

    def add(self, slot: int, amount: float = 1) -> None:
        """Count; the number is the last of a slot's sixteen 64-bit words."""
        self._numbers[(slot << 4) + 15] += amount

    def _take(self, slot: int, key: str) -> int:
        encoded = key.encode()
        start = slot * _SLOT_BYTES
        self._region[start + 1 : start + 1 + len(encoded)] = encoded
        self._region[start] = len(encoded)  # last: from here on readers see the key
        self._slots[key] = slot
        return slot


def _keys(region: memoryview) -> Iterator[tuple[int, str]]:
    """Every slot in use: they are taken in order, only the last one out of turn."""
    for slot in range(_SLOTS):
        start = slot * _SLOT_BYTES
        length = region[start]
        if length:
            yield slot, bytes(region[start + 1 : start + 1 + length]).decode()
        elif slot < _LAST and not region[_LAST * _SLOT_BYTES]:
            return
