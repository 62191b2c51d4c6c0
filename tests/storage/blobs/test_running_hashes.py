"""Hashes that go from one writer of an upload to the next, and to nobody who goes on with other bytes."""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore
from storage.blobs.running_hashes import Heard, RunningHashes
from storage.digest import Algorithm, Digest, hasher
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at
from tests.contracts.encrypted_places import MemoryKeys, MemorySealedUploads, encrypted_store

MakeStore = Callable[[], BlobStore]
SIZE = 600_000
"""More than two segments."""


@pytest.fixture(params=["plain", "sealed"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Makes the store as each process of one registry has it."""
    suffixes, executor = itertools.count(), ThreadPoolExecutor(2)
    keys, records = MemoryKeys(), MemorySealedUploads()

    def make() -> BlobStore:
        plain = FilesystemStore(
            tmp_path,
            durability="full",
            reserve_bytes=0,
            new_suffix=lambda: f"{next(suffixes):016x}",
            executor=executor,
        )
        return plain if request.param == "plain" else encrypted_store(plain, executor, keys=keys, records=records)

    yield make
    executor.shutdown()


async def append(store: BlobStore, content: bytes, offset: int, upload_id: str = UPLOAD) -> Digest | None:
    """Write and promise; what the writer knows of all that is there."""
    async with store.stage(upload_id, Algorithm.SHA256, at(offset)) as writer:
        assert writer.offset == offset
        await writer.write([content])
        await writer.keep()
        writer.remember()
        return writer.digest


async def test_an_upload_in_many_requests_is_hashed_once(process: MakeStore) -> None:
    store = process()
    pieces = [os.urandom(SIZE) for _ in range(4)]

    for number, piece in enumerate(pieces):
        assert await append(store, piece, number * SIZE) == Digest.of(b"".join(pieces[: number + 1]))

    async with store.stage(UPLOAD, Algorithm.SHA256, at(4 * SIZE)) as writer:
        assert writer.digest == Digest.of(b"".join(pieces))
        await writer.commit(Digest.of(b"".join(pieces)))


async def test_uploads_do_not_mix(process: MakeStore) -> None:
    store = process()
    await append(store, b"one", 0)
    await append(store, b"two", 0, OTHER_UPLOAD)

    assert await append(store, b"!", 3) == Digest.of(b"one!")
    assert await append(store, b"!", 3, OTHER_UPLOAD) == Digest.of(b"two!")


async def test_another_process_that_went_on_makes_it_unknown(process: MakeStore) -> None:
    here, there = process(), process()
    await append(here, b"one", 0)

    assert await append(there, b"two", 3) is None
    assert await append(here, b"three", 6) is None


async def test_another_process_that_wrote_as_much_of_something_else_makes_it_unknown(process: MakeStore) -> None:
    here, there = process(), process()
    await append(here, os.urandom(SIZE), 0)
    other = os.urandom(SIZE)
    await append(there, other, 0)

    async with here.stage(UPLOAD, Algorithm.SHA256, at(SIZE)) as writer:
        assert writer.digest in {None, Digest.of(other)}
        await writer.commit(Digest.of(other))


async def test_a_hash_is_left_to_one_writer_alone(process: MakeStore) -> None:
    """Who does not promise what he writes leaves none."""
    store = process()
    await append(store, b"one", 0)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lost"])

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.digest is None


async def test_a_hash_of_another_algorithm_is_no_use(process: MakeStore) -> None:
    store = process()
    await append(store, b"one", 0)

    async with store.stage(UPLOAD, Algorithm.SHA512, at(3)) as writer:
        assert writer.digest is None
        await writer.commit(Digest.of(b"one"))


async def test_a_file_that_somebody_changed_is_read_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        store = FilesystemStore(
            tmp_path, durability="full", reserve_bytes=0, new_suffix=lambda: "a" * 16, executor=executor
        )
        await append(store, b"one", 0)
        staged = tmp_path / "uploads" / UPLOAD[:2] / UPLOAD
        staged.write_bytes(b"two")
        os.utime(staged, ns=(1, 1))

        async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
            assert writer.digest is None


def test_only_so_many_are_left() -> None:
    hashes, running = RunningHashes(), hasher(Algorithm.SHA256)
    for number in range(3000):
        hashes.leave(str(number), Heard(1, "mark"), Algorithm.SHA256, running)

    found = [hashes.take(str(number), Heard(1, "mark"), Algorithm.SHA256) for number in range(3000)]
    assert 500 < len([each for each in found if each is not None]) < 2000
    assert found[-1] is running


@pytest.mark.parametrize("heard", [Heard(2, "mark"), Heard(1, "other"), Heard(1, "")])
def test_a_hash_of_something_else_is_thrown_away(heard: Heard) -> None:
    hashes = RunningHashes()
    hashes.leave(UPLOAD, Heard(1, "mark"), Algorithm.SHA256, hasher(Algorithm.SHA256))

    assert hashes.take(UPLOAD, heard, Algorithm.SHA256) is None
    assert hashes.take(UPLOAD, Heard(1, "mark"), Algorithm.SHA256) is None
