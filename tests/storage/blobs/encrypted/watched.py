"""A store to be encrypted around, which tells what was sealed, fails on demand, and forgets writers that crash."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from storage.blobs.interface import BlobWriter, Expected, Opening, Span, StoredCopy, StoredObject
from storage.blobs.memory import _Staged
from storage.digest import Algorithm, Digest
from storage.encryption.header import HEADER_BYTES, NONCE_BYTES, TRAILER_BYTES, Header, Layout

BITS = 14
LAYOUT = Layout(BITS)
SEGMENT = LAYOUT.segment
TRAILER = -1


@dataclass
class Watched:
    """A BlobStore around another."""

    inner: Any
    """Any BlobStore; its writers are left open where a crash is played."""
    failures: dict[str, BaseException] = field(default_factory=dict)
    """What the method of this name fails with, until it is taken out."""
    sealed: dict[bytes, dict[int, list[bytes]]] = field(default_factory=dict)
    """Nonces of each place in each object that was begun, by header."""
    spans: list[Span] = field(default_factory=list)
    """What was read."""
    writers: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, bytes] = field(default_factory=dict)
    """Of the objects that are being sealed, by upload."""
    step: Callable[[], Awaitable[None]] | None = None
    """What is awaited whenever anything is asked."""

    async def pass_through(self, name: str) -> None:
        """Fail, or wait, as the test says."""
        if self.step is not None:
            await self.step()
        if name in self.failures:
            raise self.failures[name]

    async def size(self, key: str, *, expected: Expected | None = None) -> int:
        await self.pass_through("size")
        size: int = await self.inner.size(key, expected=expected)
        return size

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        await self.pass_through("read")
        self.spans.append(span)
        async for chunk in self.inner.read(key, span, expected=expected):
            yield chunk

    @asynccontextmanager
    async def stage(
        self,
        upload_id: str,
        algorithm: Algorithm,
        committed: Callable[[], Awaitable[int]],
        *,
        opening: Opening | None = None,
    ) -> AsyncGenerator[BlobWriter, None]:
        await self.pass_through("stage")
        async with self.inner.stage(upload_id, algorithm, committed, opening=opening) as writer:
            self.writers[upload_id] = writer
            yield WatchedWriter(self, writer, upload_id, is_sealed=opening is not None)

    async def delete(self, key: str) -> None:
        await self.pass_through("delete")
        await self.inner.delete(key)

    async def walk(self) -> AsyncGenerator[StoredObject, None]:
        async for found in self.inner.walk():
            yield found

    def crash(self, upload_id: str) -> None:
        """Let the next writer have an upload, as a kernel does when a process is killed."""
        self.writers[upload_id].close()

    def lose(self, upload_id: str, size: int) -> None:
        """Forget so many of the last staged bytes of an upload, in memory."""
        del self.staged(upload_id)[-size:]

    def staged(self, upload_id: str) -> bytearray:
        """What is staged of an upload, in memory."""
        contents = self.inner._contents
        found: bytearray = contents.staged.setdefault(upload_id, _Staged(0.0)).content
        return found

    def change(self, key: str, by: Callable[[bytes], bytes]) -> None:
        """Do something to a stored copy, in memory."""
        copies = self.inner._contents.copies
        copies[key] = (by(copies[key][0]), copies[key][1])

    def content(self, key: str) -> bytes:
        """What is stored of a copy, in memory."""
        found: bytes = self.inner._contents.copies[key][0]
        return found

    async def is_sealed_once(self, key: str) -> bool:
        """Whether no place of a stored object was ever sealed twice with its header."""
        header = b"".join([chunk async for chunk in self.inner.read(key, Span(0, HEADER_BYTES))])
        return all(len(nonces) == 1 for nonces in self.sealed[header].values())

    def note(self, header: bytes, number: int, nonce: bytes) -> None:
        """Remember what a place in an object was sealed with."""
        self.sealed.setdefault(header, {}).setdefault(number, []).append(nonce)


class WatchedWriter:
    """A BlobWriter around another."""

    write_from = None

    def __init__(self, store: Watched, writer: BlobWriter, upload_id: str, *, is_sealed: bool) -> None:
        self._store = store
        self._is_sealed = is_sealed
        self._writer = writer
        self._upload_id = upload_id

    @property
    def offset(self) -> int:
        return self._writer.offset

    @property
    def kept(self) -> int:
        return self._writer.kept

    @property
    def keeps_chunks(self) -> bool:
        return self._writer.keeps_chunks

    @property
    def mark(self) -> str:
        return self._writer.mark

    @property
    def digest(self) -> Digest | None:
        return self._writer.digest

    async def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        if self._is_sealed:
            self._watch([bytes(chunk) for chunk in chunks])
        await self._store.pass_through("write")
        await self._writer.write(chunks)

    async def keep(self) -> None:
        await self._store.pass_through("keep")
        await self._writer.keep()

    def remember(self) -> None:
        self._writer.remember()

    async def commit(self, expected: Digest, *, known: Digest | None = None) -> StoredCopy:
        await self._store.pass_through("commit")
        return await self._writer.commit(expected, known=known)

    async def abort(self) -> None:
        await self._store.pass_through("abort")
        await self._writer.abort()

    def _watch(self, chunks: list[bytes]) -> None:
        """Note each header, segment and trailer; they come as chunks of their own."""
        headers = self._store.headers
        if self._writer.offset == 0 and len(chunks[0]) == HEADER_BYTES:
            headers[self._upload_id] = chunks.pop(0)
            place = HEADER_BYTES
        else:
            place = self._writer.offset
        header = headers[self._upload_id]
        layout = Header.parse(header).layout
        for chunk in chunks:
            is_trailer = chunk is chunks[-1] and len(chunk) == TRAILER_BYTES
            number = TRAILER if is_trailer else (place - HEADER_BYTES) // layout.sealed_segment
            self._store.note(header, number, chunk[:NONCE_BYTES])
            place += len(chunk)
