"""What every blob store promises about uploads, as tests that take an empty `store` (or `make_store`)."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from storage.blobs.interface import BlobStore
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, StagedBytesBusy
from tests.contracts.blob_access import OTHER_UPLOAD, UPLOAD, at, push, read, stage, walk
from tests.contracts.upload_machine import UploadMachine

HELLO = Digest.parse("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")


async def test_many_chunks_are_written_in_order(store: BlobStore) -> None:
    """A write takes any number of chunks, of any size, empty ones included."""
    chunks = [b"%d," % number for number in range(3000)] + [b"", bytes(2_000_000), b"end"]
    content = b"".join(chunks)

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write(chunks)
        copy = await writer.commit(Digest.of(content))

    assert await read(store, copy.key, 0, len(content)) == content


async def test_offset_counts_what_is_staged(store: BlobStore) -> None:
    """The offset is that of the next byte."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"he", b"l"])
        await writer.write([])
        await writer.write([b"lo"])

        assert writer.offset == 5


async def test_a_digest_that_the_writer_knows_is_right(store: BlobStore) -> None:
    """A writer may not know the digest of what is staged, but it never tells a wrong one."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.write([b"lo"])

        assert writer.digest in {None, HELLO}


async def test_a_continued_writer_knows_no_wrong_digest(store: BlobStore) -> None:
    """A writer that did not see every byte does not tell the digest of those it saw."""
    await stage(store, b"hel")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])

        assert writer.digest in {None, HELLO}


async def test_keep_keeps_all_that_was_written(store: BlobStore) -> None:
    """What is promised to a client is kept first."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.keep()

        assert (writer.kept, writer.offset) == (3, 3)


async def test_no_more_is_kept_than_was_written(store: BlobStore) -> None:
    """A writer never promises bytes that it does not have."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])

        assert writer.kept in range(4)


async def test_a_mark_names_the_bytes_that_it_was_given_for(store: BlobStore) -> None:
    """Other bytes at the same offset have another mark, wherever a mark is given at all."""
    marks = []
    for content in (b"hel", b"HEL"):
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([content])
            await writer.keep()
            marks.append(writer.mark)

    assert marks[0] != marks[1] or marks == ["", ""]


async def test_a_mark_stays_with_the_bytes(store: BlobStore) -> None:
    """The next writer finds the mark of what it takes over, and loses it with the next byte."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.keep()
        mark = writer.mark

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.mark == mark
        await writer.write([b"lo"])
        assert writer.mark != mark or not mark


async def test_an_upload_continues_where_it_stopped(store: BlobStore) -> None:
    """Leaving a writer without commit or abort leaves what was kept to the next."""
    await stage(store, b"hel")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_a_failed_request_keeps_what_it_staged(store: BlobStore) -> None:
    """A connection that breaks mid-chunk does not cost the bytes that arrived."""

    async def break_off() -> None:
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"hel"])
            await writer.keep()
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await break_off()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3


async def test_bytes_past_the_committed_offset_are_cut_off(store: BlobStore) -> None:
    """Bytes that were never acknowledged are sent again, so they are cut first."""
    await stage(store, b"helXXXXX")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_an_offset_past_the_end_is_not_believed(store: BlobStore) -> None:
    """The writer's offset is the truth: a power cut may have cost bytes."""
    await stage(store, b"hel")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(5)) as writer:
        assert writer.offset == 3


async def test_continuing_at_zero_starts_over(store: BlobStore) -> None:
    """Offset 0 is an offset like any other."""
    await stage(store, b"other")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

    assert copy.size == 5


async def test_a_push_starts_an_abandoned_upload_over(store: BlobStore) -> None:
    """The first bytes of an upload may be sent again after a lost connection."""
    await stage(store, b"something longer")

    copy = await push(store, b"hello")

    assert await read(store, copy.key, 0, 5) == b"hello"


@pytest.mark.parametrize("offset", [0, 3])
async def test_an_unknown_upload_is_empty(store: BlobStore, offset: int) -> None:
    """An upload has no bytes at first, or after a power cut took them all."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(offset)) as writer:
        assert writer.offset == 0

        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


@pytest.mark.parametrize("offset", [0, 5])
async def test_a_committed_upload_is_empty_again(store: BlobStore, offset: int) -> None:
    """A stored copy can never be changed through the upload it came from."""
    copy = await push(store, b"hello")

    async with store.stage(UPLOAD, Algorithm.SHA256, at(offset)) as writer:
        assert writer.offset == 0
        await writer.write([b"other bytes"])
        await writer.keep()

    assert await read(store, copy.key, 0, 5) == b"hello"
    assert await walk(store) == {(copy.key, None, 5), (None, UPLOAD, 11)}


async def test_committed_is_asked_while_nobody_else_can_write(store: BlobStore) -> None:
    """A look-up that another writer could make stale would cut bytes that writer was promised."""
    await stage(store, b"helXX")

    async def committed() -> int:
        with pytest.raises(StagedBytesBusy):
            await stage(store, b"other")
        return 3

    async with store.stage(UPLOAD, Algorithm.SHA256, committed) as writer:
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_a_refused_writer_is_not_asked_what_is_committed(store: BlobStore) -> None:
    """While another writer is at it, no answer would be the truth for long."""
    asked: list[str] = []

    async def committed() -> int:
        asked.append(UPLOAD)
        return 0

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)):
        with pytest.raises(StagedBytesBusy):
            async with store.stage(UPLOAD, Algorithm.SHA256, committed):
                pass

    assert asked == []


async def test_a_failed_look_up_releases_the_upload(store: BlobStore) -> None:
    """When nobody can tell what is committed, nothing is cut, and the next writer can ask again."""
    await stage(store, b"hel")

    async def committed() -> int:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with store.stage(UPLOAD, Algorithm.SHA256, committed):
            pass

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)
    assert await walk(store) == {(copy.key, None, 5)}


async def test_a_cancelled_look_up_releases_the_upload(store: BlobStore) -> None:
    """A request that is cancelled while it waits for the database lets the next one continue."""
    await stage(store, b"hel")
    is_asked = asyncio.Event()

    async def committed() -> int:
        is_asked.set()
        await asyncio.Event().wait()
        return 0

    async def wait() -> None:
        async with store.stage(UPLOAD, Algorithm.SHA256, committed):
            pass

    task = asyncio.create_task(wait())
    await is_asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3


async def test_abort_frees_the_staged_bytes(store: BlobStore) -> None:
    """An aborted upload keeps nothing."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        await writer.abort()

        assert await walk(store) == set()


async def test_abort_after_commit_keeps_the_copy(store: BlobStore) -> None:
    """Whoever gives up late, for a reason of its own, need not know how far the writer came."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        copy = await writer.commit(HELLO)

        await writer.abort()

    assert await walk(store) == {(copy.key, None, 5)}


async def test_abort_after_a_commit_that_was_refused_does_nothing(store: BlobStore) -> None:
    """The staged bytes are gone already."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hellO"])
        with pytest.raises(DigestMismatch):
            await writer.commit(HELLO)

        await writer.abort()

    assert await walk(store) == set()


async def test_aborting_twice_does_nothing_to_the_next_writer(store: BlobStore) -> None:
    """An upload that begins again is not its former writer's to drop."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.abort()
        await stage(store, b"hello")

        await writer.abort()

    assert await walk(store) == {(None, UPLOAD, 5)}


async def test_an_aborted_upload_can_begin_again(store: BlobStore) -> None:
    """Abort lets go of the upload at once."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.abort()

        copy = await push(store, b"hello")

    assert await walk(store) == {(copy.key, None, 5)}


@pytest.mark.parametrize("offset", [0, 3])
async def test_a_second_writer_is_refused(store: BlobStore, offset: int) -> None:
    """Staged bytes have one writer at a time, wherever the second would go on."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])

        with pytest.raises(StagedBytesBusy):
            async with store.stage(UPLOAD, Algorithm.SHA256, at(offset)):
                pass


async def test_a_refused_writer_changes_nothing(store: BlobStore) -> None:
    """The writer that holds an upload is not disturbed by others that try."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        with pytest.raises(StagedBytesBusy):
            await stage(store, b"other")
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(store, copy.key, 0, 5) == b"hello"


async def test_uploads_do_not_hinder_each_other(store: BlobStore) -> None:
    """Only writers of the same upload exclude each other."""
    async with (
        store.stage(UPLOAD, Algorithm.SHA256, at(0)) as first,
        store.stage(OTHER_UPLOAD, Algorithm.SHA256, at(0)) as second,
    ):
        await first.write([b"hel"])
        await second.write([b"other"])
        await second.keep()
        await first.write([b"lo"])
        copy = await first.commit(HELLO)

    assert await walk(store) == {(copy.key, None, 5), (None, OTHER_UPLOAD, 5)}


async def test_a_cancelled_write_releases_the_upload(store: BlobStore) -> None:
    """A request that is cancelled lets the next one continue."""
    is_writing = asyncio.Event()

    async def write() -> None:
        async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            is_writing.set()
            while True:
                await writer.write([bytes(1024 * 1024)])
                await asyncio.sleep(0)

    task = asyncio.create_task(write())
    await is_writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    copy = await push(store, b"hello")

    assert await walk(store) == {(copy.key, None, 5)}


def test_uploads_agree_with_a_model(make_store: Callable[[], BlobStore]) -> None:
    """Whatever order of begin, write, keep, suspend, resume, commit, abort and delete, no byte is lost or moved."""
    run_state_machine_as_test(
        lambda: UploadMachine(make_store()),  # type: ignore[arg-type]  # documented: a factory is as good as a class
        settings=settings(max_examples=20, stateful_step_count=25, deadline=None),
    )
