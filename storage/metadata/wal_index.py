"""The head of the index of SQLite's log: it differs after every commit, of whatever process.

The index lies in a file beside the database that all its connections share. Its head counts the transactions and holds
checksums (sqlite.org/walformat.html, section 2.1); a writer changes it before its COMMIT returns. So whoever finds the
same head again, without a system call, knows that nothing was committed between.
"""

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 96
"""Two copies, of 48 bytes each."""


class WalIndex:
    """The head of the index beside a database that somebody has open, so that the file stays the same."""

    def __init__(self, database: Path) -> None:
        """Raises OSError or ValueError where there is none."""
        descriptor = os.open(f"{database}-shm", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._map = mmap.mmap(descriptor, _HEAD_BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)

    @classmethod
    def beside(cls, database: Path) -> "WalIndex | None":
        """The index of a database, None where it has none."""
        with suppress(OSError, ValueError):
            return cls(database)
        return None

    def head(self) -> bytes:
        """It, as it is now."""
        return self._map[:_HEAD_BYTES]

    def close(self) -> None:
        """Look at it no more."""
        self._map.close()
