"""Plain and sealed bytes in one store: each is served as what it is, and nothing plain is left where it is sealed."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BeginsLate, Expected, Span, offers
from storage.digest import Algorithm, Digest
from storage.errors import StoreUnavailable
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at, push, read, stage, walk
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, MemorySealedUploads, encrypted_store
from tests.storage.blobs.encrypted.conftest import MakeEncrypted
from tests.storage.blobs.encrypted.watched import BITS, LAYOUT, SEGMENT, Watched

CONTENT: Final = random.Random(8).randbytes(3 * SEGMENT + 100)
DIGEST: Final = Digest.of(CONTENT)


def is_plain(root: Path) -> bool:
    """Whether any staged file holds the beginning of what is pushed, as it is."""
    return any(CONTENT[:100] in path.read_bytes() for path in root.rglob(UPLOAD))


async def test_an_upload_that_was_begun_plain_is_begun_again_where_bytes_are_sealed(
    encrypted: EncryptedStore, inner: Watched
) -> None:
    """Its plain bytes are cut off at once."""
    await stage(encrypted.within(""), CONTENT[: 2 * SEGMENT])

    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(2 * SEGMENT)) as writer:
        assert writer.offset == 0
        assert not inner.staged(UPLOAD)
        await writer.write([CONTENT])
        copy = await writer.commit(DIGEST)

    assert copy.domain == DOMAIN
    assert await read(encrypted, copy.key, 0, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("size", [5, SEGMENT, SEGMENT + 5])
async def test_an_upload_that_was_begun_in_a_domain_ends_in_it(encrypted: EncryptedStore, size: int) -> None:
    """Also where nothing is sealed any more, or in another domain."""
    await stage(encrypted, CONTENT[:size])
    await stage(encrypted, CONTENT[:size], OTHER_UPLOAD)

    for upload_id, domain in ((UPLOAD, ""), (OTHER_UPLOAD, "other")):
        async with encrypted.within(domain).stage(upload_id, Algorithm.SHA256, at(size)) as writer:
            assert writer.offset == size
            await writer.write([CONTENT[size:]])
            copy = await writer.commit(DIGEST)
        assert copy.domain == DOMAIN


@pytest.mark.parametrize("size", [5, SEGMENT + 5])
async def test_an_upload_that_was_begun_in_a_domain_is_not_begun_late_in_plain(
    tmp_path: Path, executor: ThreadPoolExecutor, size: int
) -> None:
    """Also where nobody was promised any of it: its record says that what is staged is sealed."""
    inner = FilesystemStore(tmp_path, durability="full", reserve_bytes=0, new_suffix=lambda: "copy0", executor=executor)
    encrypted = encrypted_store(inner, executor, segment_bits=BITS)
    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([CONTENT[:size]])
        await writer.keep()

    plain = encrypted.within("")
    assert offers(plain, BeginsLate)
    async with plain.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        with pytest.raises(StoreUnavailable, match="start it over"):
            await writer.write([CONTENT])

    assert not is_plain(tmp_path)


@pytest.mark.parametrize("size", [5, SEGMENT + 5])
async def test_an_upload_ends_with_the_version_of_the_key_that_it_was_begun_with(
    encrypted: EncryptedStore, keys: MemoryKeys, size: int
) -> None:
    """A rotation in between does no harm, and counts for the next upload."""
    await stage(encrypted, CONTENT[:size])
    keys.rotate(DOMAIN)

    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(size)) as writer:
        await writer.write([CONTENT[size:]])
        first = await writer.commit(DIGEST, known=DIGEST)
    second = await push(encrypted, CONTENT)

    assert (first.key_version, second.key_version) == (1, 2)
    for copy in (first, second):
        assert await read(encrypted, copy.key, 0, len(CONTENT)) == CONTENT


async def test_an_upload_that_somebody_began_to_seal_meanwhile_is_sealed(
    encrypted: EncryptedStore, inner: Watched
) -> None:
    """Sealed bytes are not gone on with as if they were plain: that is found out once nobody else can write them."""

    async def seal() -> None:
        inner.step = None
        await stage(encrypted, CONTENT)

    inner.step = seal
    async with encrypted.within("").stage(UPLOAD, Algorithm.SHA256, at(len(CONTENT))) as writer:
        copy = await writer.commit(DIGEST)

    assert copy.domain == DOMAIN
    assert await read(encrypted, copy.key, 0, len(CONTENT)) == CONTENT


async def test_plain_copies_are_served_as_they_are(encrypted: EncryptedStore) -> None:
    """What was pushed before anything was sealed."""
    copy = await push(encrypted.within(""), CONTENT)
    expected = Expected(len(CONTENT), DIGEST)

    assert copy.domain == ""
    assert await encrypted.size(copy.key, expected=expected) == len(CONTENT)
    chunks = [chunk async for chunk in encrypted.read(copy.key, Span(5, SEGMENT), expected=expected)]
    assert b"".join(chunks) == CONTENT[5 : 5 + SEGMENT]


async def test_a_plain_blob_may_look_like_a_sealed_one(encrypted: EncryptedStore, inner: Watched) -> None:
    """Somebody may push what was taken from the store: it is expected to be plain, and served as itself."""
    sealed = inner.content((await push(encrypted, CONTENT)).key)
    for content in (sealed, b"LADINGE1", b"LADINGE1" + bytes(500)):
        copy = await push(encrypted.within(""), content)
        expected = Expected(len(content), Digest.of(content))

        chunks = [c async for c in encrypted.read(copy.key, Span(0, len(content)), expected=expected)]
        assert b"".join(chunks) == content
        assert await encrypted.size(copy.key, expected=expected) == len(content)


async def test_a_sealed_blob_may_look_like_one_as_well(encrypted: EncryptedStore, inner: Watched) -> None:
    """It is sealed like any other."""
    sealed = inner.content((await push(encrypted, CONTENT)).key)

    copy = await push(encrypted, sealed)

    assert await read(encrypted, copy.key, 0, len(sealed)) == sealed


async def test_copies_with_segments_of_another_size_are_read(
    encrypted: EncryptedStore, make_encrypted: MakeEncrypted, keys: MemoryKeys, inner: Watched
) -> None:
    """The header says how large they are."""
    large = make_encrypted(15)
    copy = await push(large, CONTENT)

    expected = Expected(len(CONTENT), DIGEST, DOMAIN)
    assert await encrypted.size(copy.key, expected=expected) == len(CONTENT)
    chunks = [chunk async for chunk in encrypted.read(copy.key, Span(9, 2 * SEGMENT), expected=expected)]
    assert b"".join(chunks) == CONTENT[9 : 9 + 2 * SEGMENT]


@pytest.mark.parametrize(("size", "left"), [(100, 100), (SEGMENT + 100, 0), (2 * SEGMENT + 100, 2 * SEGMENT + 100)])
async def test_uploads_with_segments_of_another_size_are_gone_on_with(
    encrypted: EncryptedStore, make_encrypted: MakeEncrypted, size: int, left: int
) -> None:
    """An object has segments of one size; a tail that would be more than one is sent again."""
    await stage(make_encrypted(15), CONTENT[:size])

    async with encrypted.stage(UPLOAD, Algorithm.SHA256, at(size)) as writer:
        assert writer.offset == left
        await writer.write([CONTENT[left:]])
        copy = await writer.commit(DIGEST)

    assert await read(encrypted, copy.key, 0, len(CONTENT)) == CONTENT


async def test_nothing_plain_is_anywhere(
    make_encrypted: MakeEncrypted, inner: Watched, records: MemorySealedUploads
) -> None:
    """Neither in the store nor in the records is there any run of sixteen bytes of what is pushed, at any time."""
    marked = b"".join(b"%016d" % number for number in range(3 * SEGMENT // 16 + 7))

    def places() -> list[bytes]:
        tails = [tail or b"" for pair in records.tails.values() for tail in pair]
        return [bytes(inner.staged(UPLOAD)), *(repr(row).encode() for row in records.rows.values()), *tails]

    for start in range(0, len(marked), 7000):
        async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(start)) as writer:
            await writer.write([marked[start : start + 7000]])
            assert not any(_is_in(each) for each in places())
            await writer.keep()
        assert not any(_is_in(each) for each in places())
    async with make_encrypted().stage(UPLOAD, Algorithm.SHA256, at(len(marked))) as writer:
        copy = await writer.commit(Digest.of(marked))

    assert not _is_in(inner.content(copy.key))
    assert await read(make_encrypted(), copy.key, 0, len(marked)) == marked


def _is_in(found: bytes) -> bool:
    """Whether eight digits of a run are anywhere: of sixteen bytes, at least so many are zeros."""
    return b"00000000000" in found


async def test_what_is_staged_is_found_once(encrypted: EncryptedStore) -> None:
    """By its record, or in the inner store where it is plain; then the copies of both kinds."""
    await stage(encrypted, CONTENT[: SEGMENT + 5])
    await stage(encrypted.within(""), CONTENT[:50], OTHER_UPLOAD)
    copy = await push(encrypted, CONTENT, "3" * 32)

    assert await walk(encrypted, LAYOUT) == {
        (None, UPLOAD, SEGMENT + 5),
        (None, OTHER_UPLOAD, 50),
        (copy.key, None, len(CONTENT)),
    }
