"""The header of SQLite's WAL index, in memory that all processes share: another one after every commit, by anybody.

That is how SQLite itself tells whether what it has read is still so (walIndexTryHdr; "WAL-mode File Format", section
"The WAL-Index File Format"): 48 bytes that hold, among others, a counter of transactions and the checksum of the last
frame, and the same 48 bytes again, which differ only while a commit is being published. Measured: 0.2 µs, where
`PRAGMA data_version` takes 7.
"""

import ctypes
import mmap
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_COPY_BYTES: Final = 48
_HEADER_BYTES: Final = 2 * _COPY_BYTES
_IS_KNOWN: Final = sys.platform == "linux" and sys.maxsize > 2**32
"""Whether it is known how to ask the C library for memory of a file."""
_FAILED: Final = ctypes.c_void_p(-1).value
_DESCRIPTORS: Final = Path("/proc/self/fd")


class WalIndex:
    """The header of one database's index, as long as a connection of this process has the database open."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._header = (ctypes.c_char * _HEADER_BYTES).from_address(address)

    @property
    def header(self) -> bytes | None:
        """The header as it is at this moment, None while somebody writes it."""
        read: bytes = self._header.raw
        return read if read[:_COPY_BYTES] == read[_COPY_BYTES:] else None

    def close(self) -> None:
        """Let go of the memory: the header must not be asked for any more."""
        del self._header
        ctypes.CDLL(None).munmap(ctypes.c_void_p(self._address), ctypes.c_size_t(_HEADER_BYTES))


def wal_index_of(database: Path) -> WalIndex | None:
    """The index of a database that this process has open and has read from; None where it cannot be had.

    It is mapped from SQLite's own descriptor: were another one of the same file opened and closed, the kernel would
    drop the locks that SQLite has on it (POSIX: fcntl).
    """
    descriptor = _descriptor_of(Path(f"{database.resolve()}-shm")) if _IS_KNOWN else None
    if descriptor is None:
        return None
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    address = library.mmap(None, _HEADER_BYTES, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    return None if address in {None, _FAILED} else WalIndex(address)


def _descriptor_of(path: Path) -> int | None:
    """The descriptor that this process has open of a file; None where the system does not tell."""
    with suppress(OSError):
        for descriptor in _DESCRIPTORS.iterdir():
            with suppress(OSError):  # that of the look itself is closed by then
                if descriptor.readlink() == path:
                    return int(descriptor.name)
    return None
