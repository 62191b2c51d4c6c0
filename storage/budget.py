"""The memory that all streams of a worker share: a stream waits rather than exceeds it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

_PRESS_SECONDS: Final = 0.5


class BufferBudget:
    """Counts bytes that streams hold; whoever holds some must never wait for more, or streams wait for each other.

    What holds bytes for a stream that may wait says so with `when_short`, and gives them when it is asked.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._pressed: list[Callable[[], None]] = []
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held_bytes(self) -> int:
        """Bytes that are held at this moment."""
        return self._held

    @property
    def is_short(self) -> bool:
        """Whether more than three quarters of it are held."""
        return 4 * self._held > 3 * self._limit

    def when_short(self, press: Callable[[], None]) -> None:
        """Have this called for as long as somebody waits, now and then, to have bytes given that need not be held."""
        self._pressed.append(press)

    def press(self) -> None:
        """Ask for bytes that need not be held."""
        for press in self._pressed:
            press()

    def try_take(self, size: int) -> bool:
        """Take bytes if they are free and nobody waits."""
        if self._waiting or self._held + size > self._limit:
            return False
        self._held += size
        return True

    async def take(self, size: int) -> None:
        """Take bytes, waiting in line; a piece larger than the whole budget gets it all to itself."""
        if self._fits(size) and not self._waiting:
            self._held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            while not turn.done():
                self.press()
                await asyncio.wait([turn], timeout=_PRESS_SECONDS)
        except asyncio.CancelledError:
            if turn.done():
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self._let_go_on()
            raise

    def give(self, size: int) -> None:
        """Give bytes back and let the next in line go on."""
        self._held -= size
        self._let_go_on()

    def _let_go_on(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            waited_size, turn = self._waiting.popleft()
            self._held += waited_size
            turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self._limit
