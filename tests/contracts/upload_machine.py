"""A model of uploads that drives any blob store: staged and stored bytes as plain values."""

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from storage.blobs.interface import BlobStore, BlobWriter, Domains
from storage.digest import Algorithm, Digest
from storage.encryption.header import Layout
from storage.errors import DigestMismatch, StagedBytesBusy, StoredBytesMissing
from tests.contracts.blob_access import LAYOUT, OTHER_UPLOAD, UPLOAD, read, walk, write_taken

UPLOADS = st.sampled_from([UPLOAD, OTHER_UPLOAD])
CHUNKS = st.lists(st.binary(max_size=20), max_size=3)
NUMBERS = st.integers(min_value=0, max_value=60)


@dataclass
class Upload:
    """What was written of an upload; how much of it is kept at least, and where its last writer began."""

    written: bytes = b""
    kept: int = 0
    began: int = 0


@dataclass
class OpenWriter:
    """A writer that the model holds open."""

    writer: BlobWriter
    leave: AsyncExitStack


class UploadMachine(RuleBasedStateMachine):
    """Drives a store and a model of it: staged and stored bytes as plain values.

    Where a store does not cut anywhere, it goes back further than it was asked to, unless it was where a writer began.
    """

    def __init__(self, store: BlobStore, *, cuts_anywhere: bool = True, layout: Layout = LAYOUT) -> None:
        super().__init__()
        self.cuts_anywhere = cuts_anywhere
        self.layout = layout
        self.runner = asyncio.Runner()
        self.store = store
        self.staged: dict[str, Upload] = {}
        self.stored: dict[str, bytes] = {}
        self.writers: dict[str, OpenWriter] = {}

    def stage(self, upload_id: str, offset: int) -> None:
        """Open a writer at an offset; the store asks for it, but not while there is another writer."""
        asked: list[int] = []

        async def committed() -> int:
            asked.append(offset)
            return offset

        context = self.store.stage(upload_id, Algorithm.SHA256, committed)
        if upload_id in self.writers:
            with pytest.raises(StagedBytesBusy):
                self.enter(upload_id, context)
            assert not asked
        else:
            self.enter(upload_id, context)
            assert asked
            self.continue_at(self.staged.setdefault(upload_id, Upload()), offset, self.writers[upload_id].writer.offset)

    def continue_at(self, upload: Upload, offset: int, actual: int) -> None:
        """Compare where a writer goes on with what it may have: all that is kept, where that was an end once."""
        assert actual <= min(offset, len(upload.written))
        if offset >= upload.kept:
            assert actual >= upload.kept
        elif offset == upload.began or self.cuts_anywhere:
            assert actual == offset
        upload.written = upload.written[:actual]
        upload.kept = upload.began = actual

    def enter(self, upload_id: str, context: AbstractAsyncContextManager[BlobWriter]) -> None:
        """Open a writer and leave it open."""
        leave = AsyncExitStack()
        self.writers[upload_id] = OpenWriter(self.runner.run(leave.enter_async_context(context)), leave)

    def leave(self, upload_id: str) -> None:
        """Leave a writer's block."""
        self.runner.run(self.writers.pop(upload_id).leave.aclose())

    @rule(upload_id=UPLOADS)
    def begin(self, upload_id: str) -> None:
        """Begin an upload, or start it over, unless it is being written."""
        self.stage(upload_id, 0)

    @rule(upload_id=UPLOADS, offset=NUMBERS)
    def resume(self, upload_id: str, offset: int) -> None:
        """Continue an upload somewhere, an empty one if there is none, unless it is being written."""
        self.stage(upload_id, offset)

    @precondition(lambda self: self.writers)
    @rule(draw=st.data(), chunks=CHUNKS)
    def write(self, draw: st.DataObject, chunks: list[bytes]) -> None:
        """Append bytes."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        self.runner.run(self.writers[upload_id].writer.write(chunks))
        self.staged[upload_id].written += b"".join(chunks)

    @precondition(lambda self: self.writers)
    @rule(draw=st.data(), chunks=CHUNKS)
    def write_what_is_taken(self, draw: st.DataObject, chunks: list[bytes]) -> None:
        """Append what a thread takes, where one can; it may be given less than it asks for."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        writer, content = self.writers[upload_id].writer, b"".join(chunks)
        if writer.write_from is not None:
            self.runner.run(write_taken(writer, [chunk for chunk in chunks if chunk]))
            self.staged[upload_id].written += content

    @precondition(lambda self: self.writers)
    @rule(draw=st.data())
    def keep(self, draw: st.DataObject) -> None:
        """Have everything kept."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        writer, upload = self.writers[upload_id].writer, self.staged[upload_id]
        self.runner.run(writer.keep())
        upload.kept = len(upload.written)
        assert writer.digest in {None, Digest.of(upload.written)}
        writer.remember()

    @precondition(lambda self: self.writers)
    @rule(draw=st.data())
    def suspend(self, draw: st.DataObject) -> None:
        """Leave a writer's block without a word."""
        self.leave(draw.draw(st.sampled_from(sorted(self.writers))))

    @precondition(lambda self: self.writers)
    @rule(draw=st.data(), algorithm=st.sampled_from(Algorithm), is_known=st.booleans())
    def commit(self, draw: st.DataObject, algorithm: Algorithm, *, is_known: bool) -> None:
        """Commit with the right digest."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        content = self.staged.pop(upload_id).written
        expected = Digest.of(content, algorithm)
        known = Digest.of(content) if is_known else None
        copy = self.runner.run(self.writers[upload_id].writer.commit(expected, known=known))
        self.leave(upload_id)
        assert copy.key not in self.stored
        assert copy.size == len(content)
        self.stored[copy.key] = content

    @precondition(lambda self: self.writers)
    @rule(draw=st.data(), algorithm=st.sampled_from(Algorithm))
    def commit_wrongly(self, draw: st.DataObject, algorithm: Algorithm) -> None:
        """Commit with a digest of other bytes."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        expected = Digest.of(self.staged.pop(upload_id).written + b"!", algorithm)
        with pytest.raises(DigestMismatch):
            self.runner.run(self.writers[upload_id].writer.commit(expected))
        self.leave(upload_id)

    @precondition(lambda self: self.writers)
    @rule(draw=st.data())
    def abort(self, draw: st.DataObject) -> None:
        """Abort an upload."""
        upload_id = draw.draw(st.sampled_from(sorted(self.writers)))
        self.runner.run(self.writers[upload_id].writer.abort())
        self.leave(upload_id)
        del self.staged[upload_id]

    @precondition(lambda self: self.stored)
    @rule(draw=st.data())
    def delete(self, draw: st.DataObject) -> None:
        """Delete a stored copy."""
        key = draw.draw(st.sampled_from(sorted(self.stored)))
        self.runner.run(self.store.delete(key))
        del self.stored[key]

    @precondition(lambda self: self.stored)
    @rule(draw=st.data(), offset=NUMBERS, length=NUMBERS)
    def read(self, draw: st.DataObject, offset: int, length: int) -> None:
        """Read a span of a stored copy."""
        key = draw.draw(st.sampled_from(sorted(self.stored)))
        if offset + length > len(self.stored[key]):
            with pytest.raises(StoredBytesMissing):
                self.runner.run(read(self.store, key, offset, length))
        else:
            assert self.runner.run(read(self.store, key, offset, length)) == self.stored[key][offset : offset + length]

    @invariant()
    def writers_tell_the_truth(self) -> None:
        """Offsets and digests are those of the model."""
        for upload_id, held in self.writers.items():
            upload = self.staged[upload_id]
            assert upload.kept <= held.writer.kept <= held.writer.offset == len(upload.written)
            assert held.writer.digest in {None, Digest.of(upload.written)}

    @invariant()
    def walk_finds_what_is_there(self) -> None:
        """Exactly the model's copies and uploads are in the store."""
        found = self.runner.run(walk(self.store, self.layout))
        copies = {(key, None, len(content)) for key, content in self.stored.items()}
        sizes = {upload_id: size for _, upload_id, size in found if upload_id is not None}
        assert found == copies | {(None, upload_id, size) for upload_id, size in sizes.items()}
        assert sizes.keys() == self.staged.keys()
        if not isinstance(self.store, Domains):  # records of what is sealed change with the first byte, not at once
            assert all(upload.kept <= sizes[name] <= len(upload.written) for name, upload in self.staged.items())

    def teardown(self) -> None:
        """Leave every writer; every stored copy is whole."""
        for upload_id in list(self.writers):
            self.leave(upload_id)
        for key, content in self.stored.items():
            assert self.runner.run(read(self.store, key, 0, len(content))) == content
        self.runner.close()
