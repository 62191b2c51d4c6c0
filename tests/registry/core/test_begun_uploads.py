"""Sessions whose staged file is opened by the first bytes: somebody else may be faster, and nobody is told lies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry.core.errors import BlobTooLarge, UploadBusy, UploadUnknown
from registry.core.incoming import Chunk
from registry.core.uploads import UploadLimits
from storage.blobs.disk import FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, NoSpace
from tests.contracts.blob_access import at
from tests.contracts.database_places import Place
from tests.contracts.encrypted_places import MemoryKeys
from tests.registry.core.services import ALICE, Body, Clock, Core, chunk, offset, open_core, start

HELLO = Digest.of(b"hello")
LONG = bytes(range(256)) * 300
"""More than is held in memory."""


class Full(FileOperations):
    """A disk that opens no more files once it `is_full`."""

    is_full = False

    def open(self, path: Path, flags: int) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().open(path, flags)


@pytest.fixture
def disk() -> Full:
    """The disk under the store."""
    return Full()


@pytest.fixture(params=["plain", "sealed"])
async def core(
    request: pytest.FixtureRequest, place: Place, clock: Clock, tmp_path: Path, disk: Full
) -> AsyncIterator[Core]:
    """Every service, on files."""
    root = tmp_path / "content"
    root.mkdir()
    keys = None if request.param == "plain" else MemoryKeys()
    with ThreadPoolExecutor(4) as executor:
        numbers = iter(range(1000))
        store = FilesystemStore(
            root,
            durability="full",
            reserve_bytes=0,
            new_suffix=lambda: f"{next(numbers):032x}",
            executor=executor,
            operations=disk,
        )
        limits = UploadLimits(len(LONG), 3)
        async with open_core(place, clock, store=store, keys=keys, limits=limits) as opened:
            yield opened


async def finish(core: Core, upload_id: str, last: Chunk, digest: Digest = HELLO) -> None:
    await core.uploads.finish(ALICE, upload_id, digest, last, hint=None, create=True)


async def outcome(attempt: Awaitable[object]) -> type[BaseException] | None:
    """What an attempt raised, None where it succeeded."""
    (done,) = await asyncio.gather(attempt, return_exceptions=True)
    return type(done) if isinstance(done, BaseException) else None


async def staged(core: Core) -> set[str]:
    """Uploads that something is staged of."""
    return {found.upload_id async for found in core.store.walk() if found.upload_id}


async def test_the_first_bytes_of_a_session_wait_for_nobody(core: Core) -> None:
    """Of two requests that bring them at once, one does, and what it was told stands."""
    upload_id = await start(core)
    refused: list[object] = []

    async def append_too() -> None:
        refused.append(await outcome(core.uploads.append(ALICE, upload_id, chunk(b"HEL"))))

    body = Body([b"he", b"l"], meanwhile=append_too, announced=3)
    progress = await outcome(core.uploads.append(ALICE, upload_id, Chunk(body)))

    # The second was refused both times; or it came before the first byte of the other, which was refused then.
    assert [*refused, progress].count(None) == 1
    assert await offset(core, upload_id) == 3
    await finish(core, upload_id, chunk(b"lo", 3), HELLO if progress is None else Digest.of(b"HELlo"))


async def test_bytes_that_come_with_a_stale_look_up_take_the_place_of_none(core: Core) -> None:
    """What was promised between a look-up and the first byte is kept."""
    upload_id = await start(core)

    stale = await core.uploads._sessions.find(ALICE, upload_id)
    await core.uploads.append(ALICE, upload_id, chunk(b"hel"))

    async def write_at_once() -> None:
        async with core.uploads._sessions.begun(stale) as (row, writer):
            if writer.offset:  # one that looked first goes on behind it
                raise UploadBusy(row.id, row.committed)
            await writer.write([b"HELLO"])

    with pytest.raises(UploadBusy):
        await write_at_once()

    assert await offset(core, upload_id) == 3
    await finish(core, upload_id, chunk(b"lo", 3))
    assert await core.read(HELLO) == b"hello"


async def test_bytes_of_a_session_that_is_over_by_now_are_not_kept(core: Core) -> None:
    upload_id = await start(core)

    async def be_faster() -> None:
        await finish(core, upload_id, chunk(b"hello"))

    # What is sealed is held from the look-up on, so the other one is refused, and this one goes through.
    body = Body([LONG], announced=len(LONG), meanwhile=be_faster)
    assert await outcome(core.uploads.append(ALICE, upload_id, Chunk(body))) in {UploadUnknown, UploadBusy}

    assert await staged(core) <= {upload_id}
    assert (await outcome(core.uploads.status(ALICE, upload_id)) is UploadUnknown) == (not await staged(core))


@pytest.mark.parametrize("how", ["append", "finish"])
async def test_what_a_killed_server_left_is_cut_off(core: Core, how: str) -> None:
    """Nobody was promised it."""
    upload_id = await start(core)
    async with core.store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"something longer"])

    if how == "append":
        await core.uploads.append(ALICE, upload_id, chunk(b"hello"))
        await finish(core, upload_id, chunk(b""))
        assert await core.read(HELLO) == b"hello"
    else:
        await finish(core, upload_id, chunk(LONG), Digest.of(LONG))
        assert await core.read(Digest.of(LONG)) == LONG
    assert await staged(core) == set()


async def test_a_blob_that_is_too_large_takes_with_it_what_was_left(core: Core) -> None:
    upload_id = await start(core)
    async with core.store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"something"])

    with pytest.raises(BlobTooLarge):
        await core.uploads.append(ALICE, upload_id, chunk(LONG + b"!"))

    assert await staged(core) == set()
    assert await outcome(core.uploads.status(ALICE, upload_id)) is UploadUnknown


async def test_whoever_ends_a_session_that_is_written_to_is_refused(core: Core) -> None:
    """And the one who writes loses nothing."""
    upload_id = await start(core)
    refused: list[object] = []

    async def end() -> None:
        if await staged(core):
            refused.append(await outcome(finish(core, upload_id, chunk(b""))))
            refused.append(await outcome(core.uploads.cancel(ALICE, upload_id)))

    await core.uploads.append(ALICE, upload_id, Chunk(Body([b"he", b"l"], meanwhile=end)))

    assert set(refused) == {UploadBusy}
    await finish(core, upload_id, chunk(b"lo", 3))


async def test_a_session_ends_with_its_last_bytes_though_they_are_its_first(core: Core) -> None:
    """Whoever names other bytes starts over."""
    upload_id = await start(core)

    with pytest.raises(DigestMismatch):
        await finish(core, upload_id, chunk(LONG))

    assert await staged(core) == set()
    assert await outcome(core.uploads.status(ALICE, upload_id)) is UploadUnknown


async def test_a_session_whose_file_finds_no_room_is_not_lost(core: Core, disk: Full) -> None:
    """Nothing of it takes any."""
    upload_id = await start(core)
    disk.is_full = True

    with pytest.raises(NoSpace):
        await core.uploads.append(ALICE, upload_id, chunk(b"hello"))

    disk.is_full = False
    await core.uploads.append(ALICE, upload_id, chunk(b"hello"))
    await finish(core, upload_id, chunk(b""))


async def test_of_many_that_finish_a_session_with_a_long_blob_one_does(core: Core) -> None:
    upload_id = await start(core)

    done = await asyncio.gather(*(outcome(finish(core, upload_id, chunk(LONG), Digest.of(LONG))) for _ in range(5)))

    assert done.count(None) == 1
    assert set(done) <= {None, UploadUnknown, UploadBusy}
    assert await core.read(Digest.of(LONG)) == LONG
    assert await staged(core) == set()


async def test_a_request_without_a_byte_keeps_a_session(core: Core) -> None:
    upload_id = await start(core)

    progress = await core.uploads.append(ALICE, upload_id, chunk(b""))

    assert progress.offset == 0
    await finish(core, upload_id, chunk(b"hello"))
