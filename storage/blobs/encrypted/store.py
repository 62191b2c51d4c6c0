"""The store around a store: what is staged in it is sealed, what is read from it was checked.

- A domain is chosen with `within`. Copies are read whatever domain they are in, and plain ones as they are: what was
  kept before encryption was turned on is served.
- It offers no plain files and no URLs of the inner store, so that nobody is sent sealed bytes.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, cast
from weakref import WeakSet

from storage.blobs.copying import copy_into
from storage.blobs.encrypted.beginning import Beginning, beginning
from storage.blobs.encrypted.reading import SealedCopies, SealedCopy, SealedFile, open_span
from storage.blobs.encrypted.recording import Recording
from storage.blobs.encrypted.writer import EncryptedWriter, Tools, Upload
from storage.blobs.file_reader import FileReader, open_file
from storage.blobs.interface import (
    BeginsLate,
    BlobStore,
    BlobWriter,
    BlockingReader,
    Expected,
    LocalFiles,
    Opening,
    Span,
    Stamp,
    StoredCopy,
    StoredObject,
    StoresAtOnce,
    offers,
)
from storage.digest import Algorithm, Digest
from storage.encryption.header import Layout
from storage.encryption.keys import DomainKey
from storage.encryption.opening import OpeningHasher
from storage.encryption.whole import key_of, seal_whole
from storage.errors import StagedBytesBusy, StorageError, StoredBytesMissing, StoreUnavailable

_IDLE_SECONDS: Final = 1.0
_CUTS: Final = 5


class _IsSealed(Exception):
    """What is staged was begun in a domain."""


class _Holding:
    """What is found of an upload once nobody else can write it, and the key that it is sealed with.

    `domain` is the one to begin in, where nothing was sealed yet.
    """

    def __init__(self, tools: Tools, upload_id: str, domain: str) -> None:
        self._tools = tools
        self._upload_id = upload_id
        self._domain = domain
        self._mark: str | None = None
        self._most_sealed: int | None = None
        self._key: DomainKey | None = None
        self._recording: Recording | None = None
        self.at = Beginning()

    async def look(self, promised: int) -> int:
        """Find where to begin; returns where the inner store is to be cut."""
        record = await self._tools.records.find(self._upload_id)
        mark = None if record is None else record.mark
        if mark != self._mark:  # what the inner store had before another writer came says nothing
            self._most_sealed = None
        self._mark = mark
        self.at = beginning(record, promised, Layout(self._tools.segment_bits), self._most_sealed)
        return self.at.sealed_bytes

    def fits(self, sealed_bytes: int, *, is_last_but_one: bool) -> bool:
        """Whether the inner store was cut there; where not, the next look is for what it can have."""
        self._most_sealed = 0 if is_last_but_one else sealed_bytes
        return sealed_bytes == self.at.sealed_bytes

    async def recording(self, inner: BlobWriter) -> Recording:
        """The record, as a writer begins with it."""
        at = self.at
        is_marked = at.is_marked and (not at.segments or inner.mark == at.inner_mark)
        self._recording = Recording(self._tools.records, self._upload_id, self._tools.new_mark, self._mark)
        await self._recording.begin(replace(at, is_marked=is_marked))
        return self._recording

    async def key(self) -> DomainKey:
        """The key to seal with: that of the bytes to go on with, if there are any."""
        if self._key is None:
            self._key = await self._found_key()
        return self._key

    def opening(self, algorithm: Algorithm) -> OpeningHasher:
        """What reads the object that was sealed."""
        if self._key is None:
            raise AssertionError  # there is no object yet
        return OpeningHasher(self._key, algorithm)

    async def _found_key(self) -> DomainKey:
        keys, header = self._tools.keys, self.at.header
        if header is not None:
            return await keys.of(header.domain_id, header.key_version)
        tail = await self._recording.tail() if self._recording is not None and self.at.offset else None
        if tail is not None:
            return await key_of(keys, tail)
        if not self._domain:
            raise StoreUnavailable("nothing is left of the upload: start it over")
        return await keys.current(self._domain)


class _Shared:
    """What all views of one store have in common."""

    def __init__(self, inner: BlobStore, tools: Tools) -> None:
        self.copies = SealedCopies(inner, tools.keys, Layout(tools.segment_bits))
        self.writers: WeakSet[EncryptedWriter] = WeakSet()
        tools.budget.when_short(self._press)

    def _press(self) -> None:
        before = asyncio.get_running_loop().time() - _IDLE_SECONDS
        for writer in self.writers:
            writer.free_if_idle(before)


class EncryptedStore:
    """A BlobStore (Domains) around another, which seals in one domain, or keeps plain what is staged in none."""

    def __init__(self, inner: BlobStore, tools: Tools, *, domain: str = "", shared: "_Shared | None" = None) -> None:
        self._inner = inner
        self._tools = tools
        self._domain = domain
        self._shared = shared or _Shared(inner, tools)
        self._copies = self._shared.copies
        self._layout = Layout(tools.segment_bits)

    def within(self, domain: str) -> BlobStore:
        """The same store, where whatever is staged is sealed in this domain; `""` keeps it plain."""
        return type(self)(self._inner, self._tools, domain=domain, shared=self._shared)

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        """How many bytes a stored copy is a copy of; raises StoredBytesMissing."""
        if (
            expected is not None
            and expected.domain
            and await self._inner.size(key) == self._layout.length(expected.size)
        ):
            return expected.size
        copy = await self._copies.open(key, expected)
        return await self._inner.size(key, expected=expected) if copy is None else copy.trailer.size

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        """Stream a span of a stored copy in chunks of at most a segment."""
        copy = await self._copies.open(key, expected)
        if copy is None:
            chunks = self._inner.read(key, span, expected=expected)
        elif span.end > copy.trailer.size:
            raise StoredBytesMissing(key)
        else:
            chunks = open_span(self._inner, key, copy, span, self._tools.executor)
        with self._copies.forgetting(key):
            async with aclosing(chunks) as stream:
                async for chunk in stream:
                    yield chunk

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,  # noqa: ARG002  what is sealed here is not sealed before
    ) -> AsyncGenerator[BlobWriter, None]:
        """Hold the staged bytes of an upload; one that was begun in a domain is gone on with in it."""
        if not self._domain:
            with suppress(_IsSealed):
                async with self._inner.stage(upload_id, algorithm, self._plain(upload_id, committed)) as plain:
                    yield plain
                    return
        async with self._held(upload_id, algorithm, committed) as writer:
            self._shared.writers.add(writer)
            try:
                yield writer
            finally:
                await writer.close()

    def begin(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AbstractAsyncContextManager[BlobWriter]:
        """Hold the staged bytes of an upload; of one that is or was sealed, before the first write.

        Its record is the one writer's, which nobody else must change meanwhile.
        """
        if self._domain:
            return self.stage(upload_id, algorithm, committed)
        return self._begun_plain(upload_id, algorithm, committed)

    @asynccontextmanager
    async def _begun_plain(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AsyncGenerator[BlobWriter, None]:
        inner = self._inner
        hold: Callable[..., AbstractAsyncContextManager[BlobWriter]] = self.stage
        if offers(inner, BeginsLate) and not await self._tools.records.have(upload_id):
            hold = inner.begin
        async with hold(upload_id, algorithm, committed) as writer:
            yield writer

    async def store(
        self, upload_id: str, content: Sequence[bytes], digest: Digest, *, known: Digest | None = None
    ) -> StoredCopy | None:
        """Seal a short upload and have the inner store commit it, where that can; None where it takes more than that.

        Measured: to hash and to seal 64 KiB takes less of the event loop than to have a thread do it.
        """
        inner = self._inner
        if not offers(inner, StoresAtOnce):
            return None
        if not self._domain:
            return await inner.store(upload_id, content, digest, known=known)
        if known != digest:
            digest.require(content)
        plain = b"".join(content)
        key = await self._tools.keys.current(self._domain)
        sealed = seal_whole(key, plain, digest, segment_bits=self._tools.segment_bits)
        copy = await inner.store(upload_id, [sealed], digest, known=digest)
        return None if copy is None else StoredCopy(copy.key, len(plain), key.domain, key.version)

    async def delete(self, key: str) -> None:
        """Remove a stored copy; succeeds when there is none."""
        self._copies.forget(key)
        await self._inner.delete(key)

    async def walk(self) -> AsyncGenerator[StoredObject, None]:
        """Every staged upload, then every stored copy; sizes are what they take in the inner store."""
        async for record in self._tools.records.all():
            yield StoredObject(None, record.upload_id, record.size, record.touched_at)
        async with aclosing(self._inner.walk()) as found:
            async for stored in found:
                if stored.upload_id is None or not await self._tools.records.have(stored.upload_id):
                    yield stored

    def _plain(self, upload_id: str, committed: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        """What was promised of an upload that nobody began to seal; raises _IsSealed for one that somebody did."""

        async def promised() -> int:
            if await self._tools.records.have(upload_id):
                raise _IsSealed
            return await committed()

        return promised

    @asynccontextmanager
    async def _held(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AsyncGenerator[EncryptedWriter, None]:
        """A writer that stands where the inner store was cut.

        Where that holds fewer bytes than the record tells of, it is asked to cut once more, at the end of a segment.
        """
        holding = _Holding(self._tools, upload_id, self._domain)

        async def cut() -> int:
            return await holding.look(await committed())

        for attempt in range(1, _CUTS + 1):
            async with self._inner.stage(upload_id, algorithm, cut, opening=holding.opening) as inner:
                if holding.fits(inner.offset, is_last_but_one=attempt + 1 == _CUTS):
                    upload = Upload(upload_id, algorithm, holding.key, self._sealed_anew)
                    yield EncryptedWriter(self._tools, upload, inner, await holding.recording(inner), holding.at)
                    return
        raise StagedBytesBusy(upload_id)  # others came between, each time

    async def _sealed_anew(self, copy: StoredCopy, digest: Digest) -> StoredCopy:
        """Put a copy with a header of its own in the place of one."""
        expected = Expected(copy.size, digest, copy.domain)
        try:
            return await copy_into(self.within(copy.domain), self, copy.key, expected, upload_id=str(uuid.uuid4()))
        finally:
            with suppress(StorageError):  # nothing names it
                await self.delete(copy.key)


class LocalEncryptedStore(EncryptedStore):
    """One around a store of plain files, whose copies worker threads can read by themselves (BlockingReads)."""

    async def open_reader(self, key: str, *, expected: Expected | None = None) -> BlockingReader:
        """Open a stored copy for worker threads; raises what `read` raises before its first chunk."""
        copy = await self._copies.open(key, expected)
        if copy is None:
            await self._inner.size(key, expected=expected)
        return FileReader(key, self._files.open(key)) if copy is None else self._sealed_file(key, copy)

    def look_now(self, key: str, expected: Expected) -> None:
        """See that a copy is there, sealed in segments of the usual length; raises StoredBytesMissing."""
        os.close(open_file(self._files, key, self._layout.length(expected.size)))

    async def stamp_now(self, key: str, expected: Expected) -> Stamp | None:
        """What is another whenever the file of a sealed copy that is remembered was touched."""
        return None if await self._copies.known(key, expected) is None else self._files.stamp(key)

    async def reader_now(self, key: str, expected: Expected) -> BlockingReader | None:
        """Open a sealed copy that is remembered."""
        copy = await self._copies.known(key, expected)
        return None if copy is None else self._sealed_file(key, copy)

    def _sealed_file(self, key: str, copy: SealedCopy) -> SealedFile:
        return SealedFile(self._files.open(key), copy, lambda: self._copies.forgetting(key))

    @property
    def _files(self) -> LocalFiles:
        return cast("LocalFiles", self._inner)  # `encrypted` sees to it


def encrypted(inner: BlobStore, tools: Tools, *, domain: str = "") -> EncryptedStore:
    """The store around a store."""
    kind = LocalEncryptedStore if isinstance(inner, LocalFiles) else EncryptedStore
    return kind(inner, tools, domain=domain)
