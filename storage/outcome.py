"""What threads come to, handed to the coroutines that wait for it.

Measured: asyncio's own way, a future of its own chained to one of `concurrent.futures`, takes 60 µs of the event loop
for each call; this takes 10, and what several calls came to is handed over at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Outcome(Generic[Result]):
    """What a thread comes to, for the one coroutine that made this, and waits for it."""

    __slots__ = ("_arrived", "_error", "_is_there", "_loop", "_result")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived = self._loop.create_future()
        self._is_there = False
        self._result: Any = None
        self._error: BaseException | None = None

    def hand_over(self, result: Result | None, error: BaseException | None = None) -> None:
        """Say, on any thread, what it came to."""
        hand_over([(self, result, error)])

    async def wait(self) -> Result:
        """What it came to; a cancelled waiter goes at once, whatever the thread still does."""
        await self._arrived
        return self._taken()

    async def wait_to_end(self) -> Result:
        """What it came to; a cancelled waiter stays until the thread is done, and is cancelled then."""
        cancelled: asyncio.CancelledError | None = None
        while not self._is_there:
            try:
                await self._arrived
            except asyncio.CancelledError as error:
                cancelled = error
                self._arrived = self._loop.create_future()
        if cancelled is not None:
            self._error = None
            raise cancelled
        return self._taken()

    def _taken(self) -> Result:
        error, self._error = self._error, None  # it holds frames that hold this
        if error is not None:
            raise error
        result: Result = self._result
        return result

    def _arrive(self, result: Result | None, error: BaseException | None) -> None:
        self._result, self._error, self._is_there = result, error, True
        if not self._arrived.done():
            self._arrived.set_result(None)


Arrival = tuple[Outcome[Any], Any, BaseException | None]
"""An outcome, with its result or its error."""


def hand_over(arrivals: Iterable[Arrival]) -> None:
    """Say, on any thread, what several calls came to; each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_loop[arrival[0]._loop].append(arrival)  # noqa: SLF001  the module's own
    for loop, of_loop in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_arrive, of_loop)


def _arrive(arrivals: list[Arrival]) -> None:
    for outcome, result, error in arrivals:
        outcome._arrive(result, error)  # noqa: SLF001  the module's own
