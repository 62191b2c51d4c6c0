"""Registries side by side: each on a folder of its own, started when it is first measured.

- One that stands keeps what it was filled with for the next load; all others idle meanwhile.
- What was pushed is in memory as a rule, so one that holds too much is ended with its folder, and started anew.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from bench.comparison import Measurement
from bench.files import REGISTRIES, Ground
from bench.loads import Load, observe, warm
from bench.served import Peer
from bench.stock import Bases, Stock

_MOST_HELD_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class _Standing:
    stock: Stock
    folder: Path
    end: ExitStack


class Fleet:
    """The registries of a benchmark; leaving the context ends them all."""

    def __init__(self, ground: Ground, fill_seconds: float = 600.0) -> None:
        self._ground = ground
        self._fill_seconds = fill_seconds
        self._bases = Bases()
        self._standing: dict[str, _Standing] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._bases.__exit__()

    def measure_anew(self, load: Load, name: str) -> Measurement:
        """Measure a load on a registry that is started for it."""
        self._end(name)
        try:
            return self.measure(load, name)
        finally:
            self._end(name)

    def measure(self, load: Load, name: str) -> Measurement:
        """Measure a load on a registry that stands, or is started."""
        if name not in self._standing:
            self._begin(name)
        return observe(load, self._standing[name].stock)

    def measure_and_empty(self, load: Load, name: str) -> Measurement:
        """The same, and end the registry if it holds too much by now."""
        try:
            return self.measure(load, name)
        finally:
            if name in self._standing and _held_bytes(self._standing[name].folder) > _MOST_HELD_BYTES:
                self._end(name)

    def end(self) -> None:
        """End all that stand."""
        for name in list(self._standing):
            self._end(name)

    @contextmanager
    def ground(self, name: str) -> Iterator[Ground]:
        """A fresh ground for a registry, which is removed in the end."""
        folder = self._ground.folder / f"{name.replace(' ', '-')}-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            yield replace(self._ground, folder=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _begin(self, name: str) -> None:
        with ExitStack() as stack:
            ground = stack.enter_context(self.ground(name))
            peer: Peer = stack.enter_context(REGISTRIES[name].start(ground))
            stock = Stock(peer, self._bases, self._fill_seconds)
            warm(stock)
            self._standing[name] = _Standing(stock, ground.folder, stack.pop_all())

    def _end(self, name: str) -> None:
        standing = self._standing.pop(name, None)
        if standing is not None:
            standing.end.close()


def _held_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
