"""What tests of the encrypted store share: threads, a store in memory that is watched, and a bucket."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.memory import MemoryStore
from tests.contracts.encrypted_places import MemoryKeys, MemorySealedUploads, encrypted_store
from tests.contracts.s3_places import S3Stores, s3_server
from tests.storage.blobs.encrypted.watched import BITS, Watched


class MakeEncrypted(Protocol):
    """Makes encrypted stores."""

    def __call__(self, segment_bits: int = BITS) -> EncryptedStore:
        """One around the store that is watched."""


@pytest.fixture(scope="package")
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads for the stores."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture(scope="module")
def s3(executor: ThreadPoolExecutor) -> Iterator[S3Stores]:
    """Stores in a bucket of a server in memory that takes parts of any size."""
    with s3_server() as server:
        server.minimum_part_bytes = 1
        yield S3Stores(server.url, executor)


@pytest.fixture
def inner() -> Watched:
    """A store in memory."""
    suffixes = itertools.count()
    return Watched(MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=time.time))


@pytest.fixture
def records() -> MemorySealedUploads:
    """What is recorded of unfinished uploads."""
    return MemorySealedUploads()


@pytest.fixture
def keys() -> MemoryKeys:
    """The keys of all domains."""
    return MemoryKeys()


@pytest.fixture
def make_encrypted(
    inner: Watched, records: MemorySealedUploads, keys: MemoryKeys, executor: ThreadPoolExecutor
) -> MakeEncrypted:
    """Makes encrypted stores around `inner`: each is another process, as far as its memory goes."""

    def make(segment_bits: int = BITS) -> EncryptedStore:
        return encrypted_store(inner, executor, keys=keys, records=records, segment_bits=segment_bits)

    return make


@pytest.fixture
def encrypted(make_encrypted: MakeEncrypted) -> EncryptedStore:
    """An encrypted store around `inner`."""
    return make_encrypted()
