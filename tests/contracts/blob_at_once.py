"""What every blob store that takes short uploads at once promises, as tests that take such a store, empty."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import pytest

from storage.blobs.interface import BlobStore, Expected, StoredCopy, StoresAtOnce, offers
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at, push, read, stage, walk

HELLO = Digest.of(b"hello")
LONG = bytes(range(256)) * 2049
"""Longer than two segments."""


class StoreAtOnce(BlobStore, StoresAtOnce, Protocol):
    """A store that takes short uploads at once."""


@pytest.fixture
async def once(store: BlobStore) -> StoreAtOnce:
    """The store, where it takes short uploads at once, and so does the one that it is around."""
    tried = await store.store(OTHER_UPLOAD, [], Digest.of(b"")) if offers(store, StoresAtOnce) else None
    if tried is None:
        pytest.skip("it takes no upload at once")
    await store.delete(tried.key)
    return store  # type: ignore[return-value]  # it offers both


async def store_hello(once: StoreAtOnce) -> StoredCopy | None:
    return await once.store(UPLOAD, [b"hello"], HELLO)


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize(
    "content", [[], [b""], [b"hello"], [b"he", b"", b"llo"], [LONG], [b"a", LONG]], ids=lambda each: str(len(each))
)
async def test_what_is_stored_at_once_is_read_back(
    once: StoreAtOnce, content: Sequence[bytes], algorithm: Algorithm
) -> None:
    """Whole, and as long as it was."""
    whole = b"".join(content)
    digest = Digest.of(whole, algorithm)

    copy = await once.store(UPLOAD, content, digest)

    assert copy is not None
    assert (copy.size, digest.hex in copy.key) == (len(whole), True)
    assert await read(once, copy.key, 0, len(whole)) == whole
    assert await once.size(copy.key, expected=Expected(len(whole), digest, copy.domain)) == len(whole)


async def test_a_span_of_what_was_stored_at_once_is_read(once: StoreAtOnce) -> None:
    copy = await once.store(UPLOAD, [LONG], Digest.of(LONG))

    assert copy is not None
    assert await read(once, copy.key, 262_100, 100) == LONG[262_100:262_200]


async def test_a_digest_that_is_known_stands_for_what_is_stored_at_once(once: StoreAtOnce) -> None:
    """Whoever has proof of it need not have it hashed again."""
    copy = await once.store(UPLOAD, [b"hello"], HELLO, known=HELLO)

    assert copy is not None
    assert await read(once, copy.key, 0, 5) == b"hello"


@pytest.mark.parametrize("known", [None, Digest.of(b"hellO"), Digest.of(b"hellO", Algorithm.SHA512)])
async def test_other_bytes_than_the_digest_names_are_not_stored_at_once(
    once: StoreAtOnce, known: Digest | None
) -> None:
    """A copy is visible only if its bytes match its digest."""
    with pytest.raises(DigestMismatch):
        await once.store(UPLOAD, [b"hellO"], HELLO, known=known)

    assert await walk(once) == set()


@pytest.mark.parametrize("staged", [b"", b"hel", b"hello and more"])
async def test_what_is_staged_already_is_left_alone(once: StoreAtOnce, staged: bytes) -> None:
    """Somebody may have been promised it."""
    await stage(once, staged)

    assert await store_hello(once) is None

    assert await walk(once) == {(None, UPLOAD, len(staged))}
    async with once.stage(UPLOAD, Algorithm.SHA256, at(len(staged))) as writer:
        assert (await writer.commit(Digest.of(staged))).size == len(staged)


@pytest.mark.parametrize("written", [[], [b"hel"]])
async def test_an_upload_that_another_writer_holds_is_not_stored_at_once(
    once: StoreAtOnce, written: Sequence[bytes]
) -> None:
    """That one is not disturbed."""
    async with once.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write(written)

        assert await store_hello(once) is None

        await writer.write([b"!"])
        copy = await writer.commit(Digest.of(b"".join(written) + b"!"))
    assert {key for key, _, _ in await walk(once)} == {copy.key}


async def test_an_upload_that_was_stored_at_once_is_empty_again(once: StoreAtOnce) -> None:
    """The copy can never be changed through the upload it came from."""
    copy = await store_hello(once)
    assert copy is not None
    assert await walk(once) == {(copy.key, None, 5)}

    async with once.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        assert writer.offset == 0
        await writer.write([b"other bytes"])
        await writer.keep()

    assert await read(once, copy.key, 0, 5) == b"hello"
    assert await walk(once) == {(copy.key, None, 5), (None, UPLOAD, 11)}


async def test_an_upload_that_was_refused_at_once_can_begin_again(once: StoreAtOnce) -> None:
    with pytest.raises(DigestMismatch):
        await once.store(UPLOAD, [b"hellO"], HELLO)

    copy = await push(once, b"hello")

    assert await walk(once) == {(copy.key, None, 5)}


async def test_every_copy_that_is_stored_at_once_has_a_key_of_its_own(once: StoreAtOnce) -> None:
    """To remove one never removes another."""
    first, second = await store_hello(once), await store_hello(once)
    assert first is not None
    assert second is not None

    await once.delete(first.key)

    assert await read(once, second.key, 0, 5) == b"hello"


async def test_an_upload_that_is_stored_at_once_by_many_is_whole_each_time(once: StoreAtOnce) -> None:
    """Each of them stores all of its bytes, or nothing."""
    contents = [b"%d" % number * 1000 for number in range(10)] * 3

    copies = await asyncio.gather(*(once.store(UPLOAD, [each], Digest.of(each)) for each in contents))

    kept = {copy.key: content for copy, content in zip(copies, contents, strict=True) if copy is not None}
    assert kept
    assert await walk(once) == {(key, None, 1000) for key in kept}
    assert [key for key, content in kept.items() if await read(once, key, 0, 1000) != content] == []


async def test_an_upload_that_is_stored_at_once_while_others_write_it_is_whole(once: StoreAtOnce) -> None:
    """Also where they come and go."""

    async def write() -> None:
        async with once.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"something longer"])
            await writer.abort()

    done = await asyncio.gather(
        *(each for _ in range(10) for each in (store_hello(once), write())), return_exceptions=True
    )

    copies = [each for each in done if isinstance(each, StoredCopy)]
    assert await walk(once) == {(copy.key, None, 5) for copy in copies}
    assert [copy for copy in copies if await read(once, copy.key, 0, 5) != b"hello"] == []


@pytest.mark.parametrize("turns", range(4))
async def test_who_is_cancelled_while_it_stores_at_once_leaves_nothing_staged(once: StoreAtOnce, turns: int) -> None:
    """Whatever the moment; what is stored by then is whole."""
    storing = asyncio.create_task(store_hello(once))
    for _ in range(turns):
        await asyncio.sleep(0)
    storing.cancel()
    with suppress(asyncio.CancelledError):
        await storing

    found = await walk(once)
    assert {(upload_id, size) for _, upload_id, size in found} <= {(None, 5)}
    assert [key for key, _, _ in found if key and await read(once, key, 0, 5) != b"hello"] == []
    copy = await store_hello(once)
    assert copy is not None
    assert await once.size(copy.key, expected=Expected(5, HELLO, copy.domain)) == 5
