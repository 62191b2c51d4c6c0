"""The filesystem store: layout, permissions, hostile names, readers, walks. `test_power_cuts.py` pulls the plug."""

import os
from pathlib import Path

import pytest

from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import LocalFiles, Span
from storage.digest import Algorithm
from storage.errors import (
    StagedBytesMissing,
    StoredBytesMissing,
    StoreUnavailable,
)
from tests.storage.blobs.faulty_disk import (
    HELLO,
    HELLO_PATH,
    MEBIBYTE,
    UPLOAD,
    at,
    files,
    modes,
    open_descriptors,
    push,
    settled_descriptors,
    stage,
)


async def test_a_copy_lies_under_its_digest(store: FilesystemStore, root: Path) -> None:
    """The layout is a contract: a person can find a blob, and check it with sha256sum."""
    copy = await push(store, b"hello")

    assert copy.key == f"{HELLO_PATH}.copy0"
    assert (root / "blobs" / copy.key).read_bytes() == b"hello"


async def test_staged_bytes_lie_under_their_upload(store: FilesystemStore, root: Path) -> None:
    """The layout is a contract: an upload's bytes are found by its id."""
    await stage(store, b"hel")

    assert (root / "uploads" / "11" / UPLOAD).read_bytes() == b"hel"


async def test_only_the_owner_may_read_anything(store: FilesystemStore, root: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask allows."""
    await push(store, b"hello")
    await stage(store, b"hel")

    assert modes(root) == {(True, 0o700), (False, 0o600)}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../../etc/passwd",
        "/etc/passwd",
        f"{HELLO_PATH}",
        f"{HELLO_PATH}.",
        f"{HELLO_PATH}.copy0\n",
        f"{HELLO_PATH}.copy0\0",
        f"{HELLO_PATH}.COPY0",
        f"{HELLO_PATH}.copy0/../copy0",
        f"sha256/2c/f3/{HELLO.hex}.copy0",
        f"sha256/../f2/{HELLO.hex}.copy0",
        f"sha512/2c/f2/{HELLO.hex}.copy0",
        f"md5/2c/f2/{HELLO.hex}.copy0",
        f"{HELLO_PATH[:-1]}Z.copy0",
    ],
)
async def test_what_cannot_be_a_key_is_never_a_path(store: FilesystemStore, root: Path, key: str) -> None:
    """No path is made of text that does not have the exact form of a key."""
    await push(store, b"hello")
    before = files(root)

    with pytest.raises(StoredBytesMissing):
        await store.size(key)
    with pytest.raises(StoredBytesMissing):
        store.open(key)
    await store.delete(key)

    assert files(root) == before


@pytest.mark.parametrize(
    "upload_id",
    [
        "",
        "..",
        "../../../etc/passwd",
        "1",
        f"{UPLOAD}\n",
        f"{UPLOAD}\0",
        f"{UPLOAD}/",
        f"../{UPLOAD}",
        UPLOAD.replace("1", "A"),
        UPLOAD.replace("-", "")[:-1],
        UPLOAD.replace("1", "\u0661"),
        "1" * 4096,
    ],
)
async def test_what_cannot_be_an_upload_id_is_never_a_path(store: FilesystemStore, root: Path, upload_id: str) -> None:
    """No path is made of text that does not have the exact form of a UUID."""
    with pytest.raises(StagedBytesMissing):
        await push(store, b"hello", upload_id)
    with pytest.raises(StagedBytesMissing):
        async with store.stage(upload_id, Algorithm.SHA256, at(0)):
            pass

    assert files(root) == set()


async def test_an_upload_id_may_be_plain_hex(store: FilesystemStore) -> None:
    """A UUID can be written with and without dashes."""
    copy = await push(store, b"hello", "0123456789abcdef0123456789abcdef")

    assert copy.size == 5


async def test_a_symbolic_link_is_not_followed(store: FilesystemStore, root: Path) -> None:
    """A link planted in the upload folder does not lead writes elsewhere."""
    await stage(store, b"hel")
    victim = root / "victim"
    victim.write_bytes(b"precious")
    staged = root / "uploads" / "11" / UPLOAD
    staged.unlink()
    staged.symlink_to(victim)

    with pytest.raises(StoreUnavailable):
        await stage(store, b"other")

    assert victim.read_bytes() == b"precious"


async def test_copies_are_local_files(store: FilesystemStore) -> None:
    """The kernel can send a copy by its descriptor."""
    copy = await push(store, b"hello")

    assert isinstance(store, LocalFiles)
    descriptor = store.open(copy.key)
    try:
        assert os.read(descriptor, 10) == b"hello"
    finally:
        os.close(descriptor)


async def test_a_missing_copy_cannot_be_opened(store: FilesystemStore) -> None:
    """A deleted copy raises StoredBytesMissing, not an error of the operating system."""
    copy = await push(store, b"hello")
    await store.delete(copy.key)

    with pytest.raises(StoredBytesMissing):
        store.open(copy.key)


async def test_a_copy_that_was_cut_is_missing(store: FilesystemStore, root: Path) -> None:
    """A damaged copy is never sent as if it were whole."""
    copy = await push(store, b"hello")
    os.truncate(root / "blobs" / copy.key, 4)

    with pytest.raises(StoredBytesMissing):
        await anext(store.read(copy.key, Span(0, 5)))


async def test_a_reader_finishes_after_the_copy_is_deleted(store: FilesystemStore) -> None:
    """A download that has begun is not broken by the collector."""
    copy = await push(store, bytes(2 * MEBIBYTE))
    chunks = store.read(copy.key, Span(0, 2 * MEBIBYTE))
    received = len(await anext(chunks))

    await store.delete(copy.key)

    assert received + sum([len(chunk) async for chunk in chunks]) == 2 * MEBIBYTE


async def test_readers_close_what_they_open(store: FilesystemStore) -> None:
    """A reader that finishes, stops early or finds nothing leaks no descriptor."""
    copy = await push(store, bytes(2 * MEBIBYTE))
    before = settled_descriptors()

    assert [len(chunk) async for chunk in store.read(copy.key, Span(7, 10))] == [10]
    stopped = store.read(copy.key, Span(0, 2 * MEBIBYTE))
    await anext(stopped)
    await stopped.aclose()
    with pytest.raises(StoredBytesMissing):
        await anext(store.read(copy.key, Span(0, 3 * MEBIBYTE)))

    assert open_descriptors() == before


async def test_walk_skips_what_it_does_not_know(store: FilesystemStore, root: Path) -> None:
    """A stray file, folder or link neither stops a walk nor shows up in it."""
    copy = await push(store, b"hello")
    directory = (root / "blobs" / copy.key).parent
    (directory / "README").touch()
    (directory / f"{HELLO.hex}.dir").mkdir()
    (directory / f"{HELLO.hex}.link").symlink_to(root)
    (directory.parent / "00").mkdir()
    (directory.parent / "00" / f"{HELLO.hex}.misplaced").touch()
    (root / "blobs" / "lost+found").mkdir(mode=0o000)
    (root / "uploads" / "22").mkdir()
    (root / "uploads" / "22" / UPLOAD).touch()
    (root / "uploads" / ".probe").touch()

    assert [found.key async for found in store.walk()] == [copy.key]


async def test_walk_goes_beyond_one_batch(store: FilesystemStore, root: Path) -> None:
    """A store of any size is walked to its end."""
    await push(store, b"hello")
    for number in range(1500):
        (root / "blobs" / f"{HELLO_PATH}.more{number}").touch()

    assert len([found async for found in store.walk()]) == 1501
