"""Filesystem stores in a directory of their own, on a disk that fails on demand."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.disk import Durability, FileOperations
from storage.blobs.filesystem import FilesystemStore
from tests.storage.blobs.faulty_disk import FaultyOperations, MakeStore


@pytest.fixture(scope="package")
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads for the stores."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty data directory."""
    return tmp_path


@pytest.fixture
def operations(root: Path) -> FaultyOperations:
    """The disk under `store`."""
    return FaultyOperations(root)


@pytest.fixture
def make_store(root: Path, operations: FaultyOperations, executor: ThreadPoolExecutor) -> MakeStore:
    """Makes stores in the data directory: each is another process, as far as its memory goes."""
    faulty = operations
    suffixes = itertools.count()

    def make(
        durability: Durability = "full", reserve_bytes: int = 0, operations: FileOperations | None = None
    ) -> FilesystemStore:
        return FilesystemStore(
            root,
            durability=durability,
            reserve_bytes=reserve_bytes,
            new_suffix=lambda: f"copy{next(suffixes)}",
            executor=executor,
            operations=operations or faulty,
        )

    return make


@pytest.fixture
def store(make_store: MakeStore) -> FilesystemStore:
    """A store in the data directory."""
    return make_store()
