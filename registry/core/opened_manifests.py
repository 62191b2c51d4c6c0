"""Manifests that this process has opened and checked, so that it does neither again for the same stored bytes.

Whoever asks has read the row at this request, and has the key: only the work is remembered, no right to see it.
"""

from collections import OrderedDict
from typing import Final

from storage.metadata.manifests import StoredManifest

_MOST_BYTES: Final = 8 * 1024 * 1024
_LARGEST_BYTES: Final = 64 * 1024


class OpenedManifests:
    """What stored manifests turned out to be, a few MiB of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[StoredManifest, StoredManifest]] = OrderedDict()
        self._bytes = 0

    def find(self, stored: StoredManifest) -> StoredManifest | None:
        """What these very bytes, under this digest and in this domain, are; None where that is not remembered."""
        kept = self._kept.get(stored.digest)
        if kept is None or kept[0] != stored:
            return None
        self._kept.move_to_end(stored.digest)
        return kept[1]

    def keep(self, stored: StoredManifest, opened: StoredManifest) -> None:
        """Remember a manifest that is not too large, in place of those that were not asked for in the longest time."""
        if len(stored.payload) > _LARGEST_BYTES:
            return
        self._forget(stored.digest)
        self._kept[stored.digest] = stored, opened
        self._bytes += _size(stored, opened)
        while self._bytes > _MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, digest: str) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            self._bytes -= _size(*kept)


def _size(stored: StoredManifest, opened: StoredManifest) -> int:
    return len(stored.payload) + (0 if opened is stored else len(opened.payload))
