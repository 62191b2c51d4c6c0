"""Whose content directory it is: a disk that is away is not taken for one that lost everything."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.disk import SYSTEM, FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import Span
from storage.digest import Algorithm
from storage.errors import StoredBytesMissing, StoreUnavailable
from tests.storage.blobs.faulty_disk import (
    HELLO,
    OWNER,
    UPLOAD,
    FaultyOperations,
    MakeStore,
    at,
    files,
    modes,
    owned_store,
    push,
    stage,
)

MISSING = f"sha256/2c/f2/{HELLO.hex}.gone"


@pytest.fixture
async def owned(root: Path, executor: ThreadPoolExecutor, make_store: MakeStore) -> FilesystemStore:
    """A store whose directory is marked."""
    await make_store(operations=SYSTEM).claim(OWNER)
    return owned_store(root, executor)


def unmount(root: Path, mountpoint: str) -> None:
    """Leave an empty place where the disk was."""
    away = root.parent / f"{root.name}.away"
    away.mkdir()
    (root / mountpoint).rename(away / mountpoint)
    if mountpoint == "blobs":
        (root / mountpoint).mkdir()


def mount(root: Path, mountpoint: str) -> None:
    shutil.rmtree(root / mountpoint, ignore_errors=True)
    (root.parent / f"{root.name}.away" / mountpoint).rename(root / mountpoint)


async def test_a_mark_is_kept(store: FilesystemStore, root: Path) -> None:
    """It is plain text, for its owner alone."""
    assert await store.owner() is None

    await store.claim(OWNER)

    assert await store.owner() == OWNER
    assert (root / "blobs/.store").read_text() == f"{OWNER}\n"
    assert modes(root) == {(True, 0o700), (False, 0o600)}


async def test_a_mark_is_durable(store: FilesystemStore, operations: FaultyOperations) -> None:
    """The file, its name and its directory are on the disk before a copy can be."""
    await store.claim(OWNER)

    assert [name for name, _ in operations.calls if name != "write"] == [
        "sync file",
        "rename",
        "sync directory",
        "sync directory",
    ]


async def test_a_copy_that_is_missing_is_a_fact_where_the_mark_is(owned: FilesystemStore) -> None:
    with pytest.raises(StoredBytesMissing):
        await owned.size(MISSING)
    with pytest.raises(StoredBytesMissing):
        owned.open(MISSING)
    await owned.delete(MISSING)


async def test_nothing_is_missing_while_the_disk_is_away(owned: FilesystemStore, root: Path) -> None:
    """A copy that cannot be seen for a moment must not be given up."""
    copy = await push(owned, b"hello")
    unmount(root, "blobs")

    with pytest.raises(StoreUnavailable, match="is its disk mounted") as raised:
        await owned.size(copy.key)
    assert raised.value.is_away
    with pytest.raises(StoreUnavailable):
        owned.open(copy.key)
    with pytest.raises(StoreUnavailable):
        await anext(owned.read(copy.key, Span(0, 5)))
    with pytest.raises(StoreUnavailable):
        await owned.delete(copy.key)
    with pytest.raises(StoreUnavailable):
        [found async for found in owned.walk()]


async def test_a_disk_that_is_back_serves_again(owned: FilesystemStore, root: Path) -> None:
    copy = await push(owned, b"hello")
    unmount(root, "blobs")
    with pytest.raises(StoreUnavailable):
        await owned.size(copy.key)

    mount(root, "blobs")

    assert await owned.size(copy.key) == 5


async def test_nothing_is_made_in_place_of_a_disk_that_is_away(owned: FilesystemStore, root: Path) -> None:
    """What were pushed there would be hidden by the disk once it is back, and fill another meanwhile."""
    await push(owned, b"hello")
    unmount(root, "blobs")
    (root / "uploads").rename(root.parent / f"{root.name}.uploads")

    with pytest.raises(StoreUnavailable):
        await stage(owned, b"hello")
    with pytest.raises(StoreUnavailable):
        await owned.probe()

    assert files(root) == set()
    assert not (root / "uploads").exists()


async def test_a_commit_while_the_disk_is_away_can_be_tried_again(owned: FilesystemStore, root: Path) -> None:
    """The staged bytes stay for the request that comes when it is back."""
    async with owned.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        unmount(root, "blobs")
        with pytest.raises(StoreUnavailable):
            await writer.commit(HELLO)
    mount(root, "blobs")

    async with owned.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        copy = await writer.commit(HELLO)

    assert copy.size == 5


async def test_the_directory_of_another_registry_is_away(owned: FilesystemStore, root: Path) -> None:
    (root / "blobs/.store").write_text("another\n")

    with pytest.raises(StoreUnavailable):
        await owned.size(MISSING)


async def test_nothing_is_stored_at_once_while_the_disk_is_away(owned: FilesystemStore, root: Path) -> None:
    """The same succeeds when it is back."""
    await push(owned, b"other")
    unmount(root, "blobs")
    before = files(root)

    with pytest.raises(StoreUnavailable) as raised:
        await owned.store(UPLOAD, [b"hello"], HELLO)

    assert raised.value.is_away
    assert files(root) == before
    mount(root, "blobs")
    assert await owned.store(UPLOAD, [b"hello"], HELLO) is not None


async def test_a_disk_that_goes_away_while_it_stores_at_once_takes_the_upload_anew(
    root: Path, executor: ThreadPoolExecutor
) -> None:
    """Nothing is named in its place, and what is staged is in nobody's way."""

    class GoesAway(FileOperations):
        def write(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
            if not buffers[0].tobytes().startswith(OWNER.encode()) and not gone:
                gone.append(offset)
                unmount(root, "blobs")
            return super().write(descriptor, buffers, offset)

    gone: list[int] = []
    store = owned_store(root, executor, GoesAway())
    await store.claim(OWNER)
    with pytest.raises(StoreUnavailable):
        await store.store(UPLOAD, [b"hello"], HELLO)
    assert list((root / "blobs").iterdir()) == []
    mount(root, "blobs")

    assert (await push(store, b"hello")).size == 5
