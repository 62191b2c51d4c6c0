"""Stored objects that somebody changed: no wrong byte is ever given, and the error says what the copy is.

Every test reads in all the ways there are: a span, all of it, by a worker thread, and its size.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from storage.blobs.encrypted.store import EncryptedStore, LocalEncryptedStore
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import Expected, Span, StoredCopy
from storage.digest import Digest
from storage.encryption.header import HEADER_BYTES, TRAILER_BYTES
from storage.errors import DomainUnusable, SealBroken, StorageError, StoredBytesMissing, WrongKey
from tests.contracts.blob_access import push
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, encrypted_store
from tests.storage.blobs.encrypted.watched import BITS, LAYOUT, SEGMENT

CONTENT: Final = random.Random(3).randbytes(2 * SEGMENT + 500)
OTHER: Final = random.Random(4).randbytes(2 * SEGMENT + 500)
EXPECTED: Final = Expected(len(CONTENT), Digest.of(CONTENT), DOMAIN)
END: Final = LAYOUT.end_of(len(CONTENT))

MakeLocal = Callable[[], LocalEncryptedStore]


@pytest.fixture
def make_local(tmp_path: Path, executor: ThreadPoolExecutor, keys: MemoryKeys) -> MakeLocal:
    """Makes stores on one disk: each is another process, as far as its memory goes."""
    suffixes = itertools.count()

    def make() -> LocalEncryptedStore:
        inner = FilesystemStore(
            tmp_path,
            durability="relaxed",
            reserve_bytes=0,
            new_suffix=lambda: f"{next(suffixes):032x}",
            executor=executor,
        )
        made = encrypted_store(inner, executor, keys=keys, segment_bits=BITS)
        assert isinstance(made, LocalEncryptedStore)
        return made

    return make


async def _whole(store: LocalEncryptedStore, key: str, expected: Expected) -> None:
    given = b""
    async for chunk in store.read(key, Span(0, expected.size), expected=expected):
        given += chunk
        assert CONTENT.startswith(given)


async def _span(store: LocalEncryptedStore, key: str, expected: Expected) -> None:
    chunks = [chunk async for chunk in store.read(key, Span(SEGMENT + 3, 40), expected=expected)]
    assert b"".join(chunks) == CONTENT[SEGMENT + 3 : SEGMENT + 43]


async def _by_thread(store: LocalEncryptedStore, key: str, expected: Expected) -> None:
    with closing(await store.open_reader(key, expected=expected)) as reader:
        offset = 0
        while offset < expected.size:
            piece = bytes(await asyncio.to_thread(reader.read, offset, expected.size))
            assert piece
            assert CONTENT[offset : offset + len(piece)] == piece
            offset += len(piece)


async def _size(store: LocalEncryptedStore, key: str, expected: Expected) -> None:
    assert await store.size(key, expected=expected) == expected.size


async def outcomes(store: LocalEncryptedStore, key: str, expected: Expected = EXPECTED) -> list[StorageError]:
    """What each way of reading fails with; what it gives before that is asserted to be right."""
    errors: list[StorageError] = []
    for way in (_whole, _span, _by_thread, _size):
        try:
            await way(store, key, expected)
        except (SealBroken, StoredBytesMissing, WrongKey, DomainUnusable) as error:
            errors.append(error)
    return errors


def _flipped(place: int) -> Callable[[bytes], bytes]:
    return lambda sealed: sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]


def _segment(sealed: bytes, index: int) -> bytes:
    return sealed[LAYOUT.place(index) : LAYOUT.place(index + 1)]


CHANGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    **{f"header byte {place}": _flipped(place) for place in (0, 8, 10, 11, 12, 14, 36, 48, 80, 112, 127)},
    "nonce of a segment": _flipped(LAYOUT.place(1)),
    "bytes of a segment": _flipped(LAYOUT.place(1) + 99),
    "tag of a segment": _flipped(LAYOUT.place(2) - 1),
    "last byte of the last segment": _flipped(END - 1),
    "nonce of the trailer": _flipped(END),
    "bytes of the trailer": _flipped(END + 40),
    "tag of the trailer": _flipped(END + TRAILER_BYTES - 1),
    "emptied": lambda _: b"",
    "cut in the header": lambda sealed: sealed[: HEADER_BYTES - 1],
    "cut by a byte": lambda sealed: sealed[:-1],
    "cut by the trailer": lambda sealed: sealed[:-TRAILER_BYTES],
    "cut by a segment": lambda sealed: sealed[: LAYOUT.place(1)] + sealed[LAYOUT.place(2) :],
    "longer by a byte": lambda sealed: sealed + b"\0",
    "longer by a segment": lambda sealed: sealed[:END] + _segment(sealed, 1) + sealed[END:],
    "segments swapped": lambda sealed: (
        sealed[:HEADER_BYTES] + _segment(sealed, 1) + _segment(sealed, 0) + sealed[LAYOUT.place(2) :]
    ),
    "a segment twice": lambda sealed: sealed[: LAYOUT.place(1)] + _segment(sealed, 0) + sealed[LAYOUT.place(2) :],
    "plain bytes": lambda _: OTHER,
    "plain bytes of the sealed length": lambda sealed: OTHER[:8] + bytes(len(sealed) - 8),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("is_remembered", [False, True])
async def test_no_wrong_byte_is_given(make_local: MakeLocal, tmp_path: Path, name: str, *, is_remembered: bool) -> None:
    """Whatever was changed, and whether or not the copy was read before."""
    store = make_local()
    copy = await push(store, CONTENT)
    assert await outcomes(store, copy.key) == []
    path = tmp_path / "blobs" / copy.key
    path.write_bytes(CHANGES[name](path.read_bytes()))

    errors = await outcomes(store if is_remembered else make_local(), copy.key)

    assert is_remembered or errors
    assert all(isinstance(error, SealBroken | StoredBytesMissing) for error in errors)


@pytest.mark.parametrize("place", [16, 32])
async def test_a_key_that_the_domain_never_had_is_damage(make_local: MakeLocal, tmp_path: Path, place: int) -> None:
    """A header that names another domain, or a version that the domain never had, is not the one expected."""
    copy = await push(make_local(), CONTENT)
    path = tmp_path / "blobs" / copy.key
    path.write_bytes(_flipped(place)(path.read_bytes()))

    assert {type(each) for each in await outcomes(make_local(), copy.key)} == {SealBroken}


async def _put_in_place(tmp_path: Path, copy: StoredCopy, other: StoredCopy) -> None:
    (tmp_path / "blobs" / copy.key).write_bytes((tmp_path / "blobs" / other.key).read_bytes())


async def test_another_object_in_its_place_is_refused(make_local: MakeLocal, tmp_path: Path) -> None:
    """Of another digest, though it has the same length and key."""
    copy, other = await push(make_local(), CONTENT), await push(make_local(), OTHER)
    await _put_in_place(tmp_path, copy, other)

    assert {type(each) for each in await outcomes(make_local(), copy.key)} == {SealBroken}


@pytest.mark.parametrize("is_gone", [False, True])
async def test_an_object_of_another_domain_in_its_place_is_refused(
    make_local: MakeLocal, tmp_path: Path, keys: MemoryKeys, *, is_gone: bool
) -> None:
    """Though it is of the same bytes; and whether or not the keys of that domain are there."""
    copy, other = await push(make_local(), CONTENT), await push(make_local().within("other"), CONTENT)
    await _put_in_place(tmp_path, copy, other)
    if is_gone:
        keys.unusable = "other"

    assert {type(each) for each in await outcomes(make_local(), copy.key)} == {SealBroken}


async def test_a_domain_whose_keys_are_gone_is_told(make_local: MakeLocal, keys: MemoryKeys) -> None:
    """The copy is not damaged: it must not be taken for it."""
    copy = await push(make_local(), CONTENT)
    keys.unusable = DOMAIN

    assert {type(each) for each in await outcomes(make_local(), copy.key)} == {DomainUnusable}


async def test_a_remembered_copy_is_not_read_without_its_key(make_local: MakeLocal, keys: MemoryKeys) -> None:
    """A key is asked for at each read, for it may have been destroyed."""
    store = make_local()
    copy = await push(store, CONTENT)
    assert await outcomes(store, copy.key) == []
    keys.unusable = DOMAIN

    assert {type(each) for each in await outcomes(store, copy.key)} == {DomainUnusable}


async def test_a_plain_copy_is_not_taken_for_a_sealed_one(make_local: MakeLocal) -> None:
    """Who expects a sealed copy is not given plain bytes, which anybody could have put there."""
    copy = await push(make_local().within(""), CONTENT)

    errors = await outcomes(make_local(), copy.key)

    assert [type(each) for each in errors] == [SealBroken] * 4


async def test_a_sealed_copy_is_not_taken_for_a_plain_one(make_local: MakeLocal) -> None:
    """Its bytes are not those of the digest, and its length says so."""
    copy = await push(make_local(), CONTENT)

    errors = await outcomes(make_local(), copy.key, replace(EXPECTED, domain=""))

    assert [type(each) for each in errors] == [StoredBytesMissing] * 4


async def test_a_copy_of_no_bytes_that_is_gone_is_missing(encrypted: EncryptedStore, inner: object) -> None:
    """An empty span is asked for as any other is, also of a copy that was read before."""
    copy = await push(encrypted, b"")
    read: Callable[[], Awaitable[list[bytes]]] = lambda: _chunks(encrypted, copy.key)  # noqa: E731  called twice
    assert await read() == []
    await inner.delete(copy.key)  # type: ignore[attr-defined]  # another process does

    with pytest.raises(StoredBytesMissing):
        await read()


async def _chunks(store: EncryptedStore, key: str) -> list[bytes]:
    return [chunk async for chunk in store.read(key, Span(0, 0))]
