"""Short uploads that are sealed in memory and stored by the inner store at once."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from storage.blobs.encrypted.store import EncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, Expected, Span, StoresAtOnce, offers
from storage.blobs.memory import MemoryStore
from storage.digest import Algorithm, Digest
from storage.encryption.header import HEADER_BYTES, Header
from storage.encryption.whole import open_whole
from storage.errors import DigestMismatch, DomainUnusable, KeyUnavailable, NoSpace, SealBroken
from tests.contracts.blob_access import UPLOAD, at, read, stage, walk
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, MemorySealedUploads, encrypted_store
from tests.storage.blobs.encrypted.conftest import MakeEncrypted
from tests.storage.blobs.encrypted.watched import BITS, LAYOUT, SEGMENT
from tests.storage.blobs.faulty_disk import files

CANARY: Final = b"a secret that is found nowhere"
CONTENT: Final = CANARY + random.Random(5).randbytes(2 * SEGMENT)
DIGEST: Final = Digest.of(CONTENT)
HELLO: Final = Digest.of(b"hello")


@pytest.fixture
def plain() -> MemoryStore:
    """The store in memory that is encrypted around."""
    suffixes = itertools.count()
    return MemoryStore(new_suffix=lambda: f"{next(suffixes):032x}", now=time.time)


@pytest.fixture
def around(
    records: MemorySealedUploads, keys: MemoryKeys, executor: ThreadPoolExecutor
) -> Callable[[BlobStore], EncryptedStore]:
    """Makes an encrypted store around one."""
    return lambda inner: encrypted_store(inner, executor, keys=keys, records=records, segment_bits=BITS)


@pytest.fixture
def sealing(around: Callable[[BlobStore], EncryptedStore], plain: MemoryStore) -> EncryptedStore:
    """The store around the one in memory."""
    return around(plain)


async def kept(plain: BlobStore, key: str) -> bytes:
    """What the inner store holds."""
    return await read(plain, key, 0, await plain.size(key))


async def test_nothing_plain_reaches_the_disk(
    around: Callable[[BlobStore], EncryptedStore], tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    inner = FilesystemStore(tmp_path, durability="full", reserve_bytes=0, new_suffix=lambda: "copy0", executor=executor)

    copy = await around(inner).store(UPLOAD, [CONTENT], DIGEST)

    assert copy is not None
    (path,) = files(tmp_path)
    whole = (tmp_path / path).read_bytes()
    assert len(whole) == LAYOUT.length(len(CONTENT))
    assert CANARY not in whole


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, len(CONTENT)])
async def test_what_is_sealed_at_once_is_an_object_like_any(
    sealing: EncryptedStore, plain: MemoryStore, keys: MemoryKeys, size: int
) -> None:
    """Its segments are as long as those of a stream, so that spans are found, and it is as long as one."""
    content = CONTENT[:size]

    copy = await sealing.store(UPLOAD, [content], Digest.of(content))

    assert copy is not None
    sealed = await kept(plain, copy.key)
    assert (copy.size, len(sealed)) == (size, LAYOUT.length(size))
    assert Header.parse(sealed[:HEADER_BYTES]).segment_bits == BITS
    assert open_whole(await keys.current(DOMAIN), sealed, Digest.of(content)) == content


@pytest.mark.parametrize("span", [Span(0, 10), Span(SEGMENT - 5, 10), Span(2 * SEGMENT, 30), Span(len(CONTENT), 0)])
async def test_a_span_of_what_was_sealed_at_once_opens(sealing: EncryptedStore, span: Span) -> None:
    copy = await sealing.store(UPLOAD, [CONTENT[:100], CONTENT[100:]], DIGEST)

    assert copy is not None
    chunks = sealing.read(copy.key, span, expected=Expected(len(CONTENT), DIGEST, DOMAIN))
    assert b"".join([chunk async for chunk in chunks]) == CONTENT[span.offset : span.end]


async def test_what_is_sealed_at_once_is_bound_to_its_digest(sealing: EncryptedStore) -> None:
    """The trailer names the digest that was pushed, of whatever algorithm, so that no other copy can stand for it."""
    digest, other = (Digest.of(content, Algorithm.SHA512) for content in (b"hello", b"hellO"))

    copy = await sealing.store(UPLOAD, [b"hello"], digest)

    assert copy is not None
    chunks = sealing.read(copy.key, Span(0, 5), expected=Expected(5, digest, DOMAIN))
    assert b"".join([chunk async for chunk in chunks]) == b"hello"
    with pytest.raises(SealBroken):
        await anext(sealing.read(copy.key, Span(0, 5), expected=Expected(5, other, DOMAIN)))


async def test_a_copy_that_was_sealed_at_once_tells_its_key(sealing: EncryptedStore, keys: MemoryKeys) -> None:
    """After a rotation, the next one is sealed with the next key; both open."""
    first = await sealing.store(UPLOAD, [b"hello"], HELLO)
    keys.rotate(DOMAIN)
    second = await sealing.store(UPLOAD, [b"hello"], HELLO)

    assert first is not None
    assert second is not None
    assert [(copy.domain, copy.key_version) for copy in (first, second)] == [(DOMAIN, 1), (DOMAIN, 2)]
    assert [await read(sealing, copy.key, 0, 5) for copy in (first, second)] == [b"hello", b"hello"]


async def test_each_domain_seals_at_once_with_its_own_key(sealing: EncryptedStore, keys: MemoryKeys) -> None:
    copy = await offering(sealing.within("team")).store(UPLOAD, [b"hello"], HELLO)

    assert copy is not None
    assert (copy.domain, copy.key_version) == ("team", 1)
    assert set(keys.versions) == {"team"}


async def test_no_two_that_are_sealed_at_once_look_alike(sealing: EncryptedStore, plain: MemoryStore) -> None:
    """Each has a salt, and so a key, of its own."""
    copies = [await sealing.store(UPLOAD, [b"hello"], HELLO) for _ in range(2)]

    headers = {(await kept(plain, copy.key))[:HEADER_BYTES] for copy in copies if copy is not None}
    assert len(headers) == 2


async def test_without_a_domain_a_short_upload_is_kept_plain(
    sealing: EncryptedStore, plain: MemoryStore, keys: MemoryKeys
) -> None:
    copy = await offering(sealing.within("")).store(UPLOAD, [b"hello"], HELLO)

    assert copy is not None
    assert (copy.domain, copy.key_version) == ("", 0)
    assert await kept(plain, copy.key) == b"hello"
    assert keys.versions == {}


def offering(store: BlobStore) -> StoresAtOnce:
    """The same store, which takes short uploads at once."""
    assert offers(store, StoresAtOnce)
    return store


@pytest.mark.parametrize("failure", [KeyUnavailable("KMS is away"), DomainUnusable(DOMAIN, "are being destroyed")])
async def test_a_key_that_cannot_be_had_stores_nothing_at_once(
    sealing: EncryptedStore, keys: MemoryKeys, records: MemorySealedUploads, failure: Exception
) -> None:
    """The upload is as it was, and the same succeeds later."""
    keys.failure = failure

    with pytest.raises(type(failure)):
        await sealing.store(UPLOAD, [b"hello"], HELLO)

    assert await walk(sealing, LAYOUT) == set()
    assert records.rows == {}
    keys.failure = None
    assert await sealing.store(UPLOAD, [b"hello"], HELLO) is not None


@pytest.mark.parametrize("known", [None, Digest.of(b"hellO")])
async def test_other_bytes_are_refused_before_a_key_is_asked_for(
    sealing: EncryptedStore, keys: MemoryKeys, known: Digest | None
) -> None:
    """The digest is that of the plain bytes, which nobody can tell from sealed ones afterwards."""
    with pytest.raises(DigestMismatch) as raised:
        await sealing.store(UPLOAD, [b"hellO"], HELLO, known=known)

    assert raised.value.actual == str(Digest.of(b"hellO"))
    assert await walk(sealing, LAYOUT) == set()
    assert keys.versions == {}


async def test_what_was_begun_plain_is_not_sealed_at_once(sealing: EncryptedStore, plain: MemoryStore) -> None:
    await stage(plain, b"hel")

    assert await sealing.store(UPLOAD, [b"hello"], HELLO) is None

    assert await walk(plain) == {(None, UPLOAD, 3)}


async def test_what_was_begun_in_a_domain_is_not_kept_plain_at_once(
    sealing: EncryptedStore, records: MemorySealedUploads
) -> None:
    """All of it may be in the record."""
    await stage(sealing, b"hel")
    row = records.rows[UPLOAD]

    assert await offering(sealing.within("")).store(UPLOAD, [b"hello"], HELLO) is None

    assert records.rows[UPLOAD] == row
    async with sealing.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3


async def test_a_full_inner_store_takes_nothing_at_once(around: Callable[[BlobStore], EncryptedStore]) -> None:
    """It counts what is sealed, which is more."""
    inner = MemoryStore(new_suffix=lambda: "0", now=time.time, capacity_bytes=LAYOUT.length(5) - 1)
    store = around(inner)

    with pytest.raises(NoSpace):
        await store.store(UPLOAD, [b"hello"], HELLO)

    assert await walk(store, LAYOUT) == set()


async def test_around_a_store_that_takes_nothing_at_once_nothing_is_sealed(
    make_encrypted: MakeEncrypted, keys: MemoryKeys
) -> None:
    encrypted = make_encrypted()

    assert await encrypted.store(UPLOAD, [b"hello"], HELLO) is None
    assert await offering(encrypted.within("")).store(UPLOAD, [b"hello"], HELLO) is None

    assert keys.versions == {}


async def test_who_is_cancelled_while_the_key_is_fetched_leaves_nothing(
    around: Callable[[BlobStore], EncryptedStore], keys: MemoryKeys, plain: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_domain: str) -> None:
        is_asked.set()
        await asyncio.Event().wait()

    is_asked = asyncio.Event()
    monkeypatch.setattr(keys, "current", wait)
    storing = asyncio.create_task(around(plain).store(UPLOAD, [b"hello"], HELLO))
    await is_asked.wait()
    storing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await storing

    assert await walk(plain) == set()
