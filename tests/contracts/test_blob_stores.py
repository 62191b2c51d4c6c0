"""Every blob store, held to the same promises."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore
from storage.blobs.memory import MemoryStore
from tests.contracts.encrypted_places import encrypted_store
from tests.contracts.s3_places import CREDENTIALS, REAL, S3Stores, s3_server

pytest.register_assert_rewrite(
    "tests.contracts.blob_at_once",
    "tests.contracts.blob_handing",
    "tests.contracts.blob_late",
    "tests.contracts.blob_store",
    "tests.contracts.blob_writer",
)

SEALED = {f"encrypted {kind}": kind for kind in ("filesystem", *REAL)}

# The suite is imported once its asserts are explained.
from tests.contracts.blob_at_once import *  # noqa: E402, F403  # every test of it
from tests.contracts.blob_handing import *  # noqa: E402, F403  # every test of it
from tests.contracts.blob_late import *  # noqa: E402, F403  # every test of it
from tests.contracts.blob_store import *  # noqa: E402, F403  # every test of it
from tests.contracts.blob_writer import *  # noqa: E402, F403  # every test of it


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads for the stores that block."""
    with ThreadPoolExecutor(16) as threads:
        yield threads


@pytest.fixture(scope="module")
def s3(executor: ThreadPoolExecutor) -> Iterator[S3Stores]:
    """Stores in a bucket of a server in memory."""
    with s3_server() as server:
        yield S3Stores(server.url, executor)


@pytest.fixture(params=["memory", "filesystem", "s3", *SEALED, *REAL])
def make_store(
    request: pytest.FixtureRequest, tmp_path: Path, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], BlobStore]:
    """Makes empty stores of one kind."""
    suffixes = itertools.count()
    roots = itertools.count()

    def new_suffix() -> str:
        return f"{next(suffixes):032x}"

    def memory() -> BlobStore:
        return MemoryStore(new_suffix=new_suffix, now=time.time)

    def filesystem() -> BlobStore:
        root = tmp_path / str(next(roots))
        root.mkdir()
        return FilesystemStore(root, durability="full", reserve_bytes=0, new_suffix=new_suffix, executor=executor)

    def s3() -> BlobStore:
        stores: S3Stores = request.getfixturevalue("s3")
        return stores.store()

    def real() -> BlobStore:
        return S3Stores(kind, executor).store()

    kind = SEALED.get(request.param, request.param)
    if kind in REAL:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
    makers: dict[str, Callable[[], BlobStore]] = {"memory": memory, "filesystem": filesystem, "s3": s3}
    make = makers.get(kind, real)
    return make if kind == request.param else lambda: encrypted_store(make(), executor)


@pytest.fixture
def store(make_store: Callable[[], BlobStore]) -> BlobStore:
    """One empty store."""
    return make_store()
