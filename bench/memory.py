"""Memory that is there before it is measured who writes to it."""

import mmap
from contextlib import suppress
from typing import Final

_POPULATED: Final = getattr(mmap, "MAP_POPULATE", None)


def make_ready(size: int) -> None:
    """Have the machine hold so many bytes that nobody uses, for what is stored next.

    A hypervisor takes memory back that is free for seconds, and to get it again was measured to cost up to 2 CPU s/GiB,
    which whoever happens to write first would pay. Where that much cannot be had, nothing is done.
    """
    if _POPULATED is not None and size:
        with suppress(OSError):
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATED).close()
