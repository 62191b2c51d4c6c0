"""Blobs of a repository."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from registry.core.errors import BlobUnknown, RepositoryUnknown
from registry.core.names import RepositoryName
from registry.core.upload_sessions import Owner
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import StoredCopy
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.metadata.blobs import find_stored_copy
from tests.registry.core.documents import image, parsed
from tests.registry.core.services import ALICE, ALPHA, BETA, Clock, Core
from tests.storage.metadata.rows import candidates

HELLO = Digest.of(b"hello")
IN_BETA = Owner(BETA, "arn:alice")


async def first(names: Sequence[RepositoryName]) -> RepositoryName | None:
    """A caller who may pull everything."""
    return names[0] if names else None


def only(allowed: RepositoryName) -> Callable[[Sequence[RepositoryName]], Awaitable[RepositoryName | None]]:
    """A caller who may pull one repository."""

    async def choose(names: Sequence[RepositoryName]) -> RepositoryName | None:
        return allowed if allowed in names else None

    return choose


async def beta_unasked(_names: Sequence[RepositoryName]) -> RepositoryName:
    """A choice that was not offered."""
    return BETA


async def test_a_pushed_blob_can_be_read(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.read(HELLO) == b"hello"
    assert (await core.blobs.find(ALPHA, HELLO)).size == 5


async def test_a_blob_of_another_repository_is_unknown(core: Core) -> None:
    """Existence is answered per repository, whatever else is stored."""
    await core.push_blob(b"hello")
    await core.push_blob(b"other", IN_BETA)

    with pytest.raises(BlobUnknown):
        await core.blobs.find(BETA, HELLO)
    with pytest.raises(BlobUnknown):
        await core.blobs.vouch(BETA, HELLO)


async def test_a_blob_of_no_repository_is_unknown_with_its_repository(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.blobs.find(ALPHA, HELLO)


async def test_the_same_bytes_are_stored_once(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"hello", IN_BETA)

    assert await core.stored() == {(None, 5)}
    assert [found async for found in core.store.walk()][1:] == []


async def test_a_copy_that_lost_a_race_is_removed(core: Core) -> None:
    """Two clients push the same layer; one copy serves both."""
    await core.push_blob(b"hello")
    async with core.store.stage("late", HELLO.algorithm, _nothing) as writer:
        await writer.write([b"hello"])
        late = await writer.commit(HELLO)

    assert await core.blobs.record(BETA, HELLO, late, create=True) is True

    assert await core.read(HELLO, BETA) == b"hello"
    assert len([found async for found in core.store.walk()]) == 1


async def _nothing() -> int:
    return 0


async def test_no_copy_means_nothing_to_record(core: Core) -> None:
    assert await core.blobs.record(ALPHA, HELLO, None, create=True) is False


async def test_a_copy_is_not_recorded_in_a_repository_that_may_not_be_made(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.blobs.record(ALPHA, HELLO, StoredCopy("key", 5), create=False)


async def test_vouching_for_a_blob_restarts_its_clock(core: Core, clock: Clock) -> None:
    await core.push_blob(b"hello")
    clock.time = 5000.0

    assert await core.blobs.vouch(ALPHA, HELLO) == 5

    assert {since for _, _, since in await core.database.read(candidates)} == {5000.0}


async def test_finding_a_blob_leaves_its_clock_alone(core: Core, clock: Clock) -> None:
    await core.push_blob(b"hello")
    clock.time = 5000.0

    await core.read(HELLO)

    assert {since for _, _, since in await core.database.read(candidates)} == {1000.0}


async def test_a_deleted_blob_is_gone_at_once(core: Core) -> None:
    await core.push_blob(b"hello")

    await core.blobs.delete(ALPHA, HELLO)

    with pytest.raises(BlobUnknown):
        await core.blobs.find(ALPHA, HELLO)


async def test_a_blob_deleted_in_one_repository_stays_in_another(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"hello", IN_BETA)

    await core.blobs.delete(ALPHA, HELLO)

    assert await core.read(HELLO, BETA) == b"hello"


async def test_a_blob_can_be_pushed_again_after_it_was_deleted(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.blobs.delete(ALPHA, HELLO)

    await core.push_blob(b"hello")

    assert await core.read(HELLO) == b"hello"


async def test_deleting_a_blob_that_is_not_there_says_so(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.blobs.delete(ALPHA, HELLO)
    await core.push_blob(b"other")
    with pytest.raises(BlobUnknown):
        await core.blobs.delete(ALPHA, HELLO)


async def test_a_blob_can_be_mounted_from_where_the_caller_may_pull(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.blobs.mount(BETA, HELLO, source=ALPHA, choose=only(ALPHA), create=True) is True

    assert await core.read(HELLO, BETA) == b"hello"


async def test_a_blob_cannot_be_mounted_from_where_the_caller_may_not_pull(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.blobs.mount(BETA, HELLO, source=ALPHA, choose=only(BETA), create=True) is False

    assert await core.repositories.is_known(BETA) is False


async def test_a_mount_without_a_source_finds_one(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.blobs.mount(BETA, HELLO, source=None, choose=first, create=True) is True


async def test_a_mount_without_a_source_looks_only_where_the_caller_may_pull(core: Core) -> None:
    await core.push_blob(b"hello")

    assert await core.blobs.mount(BETA, HELLO, source=None, choose=only(BETA), create=True) is False


async def test_there_is_nothing_to_mount_where_the_source_has_it_not(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"other", IN_BETA)
    gamma = RepositoryName("gamma")

    assert await core.blobs.mount(gamma, HELLO, source=BETA, choose=first, create=True) is False
    assert await core.blobs.mount(gamma, HELLO, source=RepositoryName("none"), choose=first, create=True) is False
    assert await core.repositories.is_known(gamma) is False


async def test_a_choice_that_was_not_offered_is_no_way_in(core: Core) -> None:
    """The blob must be in the repository that was chosen."""
    await core.push_blob(b"hello")
    await core.push_blob(b"other", IN_BETA)

    assert await core.blobs.mount(BETA, HELLO, source=None, choose=beta_unasked, create=True) is False


async def test_a_mount_makes_its_repository_only_if_it_may(core: Core) -> None:
    await core.push_blob(b"hello")

    with pytest.raises(RepositoryUnknown):
        await core.blobs.mount(BETA, HELLO, source=ALPHA, choose=first, create=False)


async def test_a_mount_restarts_the_clock_of_a_candidate(core: Core, clock: Clock) -> None:
    await core.push_blob(b"hello", IN_BETA)
    await core.push_blob(b"hello")
    clock.time = 5000.0

    await core.blobs.mount(BETA, HELLO, source=ALPHA, choose=first, create=False)

    assert sorted(since for _, _, since in await core.database.read(candidates)) == [1000.0, 5000.0]


def the_file(files: FilesystemStore) -> Path:
    """The one stored copy on the disk."""
    [path] = [path for path in files._disk.blobs.rglob("*") if path.is_file()]
    return path


@pytest.mark.parametrize("length", [0, 4])
async def test_a_truncated_copy_is_unknown(core_on_files: Core, files: FilesystemStore, length: int) -> None:
    """What would be sent short is answered as missing, so that a client pushes it again."""
    await core_on_files.push_blob(b"hello")
    the_file(files).chmod(0o600)
    the_file(files).write_bytes(b"hello"[:length])

    with pytest.raises(BlobUnknown):
        await core_on_files.read(HELLO)
    with pytest.raises(BlobUnknown):
        await core_on_files.blobs.find(ALPHA, HELLO)


async def test_a_copy_that_went_missing_is_unknown(core_on_files: Core, files: FilesystemStore) -> None:
    await core_on_files.push_blob(b"hello")
    the_file(files).unlink()

    with pytest.raises(BlobUnknown):
        await core_on_files.blobs.vouch(ALPHA, HELLO)
    with pytest.raises(BlobUnknown):
        await core_on_files.blobs.find(ALPHA, HELLO)


async def test_a_push_repairs_a_bad_copy_for_every_repository(core_on_files: Core, files: FilesystemStore) -> None:
    core = core_on_files
    await core.push_blob(b"hello")
    await core.push_blob(b"hello", IN_BETA)
    the_file(files).unlink()
    with pytest.raises(BlobUnknown):
        await core.blobs.vouch(ALPHA, HELLO)

    await core.push_blob(b"hello", replace(ALICE, repository=RepositoryName("gamma")))

    assert [await core.read(HELLO, repository) for repository in (ALPHA, BETA)] == [b"hello", b"hello"]


async def test_a_bad_copy_is_not_mounted(core_on_files: Core, files: FilesystemStore) -> None:
    core = core_on_files
    await core.push_blob(b"hello")
    the_file(files).unlink()
    with pytest.raises(BlobUnknown):
        await core.blobs.vouch(ALPHA, HELLO)

    assert await core.blobs.mount(BETA, HELLO, source=ALPHA, choose=first, create=True) is False
    assert await core.blobs.mount(BETA, HELLO, source=None, choose=first, create=True) is False


async def test_a_repaired_blob_is_held_by_the_manifests_that_name_it(
    core_on_files: Core, files: FilesystemStore
) -> None:
    core = core_on_files
    await core.push_blob(b"hello")
    await core.push(parsed(image(layers=[], config_bytes=b"hello")))
    the_file(files).unlink()
    with pytest.raises(BlobUnknown):
        await core.blobs.vouch(ALPHA, HELLO)

    await core.push_blob(b"hello", IN_BETA)

    assert {repository for _, repository, _ in await core.database.read(candidates)} == {0, 2}


async def test_a_push_of_what_went_missing_stores_it_again(core: Core) -> None:
    """A client that did not ask first is not told that bytes are there which nobody has."""
    await core.push_blob(b"hello")
    assert isinstance(core.store, MemoryStore)
    core.store._contents.copies.clear()

    await core.push_blob(b"hello", IN_BETA)

    assert await core.read(HELLO, BETA) == b"hello"
    assert await core.read(HELLO) == b"hello"


async def test_a_copy_that_is_recorded_again_stays(core: Core) -> None:
    """A client that heard no answer may close its upload a second time, where the activity database lost the first."""
    digest = await core.push_blob(b"hello")
    served = await core.database.read(lambda c: find_stored_copy(c, str(digest), ""))
    assert served is not None

    assert await core.blobs.record(BETA, digest, StoredCopy(served.storage_key, 5), create=True)

    assert await core.read(digest, BETA) == b"hello"
