"""Reading the next piece of a download while the one before is being sent.

One download alone is faster so; of many, each is read and sent by one thread, which costs less.
"""

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from storage.blobs.interface import BlockingReader


class ReadAhead:
    """Two threads that read by turns: what one has read is its own until the other has read the next."""

    def __init__(self) -> None:
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"read-ahead-{number}") for number in range(2)]
        self._lock = threading.Lock()
        self._turns = 0

    def close(self) -> None:
        """End the threads."""
        for thread in self._threads:
            thread.shutdown()

    @contextmanager
    def turn(self) -> Iterator["ReadAhead | None"]:
        """This, for who is the only one at it when it begins; else None."""
        with self._lock:
            is_alone = not self._turns
            self._turns += 1
        try:
            yield self if is_alone else None
        finally:
            with self._lock:
                self._turns -= 1

    def pieces(self, reader: BlockingReader, offset: int, end: int) -> Generator[memoryview, None, None]:
        """Every piece of a span, each good until the next is asked for; raises what the reader raises."""
        number = 0
        coming: Future[memoryview] | None = self._threads[number].submit(reader.read, offset, end)
        try:
            while coming is not None:
                piece, coming = coming.result(), None
                offset += len(piece)
                if offset < end:
                    number = 1 - number
                    coming = self._threads[number].submit(reader.read, offset, end)
                yield piece
        finally:
            if coming is not None:
                wait([coming])


def pieces_of(reader: BlockingReader, offset: int, end: int) -> Generator[memoryview, None, None]:
    """Every piece of a span, read when it is asked for."""
    while offset < end:
        piece = reader.read(offset, end)
        offset += len(piece)
        yield piece
