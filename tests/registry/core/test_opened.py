"""What is remembered of manifests that were opened."""

from dataclasses import replace

import pytest

from registry.core.opened import Opened
from storage.metadata.manifests import StoredManifest


def manifests() -> Opened[StoredManifest]:
    return Opened(lambda manifest: len(manifest.payload))


def stored(number: int, size: int = 100) -> StoredManifest:
    return StoredManifest(f"sha256:{number:064x}", "type", bytes([number % 256]) * size, "AES256")


def opened(number: int) -> StoredManifest:
    return StoredManifest(f"sha256:{number:064x}", "type", b"plain")


def test_the_same_stored_bytes_are_known() -> None:
    known = manifests()
    known.keep(stored(1), opened(1))

    assert known.find(stored(1)) == opened(1)
    assert known.find(stored(2)) is None


@pytest.mark.parametrize("change", [{"payload": b"other"}, {"domain": ""}, {"domain": "other"}, {"media_type": "x"}])
def test_what_is_stored_otherwise_is_not(change: dict[str, object]) -> None:
    """Rotten bytes, or bytes that were sealed again: they are opened as if nothing were known."""
    known = manifests()
    known.keep(stored(1), opened(1))

    assert known.find(replace(stored(1), **change)) is None  # type: ignore[arg-type]


def test_memory_is_bounded() -> None:
    known = manifests()
    for number in range(1000):
        known.keep(stored(number, 50_000), opened(number))
        known.find(stored(0, 50_000))

    kept = [number for number in range(1000) if known.find(stored(number, 50_000))]
    assert 100 < len(kept) < 200
    assert kept[0] == 0  # it was asked for all the time
    assert kept[-1] == 999


def test_what_is_large_is_not_remembered() -> None:
    known = manifests()
    known.keep(stored(1, 100_000), opened(1))

    assert known.find(stored(1, 100_000)) is None


def test_what_replaces_counts_once() -> None:
    known = manifests()
    for _ in range(1000):
        known.keep(stored(1, 50_000), opened(1))
    known.keep(stored(2, 50_000), opened(2))

    assert known.find(stored(1, 50_000)) is not None
    assert known.find(stored(2, 50_000)) is not None
