"""The store around a store: what is staged in it is sealed, what is read from it was checked.

- A domain is chosen with `within`. Copies are read whatever domain they are in, and plain ones as they are: what was
  kept before encryption was turned on is served.
- It offers no plain files and no URLs of the inner store, so that nobody is sent sealed bytes.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast
from weakref import WeakSet

from storage.blobs.copying import copy_into
from storage.blobs.encrypted.beginning import Beginning, beginning
from storage.blobs.encrypted.reading import SealedCopies, SealedFile, open_span
from storage.blobs.encrypted.writer import EncryptedWriter, SealAnew, Tools
from storage.blobs.interface import (
    BlobStore,
    BlobWriter,
    BlockingReader,
    Expected,
    LocalFiles,
    Opening,
    Span,
    StoredCopy,
    StoredObject,
)
from storage.digest import Algorithm, Digest
from storage.encryption.header import Layout
from storage.encryption.keys import DomainKey
from storage.encryption.opening import OpeningHasher
from storage.encryption.whole import key_of
from storage.errors import StagedBytesBusy, StoredBytesMissing, StoreUnavailable
from storage.sealed_uploads import SealedUpload

_IDLE_SECONDS: Final = 1.0
_CUTS: Final = 3
_PLAIN_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Held:
    """What was found of an upload once nobody else could write it."""

    at: Beginning
    record: SealedUpload | None
    key: DomainKey

    async def writer(
        self, tools: Tools, upload_id: str, algorithm: Algorithm, inner: BlobWriter, seal_anew: SealAnew
    ) -> EncryptedWriter:
        """The writer that goes on with it."""
        writer = EncryptedWriter(tools, upload_id, algorithm, self.key, inner, seal_anew)
        record = self.record
        is_marked = record is not None and bool(self.at.mark) and inner.mark == record.inner_mark
        await writer.go_on(self.at, None if record is None else record.mark, is_marked=is_marked)
        return writer


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
        if copy is not None and span.end > copy.trailer.size:
            raise StoredBytesMissing(key)
        if copy is not None and not span.length:
            return
        if copy is None:
            chunks = self._inner.read(key, span, expected=expected)
        else:
            chunks = open_span(self._inner, key, copy, span, self._tools.executor)
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
        record = await self._tools.records.find(upload_id)
        if not self._domain and record is None:
            async with self._inner.stage(upload_id, algorithm, self._plain(upload_id, committed)) as plain:
                yield plain
            return
        async with self._held(upload_id, algorithm, committed) as writer:
            self._shared.writers.add(writer)
            try:
                yield writer
            finally:
                if writer.is_open:
                    await writer.close()

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
        """What was promised of an upload that nobody began to seal meanwhile."""

        async def promised() -> int:
            if await self._tools.records.find(upload_id) is not None:
                raise StagedBytesBusy(upload_id)
            return await committed()

        return promised

    @asynccontextmanager
    async def _held(
        self, upload_id: str, algorithm: Algorithm, committed: Callable[[], Awaitable[int]]
    ) -> AsyncGenerator[EncryptedWriter, None]:
        """A writer that stands where the inner store was cut.

        Where that holds fewer bytes than the record tells of, it is asked to cut once more, at the end of a segment.
        """
        held: _Held | None = None
        most: int | None = None

        async def cut() -> int:
            nonlocal held
            promised = await committed()
            record = await self._tools.records.find(upload_id)
            at = beginning(record, promised, self._layout, most_sealed=most)
            held = _Held(at, record, await self._key(record))
            return held.at.sealed_bytes

        for attempt in range(1, _CUTS + 1):
            async with self._inner.stage(
                upload_id, algorithm, cut, opening=lambda algorithm: OpeningHasher(_there(held).key, algorithm)
            ) as inner:
                found = _there(held)
                if inner.offset == found.at.sealed_bytes:
                    yield await found.writer(self._tools, upload_id, algorithm, inner, self._sealed_anew)
                    return
                most = inner.offset if attempt + 1 < _CUTS else 0
        message = f"upload {upload_id} cannot be gone on with: start it over"
        raise StoreUnavailable(message)

    async def _key(self, record: SealedUpload | None) -> DomainKey:
        """The key to seal an upload with: that of its first bytes, once there are any."""
        sealed = None if record is None else record.header or record.latest.tail
        return await (self._tools.keys.current(self._domain) if sealed is None else key_of(self._tools.keys, sealed))

    async def _sealed_anew(self, copy: StoredCopy, digest: Digest) -> StoredCopy:
        """Put a copy with a header of its own in the place of one."""
        expected = Expected(copy.size, digest, copy.domain)
        try:
            return await copy_into(self.within(copy.domain), self, copy.key, expected, upload_id=str(uuid.uuid4()))
        finally:
            await self.delete(copy.key)


class LocalEncryptedStore(EncryptedStore):
    """One around a store of plain files, whose copies worker threads can read by themselves (BlockingReads)."""

    async def open_reader(self, key: str, *, expected: Expected | None = None) -> BlockingReader:
        """Open a stored copy for worker threads; raises what `read` raises before its first chunk."""
        copy = await self._copies.open(key, expected)
        if copy is None:
            await self._inner.size(key, expected=expected)
        files = cast("LocalFiles", self._inner)  # `encrypted` sees to it
        descriptor = await asyncio.get_running_loop().run_in_executor(self._tools.executor, files.open, key)
        return _PlainReader(descriptor, key) if copy is None else SealedFile(descriptor, copy)


class _PlainReader:
    """A plain copy that is a file, for worker threads."""

    def __init__(self, descriptor: int, key: str) -> None:
        self._descriptor = descriptor
        self._key = key

    def read(self, offset: int, end: int) -> memoryview:
        """Some of the bytes."""
        piece = os.pread(self._descriptor, min(end - offset, _PLAIN_BYTES), offset)
        if not piece:
            raise StoredBytesMissing(self._key)
        return memoryview(piece)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _there(held: _Held | None) -> _Held:
    if held is None:
        raise AssertionError  # the inner store asks where to cut before it gives a writer
    return held


def encrypted(inner: BlobStore, tools: Tools, *, domain: str = "") -> EncryptedStore:
    """The store around a store."""
    kind = LocalEncryptedStore if isinstance(inner, LocalFiles) else EncryptedStore
    return kind(inner, tools, domain=domain)
