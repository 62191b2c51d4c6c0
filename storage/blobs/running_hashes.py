"""Hashes of uploads that come in many requests, between two of their writers in one process.

Without them, whoever commits such an upload reads all of it again, and what is sealed is sealed anew.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from storage.digest import Algorithm, CopyableHasher

_MOST: Final = 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """Staged bytes that were hashed: how many, and a text that names just them, which is not empty."""

    offset: int
    mark: str


class RunningHashes:
    """What the last writers of this process left; of each upload once, for its next writer."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[Heard, Algorithm, CopyableHasher]] = OrderedDict()
        self._lock = threading.Lock()

    def leave(self, upload_id: str, heard: Heard, algorithm: Algorithm, running: CopyableHasher) -> None:
        """Leave a hash for whoever goes on with just these bytes."""
        with self._lock:
            self._left.pop(upload_id, None)
            self._left[upload_id] = heard, algorithm, running
            if len(self._left) > _MOST:
                self._left.popitem(last=False)

    def take(self, upload_id: str, heard: Heard, algorithm: Algorithm) -> CopyableHasher | None:
        """The hash of these bytes, if it was left; it is gone whether or not it was of these."""
        with self._lock:
            found = self._left.pop(upload_id, None)
        return None if found is None or found[:2] != (heard, algorithm) or not heard.mark else found[2]
