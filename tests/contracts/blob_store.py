"""What every blob store promises about stored copies, as tests that take an empty `store`."""

import asyncio

import pytest

from storage.blobs.interface import BlobStore, Expected, Span, StoredObject
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, StoredBytesMissing
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at, push, read, stage, walk

UNKNOWN_KEY = f"sha256/00/00/{'0' * 64}.ffffffffffffffffffffffffffffffff"
HELLO = Digest.parse("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
EMPTY = Digest.parse("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
LARGEST_CHUNK = 1024 * 1024


async def test_committed_bytes_can_be_read(store: BlobStore) -> None:
    """A stored copy holds the bytes that were written."""
    copy = await push(store, b"hello")

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_commit_tells_the_size_of_the_copy(store: BlobStore) -> None:
    """A stored copy knows how long it is."""
    copy = await push(store, b"hello")

    assert copy.size == 5


async def test_size_is_the_length_of_the_copy(store: BlobStore) -> None:
    """The size of a stored copy is its length in bytes."""
    copy = await push(store, b"hello")

    assert await store.size(copy.key) == 5


async def test_size_of_an_unknown_key_is_refused(store: BlobStore) -> None:
    """A key that names no copy raises StoredBytesMissing."""
    with pytest.raises(StoredBytesMissing):
        await store.size(UNKNOWN_KEY)


async def test_empty_bytes_can_be_stored(store: BlobStore) -> None:
    """No bytes at all are a blob too."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        copy = await writer.commit(EMPTY)

    assert await store.size(copy.key) == 0
    assert await read(store, copy.key, 0, 0) == b""


async def test_sha512_names_bytes_as_well(store: BlobStore) -> None:
    """Both registered algorithms are supported."""
    async with store.stage(UPLOAD, Algorithm.SHA512, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(Digest.of(b"hello", Algorithm.SHA512))

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_commit_may_use_another_algorithm_than_stage(store: BlobStore) -> None:
    """The algorithm of an upload is only known for sure when its digest is given."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(Digest.of(b"hello", Algorithm.SHA512))

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_commit_with_another_algorithm_still_compares(store: BlobStore) -> None:
    """Bytes are compared with the digest whatever algorithm the upload began with."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

        with pytest.raises(DigestMismatch):
            await writer.commit(Digest.of(b"other", Algorithm.SHA512))


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 5, b"hello"), (0, 1, b"h"), (1, 3, b"ell"), (4, 1, b"o"), (0, 0, b""), (5, 0, b"")],
)
async def test_read_streams_exactly_the_span(store: BlobStore, offset: int, length: int, expected: bytes) -> None:
    """A span is its first byte and how many follow."""
    copy = await push(store, b"hello")

    assert await read(store, copy.key, offset, length) == expected


async def test_read_streams_bounded_chunks(store: BlobStore) -> None:
    """Memory per request is constant whatever the size of a blob."""
    content = bytes(range(256)) * 12 * 1024
    copy = await push(store, content)

    chunks = [chunk async for chunk in store.read(copy.key, Span(1, 3_000_000))]

    assert b"".join(chunks) == content[1:3_000_001]
    assert all(0 < len(chunk) <= LARGEST_CHUNK for chunk in chunks)


async def test_read_of_an_unknown_key_is_refused(store: BlobStore) -> None:
    """StoredBytesMissing comes before the first chunk, while the answer can still be an error."""
    with pytest.raises(StoredBytesMissing):
        await anext(store.read(UNKNOWN_KEY, Span(0, 1)))


async def test_an_empty_read_of_an_unknown_key_is_refused(store: BlobStore) -> None:
    """An empty span does not make a missing copy exist."""
    with pytest.raises(StoredBytesMissing):
        await read(store, UNKNOWN_KEY, 0, 0)


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (6, 0), (2_000_000, 1)])
async def test_read_past_the_end_is_refused(store: BlobStore, offset: int, length: int) -> None:
    """A copy shorter than the span raises StoredBytesMissing before the first chunk."""
    copy = await push(store, b"hello")

    with pytest.raises(StoredBytesMissing):
        await anext(store.read(copy.key, Span(offset, length)), None)


@pytest.mark.parametrize("size", [4, 6])
@pytest.mark.parametrize("length", [0, 4])
async def test_a_copy_of_another_length_than_expected_is_missing(store: BlobStore, size: int, length: int) -> None:
    """Who knows how long a copy must be is not given a part of something else."""
    copy = await push(store, b"hello")

    with pytest.raises(StoredBytesMissing):
        await anext(store.read(copy.key, Span(0, length), expected=Expected(size, HELLO, copy.domain)), None)


async def test_a_copy_of_the_expected_length_is_read(store: BlobStore) -> None:
    """The length is compared, not believed."""
    copy = await push(store, b"hello")

    expected = Expected(5, HELLO, copy.domain)
    assert [chunk async for chunk in store.read(copy.key, Span(1, 3), expected=expected)] == [b"ell"]


async def test_reading_can_stop_early(store: BlobStore) -> None:
    """A client that goes away leaves nothing behind that disturbs the next reader."""
    copy = await push(store, bytes(3_000_000))

    async for _ in store.read(copy.key, Span(0, 3_000_000)):
        break

    assert await read(store, copy.key, 0, 2) == b"\0\0"


async def test_nothing_is_stored_before_commit(store: BlobStore) -> None:
    """Staged bytes are not a stored copy, even when all of them have arrived."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        await writer.keep()

        assert await walk(store) == {(None, UPLOAD, 5)}


async def test_nothing_is_staged_after_commit(store: BlobStore) -> None:
    """A commit turns staged bytes into a stored copy."""
    copy = await push(store, b"hello")

    assert await walk(store) == {(copy.key, None, 5)}


async def test_commit_with_wrong_digest_is_refused(store: BlobStore) -> None:
    """A blob is stored only if its bytes match its digest; the error tells both."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])

        with pytest.raises(DigestMismatch) as caught:
            await writer.commit(EMPTY)

    assert (caught.value.expected, caught.value.actual) == (str(EMPTY), str(HELLO))


async def test_commit_with_wrong_digest_leaves_nothing(store: BlobStore) -> None:
    """The staged bytes are gone after a mismatch."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        with pytest.raises(DigestMismatch):
            await writer.commit(EMPTY)

        assert await walk(store) == set()


async def test_commit_of_continued_bytes_compares_all_of_them(store: BlobStore) -> None:
    """Bytes that another writer staged are verified as well."""
    await stage(store, b"hEl")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])

        with pytest.raises(DigestMismatch):
            await writer.commit(HELLO)


async def test_commit_takes_a_known_digest(store: BlobStore) -> None:
    """A caller with proof of the digest saves reading the staged bytes again."""
    await stage(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        copy = await writer.commit(HELLO, known=HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_commit_refuses_a_known_digest_that_differs(store: BlobStore) -> None:
    """A known digest is compared with the expected one."""
    await stage(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        with pytest.raises(DigestMismatch):
            await writer.commit(EMPTY, known=HELLO)


async def test_a_known_digest_of_another_algorithm_proves_nothing(store: BlobStore) -> None:
    """Only a digest of the expected algorithm can stand for the bytes."""
    await stage(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        with pytest.raises(DigestMismatch):
            await writer.commit(EMPTY, known=Digest.of(b"", Algorithm.SHA512))


async def test_the_same_bytes_are_stored_under_different_keys(store: BlobStore) -> None:
    """Each stored copy has a key of its own."""
    first = await push(store, b"hello")
    second = await push(store, b"hello")

    assert first.key != second.key


async def test_concurrent_commits_of_the_same_bytes_all_succeed(store: BlobStore) -> None:
    """Clients push the same layer at the same time; each gets a whole copy."""
    async with asyncio.TaskGroup() as group:
        pushes = [group.create_task(push(store, b"hello", f"{number:032x}")) for number in range(8)]

    keys = {task.result().key for task in pushes}

    assert len(keys) == 8
    assert [await read(store, key, 0, 5) for key in keys] == [b"hello"] * 8


async def test_deleting_one_copy_keeps_the_others(store: BlobStore) -> None:
    """A collector removes a key, never the blob of a digest."""
    first = await push(store, b"hello")
    second = await push(store, b"hello")

    await store.delete(first.key)

    assert await walk(store) == {(second.key, None, 5)}


async def test_a_deleted_copy_cannot_be_read(store: BlobStore) -> None:
    """A deleted copy is missing from then on."""
    copy = await push(store, b"hello")

    await store.delete(copy.key)

    with pytest.raises(StoredBytesMissing):
        await read(store, copy.key, 0, 5)


async def test_a_deleted_key_is_not_used_again(store: BlobStore) -> None:
    """A late deletion can never hit bytes that a later push stored."""
    first = await push(store, b"hello")
    await store.delete(first.key)

    second = await push(store, b"hello")

    assert first.key != second.key


async def test_deleting_twice_succeeds(store: BlobStore) -> None:
    """A deletion can be repeated after a crash."""
    copy = await push(store, b"hello")
    await store.delete(copy.key)

    await store.delete(copy.key)

    assert await walk(store) == set()


async def test_walk_of_an_empty_store_finds_nothing(store: BlobStore) -> None:
    """A store that was never written to can be walked."""
    assert await walk(store) == set()


async def test_walk_finds_copies_and_staged_uploads(store: BlobStore) -> None:
    """Orphans of both kinds can be found."""
    copy = await push(store, b"hello")
    await stage(store, b"other bytes", OTHER_UPLOAD)

    assert await walk(store) == {(copy.key, None, 5), (None, OTHER_UPLOAD, 11)}


async def test_walk_finds_staged_uploads_before_copies(store: BlobStore) -> None:
    """Who looks for abandoned uploads need not go through all content."""
    await push(store, b"hello")
    await stage(store, b"other", OTHER_UPLOAD)
    await push(store, b"more")

    assert [found.upload_id async for found in store.walk()] == [OTHER_UPLOAD, None, None]


async def test_walk_tells_when_bytes_were_written(store: BlobStore) -> None:
    """A collector spares what is young."""
    copy = await push(store, b"hello")

    found: list[StoredObject] = [stored async for stored in store.walk()]

    assert [stored.key for stored in found] == [copy.key]
    assert found[0].modified_at > 0


async def test_walk_goes_on_while_copies_are_deleted(store: BlobStore) -> None:
    """A collector deletes what it finds while it walks."""
    for number in range(20):
        await push(store, b"%d" % number)

    async for found in store.walk():
        if found.key is not None:
            await store.delete(found.key)

    assert await walk(store) == set()
