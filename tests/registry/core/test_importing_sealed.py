"""Copying sealed content from one store into another: it moves as it is, and is opened only to be hashed."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from registry.core.importing import Imported, Outcome, unfinished_mark
from registry.core.upload_sessions import Owner
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.encryption.whole import seal_whole
from storage.errors import KeyUnavailable, WrongKey
from storage.metadata.schema import blob
from tests.contracts.blob_access import push, read
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys, encrypted_store
from tests.registry.core.opening import StreamingStore
from tests.registry.core.services import BETA, HASHING, Clock, Core, open_core
from tests.registry.core.test_importing import content, keys, replace, run
from tests.registry.core.test_reading import states

HELLO, OTHER = Digest.of(b"hello"), Digest.of(b"other")
LARGE = bytes(range(256)) * 2048
COPIED = Imported(str(HELLO), 5, Outcome.COPIED)
LEFT_UNREAD = (
    "it was copied as it is, for it cannot be opened: the keys of the encryption domain AES256 are being destroyed"
)


def raw(core: Core, key: str) -> bytes:
    """What lies in the source."""
    assert isinstance(core.store, MemoryStore)
    return core.store._contents.copies[key][0]


async def test_sealed_copies_move_as_they_are(sealed_core: Core, files: FilesystemStore) -> None:
    """No row changes and nothing is sealed again, so that a server can go on with either store."""
    large = await sealed_core.push_blob(LARGE)
    await sealed_core.push_blob(b"")
    before = await keys(sealed_core)

    imported = await run(sealed_core, files)

    assert imported == {
        Imported(str(large), len(LARGE), Outcome.COPIED),
        Imported(str(Digest.of(b"")), 0, Outcome.COPIED),
    }
    assert await keys(sealed_core) == before
    assert [await content(files, key) for key in before] == [raw(sealed_core, key) for key in before]
    assert await files.owner() == "registry"


async def test_what_was_moved_opens_with_the_same_keys(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    await sealed_core.push_blob(LARGE)
    [key] = await keys(sealed_core)
    await run(sealed_core, files)

    assert await read(encrypted_store(files, HASHING, keys=domain_keys), key, 0, len(LARGE)) == LARGE


async def test_sealed_copies_that_are_there_are_not_copied_again(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """Whatever the size of their segments; nothing is opened for that."""
    digest = await sealed_core.push_blob(LARGE)
    [key] = await keys(sealed_core)
    small = MemoryStore(new_suffix=lambda: "0" * 32, now=lambda: 0.0)
    copy = await push(encrypted_store(small, HASHING, keys=domain_keys, segment_bits=14), LARGE)
    replace(sealed_core, key, small._contents.copies[copy.key][0])
    first = await run(sealed_core, files)
    domain_keys.failure = KeyUnavailable("away")

    assert first == {Imported(str(digest), len(LARGE), Outcome.COPIED)}
    assert await run(sealed_core, files) == {Imported(str(digest), len(LARGE), Outcome.THERE_ALREADY)}


@pytest.mark.parametrize("length", [5, 100, -1])
async def test_a_sealed_copy_of_another_length_is_copied_again(
    sealed_core: Core, files: FilesystemStore, length: int
) -> None:
    """As many bytes as are in plain are too few."""
    await sealed_core.push_blob(b"hello")
    [key] = await keys(sealed_core)
    await run(sealed_core, files)
    path = files._disk.blob_path(key)
    path.write_bytes(path.read_bytes()[:length])

    assert await run(sealed_core, files) == {COPIED}
    assert await content(files, key) == raw(sealed_core, key)


def flipped(sealed: bytes, place: int) -> bytes:
    changed = bytearray(sealed)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda sealed: flipped(sealed, 150), "it is damaged in the source, or is not what its digest names"),
        (lambda sealed: flipped(sealed, -1), "it is damaged in the source, or is not what its digest names"),
        (lambda sealed: flipped(sealed, 85), "it is damaged in the source, or is not what its digest names"),
        (lambda sealed: sealed[:-1], "it is damaged in the source: it ends too early, or too late"),
        (lambda _: b"hello", "it is damaged in the source: it does not begin with the header of a sealed object"),
        (lambda _: b"", "it is damaged in the source: it does not begin with the header of a sealed object"),
        (lambda sealed: flipped(sealed, 16), f"it cannot be opened: {WrongKey()}"),
    ],
    ids=["segment", "trailer", "commitment", "length", "plain", "empty", "domain"],
)
async def test_a_damaged_sealed_copy_fails_alone(
    sealed_core: Core, files: FilesystemStore, damage: Callable[[bytes], bytes], problem: str
) -> None:
    """Nothing of it comes to lie in the target, and no registry starts there."""
    await sealed_core.push_blob(b"hello")
    [key] = await keys(sealed_core)
    replace(sealed_core, key, damage(raw(sealed_core, key)))
    await sealed_core.push_blob(b"other")

    assert await run(sealed_core, files) == {
        Imported(str(HELLO), 5, Outcome.FAILED, problem),
        Imported(str(OTHER), 5, Outcome.COPIED),
    }
    assert len([found async for found in files.walk()]) == 1
    assert await files.owner() == unfinished_mark("registry")


async def test_a_copy_of_something_else_is_not_copied(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """However well it is sealed."""
    await sealed_core.push_blob(b"hello")
    [key] = await keys(sealed_core)
    replace(sealed_core, key, seal_whole(await domain_keys.current(DOMAIN), b"hellO"))

    [imported] = await run(sealed_core, files)

    assert imported.problem == "it is damaged in the source, or is not what its digest names"


async def test_a_copy_that_is_sealed_in_another_domain_is_not_copied(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """The row says in which it is, and a reader would not take it."""
    await sealed_core.push_blob(b"hello")
    [key] = await keys(sealed_core)
    replace(sealed_core, key, seal_whole(await domain_keys.current("another"), b"hello"))

    [imported] = await run(sealed_core, files)

    assert imported.problem == "it is damaged in the source: it is sealed in another domain"


async def test_a_key_that_cannot_be_had_ends_the_run(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """It will be there another time, and the run goes on where it stood."""
    await sealed_core.push_blob(b"hello")
    domain_keys.failure = KeyUnavailable("the key management service does not answer")

    with pytest.raises(KeyUnavailable):
        await run(sealed_core, files)
    domain_keys.failure = None

    assert await run(sealed_core, files) == {COPIED}


async def test_what_nobody_is_to_open_moves_unchecked(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """The destruction of its keys may be called off; that it was not checked is told, and keeps no server away."""
    await sealed_core.push_blob(b"hello")
    [key] = await keys(sealed_core)
    domain_keys.unusable = DOMAIN

    assert await run(sealed_core, files) == {Imported(str(HELLO), 5, Outcome.UNCHECKED, LEFT_UNREAD)}
    assert await content(files, key) == raw(sealed_core, key)
    assert await files.owner() == "registry"


async def test_what_was_found_bad_stays_so_where_it_cannot_be_checked(
    sealed_core: Core, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    await sealed_core.push_blob(b"hello")
    await sealed_core.database.write(lambda c: c.execute(update(blob).values(state="quarantined")).close())
    domain_keys.unusable = DOMAIN
    await run(sealed_core, files)
    assert await states(sealed_core) == ["quarantined"]

    domain_keys.unusable = ""
    assert await run(sealed_core, files) == {COPIED}

    assert await states(sealed_core) == ["stored"]


async def test_plain_and_sealed_copies_move_together(sealed_core: Core, files: FilesystemStore) -> None:
    """Encryption was turned on at some time: a digest may have a copy of either kind."""
    plain = Core(sealed_core.database, sealed_core.activity, sealed_core.store, sealed_core.clock)
    await plain.push_blob(b"hello", Owner(BETA, "arn:alice"))
    await sealed_core.push_blob(b"hello")
    assert len(await keys(sealed_core)) == 2

    assert await run(sealed_core, files) == {COPIED}  # twice

    lengths = sorted([len(await content(files, key)) for key in await keys(sealed_core)])
    assert lengths == [5, 269]


async def test_a_copy_that_is_stored_anew_meanwhile_is_copied_from_there(
    place: Place, clock: Clock, files: FilesystemStore, domain_keys: MemoryKeys
) -> None:
    """Its row was read before, and the key there leads nowhere now."""
    store = StreamingStore()
    async with open_core(place, clock, store=store, keys=domain_keys) as core:
        await core.push_blob(b"hello")
        [key] = await keys(core)
        new = f"{key.partition('.')[0]}.{'f' * 32}"

        async def store_anew() -> None:
            store.move(new)
            await core.database.write(lambda c: c.execute(update(blob).values(storage_key=new)).close())

        store.meanwhile = store_anew

        assert await run(core, files) == {COPIED}

        assert len(await content(files, new)) == 269
