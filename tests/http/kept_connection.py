"""A client that keeps its connection, as all real ones do, and sees which answers came by a shortcut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from registry.http.connection import Connection
from registry.http.sending import SendTo
from registry.http.shortcuts import Shortcut
from tests.http.client import Registry

TAGGED: Final = "/v2/team/app/manifests/latest"
LAYER: Final = b"layer" * 100
"""What the one layer of that image holds."""

_CHANGING: Final = frozenset({"date"})


@dataclass(frozen=True)
class Reply:
    """What came back; header names are in lower case, and those that differ from answer to answer left out."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Kept:
    """One connection with the same headers at every request; `shortcuts` counts the answers that took one."""

    registry: Registry
    authorization: str | None
    shortcuts: list[bytes | SendTo] = field(default_factory=list)

    async def open(self) -> None:
        self.reader, self.writer = await self.registry.connect()

    @asynccontextmanager
    async def another(self) -> "AsyncIterator[Kept]":
        """A fresh connection with the same credentials."""
        other = Kept(self.registry, self.authorization)
        await other.open()
        try:
            yield other
        finally:
            other.writer.close()

    async def ask(self, method: str, path: str, *lines: str) -> Reply:
        self.send(self.registry.request_head(method, path, *lines, authorization=self.authorization))
        return await self.reply(is_head=method == "HEAD")

    @property
    def side(self) -> Connection:
        """The server's side of it."""
        name = self.writer.get_extra_info("sockname")
        (side,) = [each for each in self.registry.server.connections if each.peername == name]
        assert isinstance(side, Connection)
        return side

    async def rested(self) -> None:
        """Wait until the server has done with the last request: a client has the last byte of a long answer before."""
        async with asyncio.timeout(10):
            while not self.side._is_at_rest():  # noqa: ASYNC110 (it has no event for it)
                await asyncio.sleep(0)

    def send(self, sent: bytes) -> None:
        self.writer.write(sent)

    async def reply(self, *, is_head: bool = False) -> Reply:
        first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        assert (first[:7], len(headers)) == ("HTTP/1.", len(rest))
        length = 0 if is_head or first.split()[1] == "304" else int(headers.get("content-length", 0))
        body = await self.reader.readexactly(length)
        kept = {name: value for name, value in headers.items() if name not in _CHANGING}
        return Reply(int(first.split()[1]), kept, body)

    async def took(self, method: str, path: str, *lines: str) -> tuple[Reply, bool]:
        """An answer, and whether it took a shortcut."""
        before = len(self.shortcuts)
        reply = await self.ask(method, path, *lines)
        return reply, len(self.shortcuts) > before


@asynccontextmanager
async def kept(registry: Registry, authorization: str | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    """A connection that is kept while the block runs; it is the one that shortcuts are counted of."""
    connection = Kept(registry, authorization)
    answer = Shortcut.__call__

    def counted(shortcut: Shortcut, head: bytes) -> bytes | SendTo | None:
        answered = answer(shortcut, head)
        if answered is not None:
            connection.shortcuts.append(answered)
        return answered

    with monkeypatch.context() as patched:
        patched.setattr(Shortcut, "__call__", counted)
        await connection.open()
        try:
            yield connection
        finally:
            connection.writer.close()


async def settle(connection: Kept) -> None:
    """Have a request handled, so that the next ones may take shortcuts."""
    assert await connection.took("GET", TAGGED) == (await connection.ask("GET", TAGGED), False)
    assert connection.shortcuts
