"""Copying all content from one store into another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from sqlalchemy import select, update

from registry.core.importing import Import, Imported, Outcome, unfinished_mark
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import Expected, Opening, Span, StoredCopy
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.errors import StoreUnavailable
from storage.metadata.schema import blob
from tests.contracts.encrypted_places import MemoryKeys
from tests.registry.core.services import Core

HELLO, OTHER = Digest.of(b"hello"), Digest.of(b"other")


def importing(core: Core, target: FilesystemStore) -> Import:
    return Import(core.database, core.store, target, "registry", core.keys or MemoryKeys())


async def run(core: Core, target: FilesystemStore) -> set[Imported]:
    return {imported async for imported in importing(core, target).run()}


async def keys(core: Core) -> list[str]:
    return list(await core.database.read(lambda c: c.execute(select(blob.c.storage_key).order_by(blob.c.id)).scalars()))


async def content(store: FilesystemStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, Span(0, await store.size(key)))])


def replace(core: Core, key: str, content: bytes) -> None:
    assert isinstance(core.store, MemoryStore)
    core.store._contents.copies[key] = (content, 0.0)


async def test_every_copy_has_its_key_in_the_target(core: Core, files: FilesystemStore) -> None:
    """The database names the same keys afterwards, so that a server can go on with either store."""
    await core.push_blob(b"hello")
    await core.push_blob(b"other")
    before = await keys(core)

    assert await run(core, files) == {
        Imported(str(HELLO), 5, Outcome.COPIED),
        Imported(str(OTHER), 5, Outcome.COPIED),
    }
    assert await keys(core) == before
    assert [await content(files, key) for key in before] == [b"hello", b"other"]


async def test_what_is_there_already_is_not_copied_again(core: Core, files: FilesystemStore) -> None:
    """A run that was stopped is gone on with by another."""
    await core.push_blob(b"hello")
    await run(core, files)
    await core.push_blob(b"other")

    assert await run(core, files) == {
        Imported(str(HELLO), 5, Outcome.THERE_ALREADY),
        Imported(str(OTHER), 5, Outcome.COPIED),
    }


async def test_a_copy_of_another_length_is_copied_again(core: Core, files: FilesystemStore) -> None:
    await core.push_blob(b"hello")
    [key] = await keys(core)
    await run(core, files)
    files._disk.blob_path(key).write_bytes(b"hel")

    assert await run(core, files) == {Imported(str(HELLO), 5, Outcome.COPIED)}
    assert await content(files, key) == b"hello"


async def test_bytes_that_are_not_what_their_digest_names_are_not_copied(core: Core, files: FilesystemStore) -> None:
    await core.push_blob(b"hello")
    [key] = await keys(core)
    replace(core, key, b"hellO")

    [imported] = await run(core, files)

    assert imported.outcome is Outcome.FAILED
    assert imported.problem == "its bytes in the source are not what its digest names"
    assert [stored async for stored in files.walk()] == []


async def test_missing_bytes_fail_alone(core: Core, files: FilesystemStore) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"other")
    await core.store.delete((await keys(core))[0])

    assert await run(core, files) == {
        Imported(str(HELLO), 5, Outcome.FAILED, "its bytes are missing in the source"),
        Imported(str(OTHER), 5, Outcome.COPIED),
    }


async def test_a_store_is_marked_as_unfinished_until_nothing_fails(core: Core, files: FilesystemStore) -> None:
    """No registry starts on a part of its content, for it would give up the rest."""
    await core.push_blob(b"hello")
    [key] = await keys(core)
    replace(core, key, b"hellO")

    await run(core, files)
    assert await files.owner() == unfinished_mark("registry")

    replace(core, key, b"hello")
    await run(core, files)
    assert await files.owner() == "registry"


async def test_a_store_of_another_registry_is_refused(core: Core, files: FilesystemStore) -> None:
    await core.push_blob(b"hello")
    await files.claim("another")

    with pytest.raises(StoreUnavailable, match=r"another registry \(another\)"):
        await run(core, files)

    assert [stored async for stored in files.walk()] == []


async def test_a_store_that_another_registry_marks_first_is_refused(
    core: Core, files: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that find no mark, one makes it."""
    await core.push_blob(b"hello")
    claim = files.claim

    async def come_second(_registry_id: str) -> None:
        await claim("another")

    monkeypatch.setattr(files, "claim", come_second)

    with pytest.raises(StoreUnavailable, match=r"another registry \(another\)"):
        await run(core, files)

    assert [stored async for stored in files.walk()] == []


async def test_a_copy_that_was_found_bad_is_served_again(core: Core, files: FilesystemStore) -> None:
    """The source had good bytes for it all the time, say because the server was started on the target too early."""
    await core.push_blob(b"hello")
    await run(core, files)
    await core.database.write(lambda c: c.execute(update(blob).values(state="quarantined")))

    assert await run(core, files) == {Imported(str(HELLO), 5, Outcome.COPIED)}

    assert await core.database.read(lambda c: c.execute(select(blob.c.state)).scalar_one()) == "stored"


class Away(MemoryStore):
    """A store that is away."""

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        if key:
            raise StoreUnavailable("away", is_away=True)
        async for chunk in super().read(key, span, expected=expected):
            yield chunk


async def test_a_source_that_is_away_ends_the_run(core: Core, files: FilesystemStore) -> None:
    await core.push_blob(b"hello")
    core.store.__class__ = Away

    with pytest.raises(StoreUnavailable):
        await run(core, files)

    assert await files.owner() == unfinished_mark("registry")


class Crowded(FilesystemStore):
    """A store that counts how many copies are under way at once."""

    now = most = 0

    async def restore(
        self, key: str, digest: Digest, chunks: AsyncIterator[bytes], *, opening: Opening | None = None
    ) -> StoredCopy:
        self.now += 1
        self.most = max(self.now, self.most)
        await asyncio.sleep(0)
        try:
            return await super().restore(key, digest, chunks, opening=opening)
        finally:
            self.now -= 1


async def test_several_copies_are_under_way_at_once_and_no_more(core: Core, files: FilesystemStore) -> None:
    """A bucket answers slowly, and takes many at once."""
    for number in range(30):
        await core.push_blob(b"%d" % number)
    files.__class__ = Crowded
    assert isinstance(files, Crowded)

    assert len(await run(core, files)) == 30

    assert 1 < files.most <= 8
    assert await importing(core, files).count() == 30
