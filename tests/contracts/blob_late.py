"""What every blob store that lets the first write look for staged bytes promises, as tests that take one, empty."""

import asyncio
from typing import Protocol

import pytest

from storage.blobs.interface import BeginsLate, BlobStore, Domains, offers
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch, StagedBytesBusy
from tests.contracts.blob_access import UPLOAD, at, push, read, stage

HELLO = Digest.of(b"hello")


class LateStore(BlobStore, BeginsLate, Protocol):
    """A store whose writers need not look before they write."""


@pytest.fixture(params=["as it is", "plain"])
def late(request: pytest.FixtureRequest, store: BlobStore) -> LateStore:
    """The store, where its writers need not look before they write; and one that seals, where it does not."""
    if not offers(store, BeginsLate):
        pytest.skip("its writers look first")
    if request.param == "as it is":
        return store  # type: ignore[return-value]  # it offers both
    if not offers(store, Domains):
        pytest.skip("it never seals")
    return store.within("")  # type: ignore[return-value]  # it offers both


async def uploads_in(store: BlobStore) -> set[str | None]:
    """Uploads that something is staged of, and None where there is a copy."""
    return {found.upload_id async for found in store.walk()}


async def test_what_a_late_writer_wrote_is_committed(late: LateStore) -> None:
    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        assert writer.offset == 0
        await writer.write([b"hel"])
        await writer.write([b"lo"])
        assert (writer.offset, writer.digest) == (5, HELLO)
        copy = await writer.commit(HELLO)

    assert await read(late, copy.key, 0, 5) == b"hello"
    assert await uploads_in(late) == {None}


async def test_what_a_late_writer_kept_is_gone_on_with(late: LateStore) -> None:
    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.keep()
        writer.remember()

    async with late.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(late, copy.key, 0, 5) == b"hello"


async def test_nothing_can_be_committed_late_either(late: LateStore) -> None:
    """A blob of no bytes is a blob, and others are not."""
    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        copy = await writer.commit(Digest.of(b""))

    assert copy.size == 0
    with pytest.raises(DigestMismatch):
        async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
            await writer.commit(HELLO)


async def test_a_late_writer_disturbs_no_other(late: LateStore) -> None:
    """It is told, and the other goes on."""
    async with late.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])

        with pytest.raises(StagedBytesBusy):
            async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as other:
                await other.write([b"HELLO"])

        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)

    assert await read(late, copy.key, 0, 5) == b"hello"


@pytest.mark.parametrize("first", ["write", "keep"])
async def test_a_late_writer_keeps_others_out_from_its_first_write_on(late: LateStore, first: str) -> None:
    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await (writer.write([b"hello"]) if first == "write" else writer.keep())

        with pytest.raises(StagedBytesBusy):
            async with late.stage(UPLOAD, Algorithm.SHA256, at(0)):
                pytest.fail("two write")


async def test_of_late_writers_one_writes(late: LateStore) -> None:
    """Whoever is first."""

    async def append(content: bytes) -> bytes | None:
        try:
            async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
                await writer.write([content])
                await asyncio.sleep(0.1)
                await writer.commit(Digest.of(content))
        except StagedBytesBusy:
            return None
        return content

    written = await asyncio.gather(*(append(b"%d" % number) for number in range(5)))

    assert len([content for content in written if content is not None]) == 1


async def test_a_late_writer_cuts_off_what_nobody_was_promised(late: LateStore) -> None:
    """What a writer left that was killed is sent again."""
    await stage(late, b"something longer")

    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.write([b"lo"])
        assert writer.digest == HELLO
        copy = await writer.commit(HELLO)

    assert await read(late, copy.key, 0, 5) == b"hello"


async def test_an_empty_blob_is_not_what_was_left_before(late: LateStore) -> None:
    await stage(late, b"something")

    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        copy = await writer.commit(Digest.of(b""))

    assert copy.size == 0


async def test_a_late_writer_leaves_alone_what_was_promised_meanwhile(late: LateStore) -> None:
    """Another writer came and went since the look-up: its bytes are there, and are gone on with."""
    async with late.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.keep()

    async def outrun() -> None:
        async with late.begin(UPLOAD, Algorithm.SHA256, at(3)) as writer:
            if writer.offset:
                raise StagedBytesBusy(UPLOAD)  # one that looked first has seen them
            await writer.write([b"HELLO"])

    with pytest.raises(StagedBytesBusy):
        await outrun()

    async with late.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        assert writer.offset == 3
        await writer.write([b"lo"])
        copy = await writer.commit(HELLO)
    assert await read(late, copy.key, 0, 5) == b"hello"


async def test_a_late_writer_that_aborts_leaves_nothing_of_anybody(late: LateStore) -> None:
    await stage(late, b"something")

    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.abort()
        await writer.abort()

    assert await uploads_in(late) == set()


async def test_a_late_writer_that_did_nothing_leaves_all_as_it_was(late: LateStore) -> None:
    await stage(late, b"hello")

    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)):
        pass

    assert await uploads_in(late) == {UPLOAD}


async def test_a_committed_copy_is_not_changed_by_a_late_writer(late: LateStore) -> None:
    """Neither by another one nor by that which committed it."""
    copy = await push(late, b"hello")

    async with late.begin(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"other"])
        await writer.commit(Digest.of(b"other"))
        with pytest.raises(ValueError, match="closed"):
            await writer.write([b"!"])

    assert await read(late, copy.key, 0, 5) == b"hello"
