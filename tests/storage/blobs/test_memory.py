"""The memory store, where it does more than the contract suite asks."""

import itertools

import pytest

from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from storage.errors import NoSpace
from tests.storage.blobs.faulty_disk import UPLOAD, at, stage


def store_of(capacity_bytes: int) -> MemoryStore:
    """An empty store with little room."""
    suffixes = itertools.count()
    return MemoryStore(new_suffix=lambda: str(next(suffixes)), now=lambda: 1000.0, capacity_bytes=capacity_bytes)


async def test_a_full_store_takes_no_more_bytes() -> None:
    """A test can fill the store and see NoSpace; what was staged before stays."""
    store = store_of(5)

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        with pytest.raises(NoSpace):
            await writer.write([b"!"])

        assert writer.offset == 5


async def test_staged_bytes_can_be_dropped_from_a_full_store() -> None:
    """A full store is emptied by aborting uploads: neither opening one nor dropping it takes room."""
    store = store_of(5)
    await stage(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        await writer.abort()

    assert [found async for found in store.walk()] == []


async def test_deleting_a_copy_makes_room() -> None:
    """Capacity counts what is stored at the moment."""
    store = store_of(5)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(Digest.of(b"hello"))

    await store.delete(copy.key)

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"again"])
        assert writer.offset == 5


async def test_times_are_those_of_the_clock_it_was_given() -> None:
    """A test decides how old everything is."""
    store = store_of(5)
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

    assert [found.modified_at async for found in store.walk()] == [1000.0]
