"""How much something grows while it is watched."""

import threading
from collections.abc import Callable
from typing import Self

SAMPLE_SECONDS = 0.2


class Growth:
    """How much each of several things grew at most while the context was open."""

    def __init__(self, measure: Callable[[], dict[int, int]]) -> None:
        self._measure = measure
        self._before = measure()
        self._most = dict(self._before)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            for name, held in self._measure().items():
                self._most[name] = max(held, self._most.get(name, 0))

    @property
    def growth_bytes(self) -> int:
        """The growth of what grew most; what is new counts whole."""
        return max(most - self._before.get(name, 0) for name, most in self._most.items())
