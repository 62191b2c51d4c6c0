"""How many refusals of one address the audit trail takes from who has not shown who he is.

A stranger costs nothing but his packets, and a row costs the disk: past the bound refusals are counted, and the count
goes into the next event of the address that is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth.throttle import network_of

_WINDOW_SECONDS: Final = 60
_MOST_SOURCES: Final = 10_000


@dataclass(slots=True)
class _Window:
    began_at: float
    taken: int = 0
    left_out: int = 0


class Strangers:
    """Counts for one worker, by address (a /64 of IPv6 is one); `now` is in seconds and never goes back."""

    def __init__(self, most_a_minute: int, now: Callable[[], float]) -> None:
        self._most = most_a_minute
        self._now = now
        self._windows: dict[str, _Window] = {}

    def admit(self, source: str) -> int | None:
        """How many refusals of this address were left out since one was taken; None to leave this one out too."""
        now, network = self._now(), network_of(source)
        window = self._windows.get(network)
        if window is None:
            window = self._remember(network, _Window(now))
        elif now - window.began_at >= _WINDOW_SECONDS:
            window.began_at, window.taken = now, 0
        if window.taken >= self._most:
            window.left_out += 1
            return None
        window.taken += 1
        left_out, window.left_out = window.left_out, 0
        return left_out

    def _remember(self, network: str, window: _Window) -> _Window:
        """Keep within a bound: whoever has many addresses makes the counts of others begin anew, and loses none."""
        if len(self._windows) >= _MOST_SOURCES:
            self._windows.clear()
        self._windows[network] = window
        return window
