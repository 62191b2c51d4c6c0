"""What every blob store promises of bytes that a thread takes, and of hashes that writers leave to each other."""

import pytest

from storage.blobs.interface import BlobStore
from storage.digest import Algorithm, Digest
from tests.contracts.blob_access import UPLOAD, at, read, write_taken

HELLO = Digest.of(b"hello")


@pytest.mark.parametrize("before", [b"", b"some bytes before", bytes(300_000)])
async def test_what_a_thread_takes_is_written_in_order(store: BlobStore, before: bytes) -> None:
    """A store whose writer works on a thread lets it take the bytes itself, in a buffer that is used again."""
    pieces = [bytes([number]) * size for number, size in enumerate([1, 262_143, 262_144, 1, 700_000, 64])]
    content = before + b"".join(pieces) + b"after"

    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        if writer.write_from is None:
            return
        await writer.write([before])
        await write_taken(writer, pieces)
        assert writer.offset == len(content) - 5
        await write_taken(writer, [])
        await writer.write([b"after"])
        assert writer.digest in {None, Digest.of(content)}
        copy = await writer.commit(Digest.of(content))

    assert await read(store, copy.key, 0, len(content)) == content


async def test_what_was_taken_is_kept_like_the_rest(store: BlobStore) -> None:
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        if writer.write_from is None:
            return
        await write_taken(writer, [bytes(300_000), b"end"])
        await writer.keep()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(300_003)) as writer:
        assert writer.offset == 300_003
        copy = await writer.commit(Digest.of(bytes(300_000) + b"end"))

    assert await read(store, copy.key, 299_999, 4) == b"\0end"


async def test_a_writer_may_know_the_digest_of_what_the_one_before_it_wrote(store: BlobStore) -> None:
    """Where that one left its hash; each goes on with one of its own."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"he"])
        await writer.keep()
        writer.remember()
        await writer.write([b"avens"])

    async with store.stage(UPLOAD, Algorithm.SHA256, at(2)) as writer:
        assert writer.digest in {None, Digest.of(b"he")}
        await writer.write([b"llo"])
        assert writer.digest in {None, HELLO}
        assert (await writer.commit(HELLO)).size == 5


async def test_what_was_left_of_other_bytes_counts_for_nothing(store: BlobStore) -> None:
    """Somebody started the upload over."""
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hes"])
        await writer.keep()
        writer.remember()
    async with store.stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hel"])
        await writer.keep()

    async with store.stage(UPLOAD, Algorithm.SHA256, at(3)) as writer:
        await writer.write([b"lo"])
        assert writer.digest in {None, HELLO}
        await writer.commit(HELLO)
