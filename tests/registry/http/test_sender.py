"""Answers that threads send over a socket which a transport writes to as well: neither overtakes the other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from registry.http import transfers
from registry.http.transfers import Sender, Source
from storage.blobs.interface import Span
from storage.budget import BufferBudget
from tests.registry.http.body_server import until

HEAD: Final = b"HTTP/1.1 200 OK\r\n\r\n"
CONTENT: Final = bytes(range(256)) * 300


class Memory:
    """Content that threads read."""

    piece_bytes = 1000

    def read(self, offset: int, end: int) -> memoryview:
        return memoryview(CONTENT)[offset : min(end, offset + self.piece_bytes)]

    def read_now(self, _offset: int, _end: int) -> memoryview | None:
        return None

    def close(self) -> None:
        """Nothing is open."""


class Transport(asyncio.Transport):
    """One that writes when it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__({"socket": connection})
        self.unsent = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.unsent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def is_closing(self) -> bool:
        return self.is_closed

    def flush(self) -> None:
        self.get_extra_info("socket").send(self.unsent)
        self.unsent = b""


@dataclass
class Answering:
    """What sends, and both ends of what it sends over."""

    sender: Sender
    transport: Transport
    client: socket.socket
    span: Span = field(default_factory=lambda: Span(0, len(CONTENT)))

    def begin(self) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self.sender.answer(self.transport, HEAD, Source(Memory()), self.span))

    async def received(self, length: int) -> bytes:
        received = b""
        async with asyncio.timeout(5):
            while len(received) < length:
                received += await asyncio.get_running_loop().sock_recv(self.client, length)
        return received


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    threads, (served, client) = ThreadPoolExecutor(1), socket.socketpair()
    with threads, served, client:
        served.setblocking(False)
        client.setblocking(False)
        yield Answering(Sender(threads, idle_seconds=5, budget=BufferBudget(1 << 20)), Transport(served), client)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket has room for a head at once."""

    class Full(socket.socket):
        def sendmsg(self, *_: Any) -> int:
            raise BlockingIOError

    monkeypatch.setattr(socket, "socket", Full)


async def test_answer_is_sent_past_the_transport(answering: Answering) -> None:
    """All of it, where there is room."""
    sending = answering.begin()

    assert await answering.received(len(HEAD + CONTENT)) == HEAD + CONTENT
    await sending


async def test_part_of_the_content_is_sent(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it begins to where it ends, in several visits of a thread."""
    monkeypatch.setattr(transfers, "_BYTES_AT_ONCE", 1000)
    answering.span = Span(1500, 3000)
    sending = answering.begin()

    assert await answering.received(len(HEAD) + 3000) == HEAD + CONTENT[1500:4500]
    await sending


async def test_content_waits_for_a_head_without_room(answering: Answering, full: None) -> None:
    """However long the transport has it."""
    sending = answering.begin()
    await until(lambda: answering.transport.unsent == HEAD)
    await asyncio.wait([sending], timeout=0.05)
    assert not sending.done()

    answering.transport.flush()

    assert await answering.received(len(HEAD + CONTENT)) == HEAD + CONTENT
    await sending


async def test_nothing_is_sent_over_a_connection_that_is_closing(answering: Answering) -> None:
    """The number of its socket may be that of another by now."""
    answering.transport.is_closed = True

    with pytest.raises(ConnectionResetError):
        await answering.begin()

    with pytest.raises(BlockingIOError):
        answering.client.recv(1)


@pytest.mark.parametrize("is_dropped", [False, True])
async def test_no_content_follows_a_head_that_was_not_sent(
    answering: Answering, full: None, *, is_dropped: bool
) -> None:
    """The connection was closed meanwhile, whether or not the transport still has the head."""
    sending = answering.begin()
    await until(lambda: answering.transport.unsent == HEAD)
    answering.transport.is_closed = True
    if is_dropped:
        answering.transport.unsent = b""

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(sending, 5)

    with pytest.raises(BlockingIOError):
        answering.client.recv(1)
