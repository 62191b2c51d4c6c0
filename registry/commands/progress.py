"""Showing how far a long command is: one line that changes on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable

_EVERY_SECONDS = 1.0


def progress() -> Callable[[str], None]:
    """What to call with the line to show, as often as anything happens."""
    on_terminal = sys.stderr.isatty()
    shown_at = time.monotonic()

    def show(line: str) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at < _EVERY_SECONDS:
            return
        shown_at = time.monotonic()
        print(f"\r{line}" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr, flush=True)  # noqa: T201

    return show
