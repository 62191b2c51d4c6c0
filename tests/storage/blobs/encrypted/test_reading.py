"""Reading sealed copies: any range, from the segments that it lies in and no others, in bounded memory."""

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blobs.encrypted.store import LocalEncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, Expected, Span, StoredCopy
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.errors import StoredBytesMissing
from tests.contracts.blob_access import push
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, encrypted_store
from tests.storage.blobs.encrypted.conftest import MakeEncrypted
from tests.storage.blobs.encrypted.watched import BITS, LAYOUT, SEGMENT, Watched
from tests.storage.blobs.faulty_disk import open_descriptors

CONTENT: Final = random.Random(5).randbytes(5 * SEGMENT + 100)
SIZES: Final = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 4 * SEGMENT, len(CONTENT)]


@pytest.fixture
def local(tmp_path: Path, executor: ThreadPoolExecutor) -> LocalEncryptedStore:
    """A store on a disk."""
    inner = FilesystemStore(
        tmp_path, durability="relaxed", reserve_bytes=0, new_suffix=lambda: os.urandom(8).hex(), executor=executor
    )
    made = encrypted_store(inner, executor, segment_bits=BITS)
    assert isinstance(made, LocalEncryptedStore)
    return made


async def whole(store: BlobStore, copy: StoredCopy, span: Span, expected: Expected | None = None) -> bytes:
    """A span of a copy."""
    return b"".join([chunk async for chunk in store.read(copy.key, span, expected=expected)])


def test_every_range_is_that_of_the_plain_bytes(executor: ThreadPoolExecutor) -> None:
    """Of copies of all sizes around those of segments, read by the loop and by threads, from the segments needed."""
    suffixes = iter(range(1000))
    inner = Watched(MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=lambda: 0.0))
    store = encrypted_store(inner, executor, segment_bits=BITS)
    with asyncio.Runner() as runner:
        copies = {size: runner.run(push(store, CONTENT[:size])) for size in SIZES}

        @settings(max_examples=150, deadline=None)
        @given(st.sampled_from(SIZES), st.integers(0, len(CONTENT)), st.integers(0, len(CONTENT)))
        def agree(size: int, first: int, last: int) -> None:
            offset, end = min(first, last, size), min(max(first, last), size)
            inner.spans.clear()

            found = runner.run(whole(store, copies[size], Span(offset, end - offset)))

            assert found == CONTENT[offset:end]
            touched = LAYOUT.segments(end) - LAYOUT.index(offset) if end > offset else 0
            assert inner.spans[-1].length <= touched * LAYOUT.sealed_segment

        agree()


async def test_a_copy_that_was_read_before_costs_only_its_segments(
    make_encrypted: MakeEncrypted, inner: Watched, keys: MemoryKeys
) -> None:
    """Header and trailer are read once."""
    store = make_encrypted()
    copy = await push(store, CONTENT)
    expected = Expected(len(CONTENT), Digest.of(CONTENT), DOMAIN)
    await whole(store, copy, Span(0, 10), expected)
    inner.spans.clear()

    assert await whole(store, copy, Span(SEGMENT + 1, 10), expected) == CONTENT[SEGMENT + 1 : SEGMENT + 11]

    assert inner.spans == [Span(LAYOUT.place(1), LAYOUT.sealed_segment)]


async def test_chunks_are_no_larger_than_a_segment(make_encrypted: MakeEncrypted) -> None:
    """However large the pieces are that the inner store gives."""
    copy = await push(make_encrypted(), CONTENT)

    chunks = [chunk async for chunk in make_encrypted().read(copy.key, Span(3, len(CONTENT) - 3))]

    assert max(map(len, chunks)) <= SEGMENT


async def test_what_a_range_lies_outside_of_is_missing(make_encrypted: MakeEncrypted) -> None:
    """By a byte, and by far."""
    copy = await push(make_encrypted(), CONTENT)

    for span in (Span(len(CONTENT), 1), Span(len(CONTENT) + 1, 0), Span(10**9, 5)):
        with pytest.raises(StoredBytesMissing):
            await whole(make_encrypted(), copy, span)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("domain", [DOMAIN, ""])
async def test_threads_read_what_the_loop_reads(local: LocalEncryptedStore, size: int, domain: str) -> None:
    """From any offset, a piece at a time, of sealed and of plain copies."""
    copy = await push(local.within(domain), CONTENT[:size])
    expected = Expected(size, Digest.of(CONTENT[:size]), domain)
    reader = await local.open_reader(copy.key, expected=expected)

    for start, end in ((0, size), (SEGMENT - 1, size), (SEGMENT, SEGMENT + 1), (7, 8), (2 * SEGMENT + 5, size)):
        found = bytearray()
        while start + len(found) < min(end, size):
            found += await asyncio.to_thread(reader.read, start + len(found), min(end, size))
        assert bytes(found) == CONTENT[start : min(end, size)]
    reader.close()


async def test_a_reader_that_nobody_waits_for_is_closed(local: LocalEncryptedStore, tmp_path: Path) -> None:
    """A request that is cancelled while the file is being opened leaves no file open."""
    copy = await push(local, CONTENT)
    before = open_descriptors()

    for steps in range(12):
        task = asyncio.create_task(local.open_reader(copy.key))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        found = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(found, BaseException):
            found.close()
    await asyncio.sleep(0.02)

    assert open_descriptors() <= before  # what tests before this one left may be closed meanwhile


async def test_a_copy_that_changes_place_is_read_again(
    make_encrypted: MakeEncrypted, inner: Watched, keys: MemoryKeys
) -> None:
    """What is remembered of a copy ends with it where it does not open: another may have been restored there."""
    store = make_encrypted()
    copy, other = await push(store, CONTENT), await push(store, CONTENT)
    assert await whole(store, copy, Span(0, 5)) == CONTENT[:5]
    inner.change(copy.key, lambda _: inner.content(other.key))

    with pytest.raises(Exception, match="segment 0"):
        await whole(store, copy, Span(0, 5))

    assert await whole(store, copy, Span(0, 5)) == CONTENT[:5]
