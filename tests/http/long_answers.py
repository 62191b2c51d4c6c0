"""What tests of long answers share: pulls that are stopped on their way, and what the server holds meanwhile."""

import asyncio
import random
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from registry.http import transfers
from registry.http.transfers import Source
from registry.http.waiting import writable
from tests.http.client import Registry
from tests.http.kept_connection import TAGGED, Kept
from tests.http.uploading import stored

LONG: Final = random.Random(1).randbytes(3_000_000)
VERY_LONG: Final = LONG * 3
"""More than the sockets of both sides hold."""


@dataclass
class Stalled:
    """Told when an answer waits for its client, and when a thread is about to begin one; it waits until it `may`."""

    by_client: asyncio.Event = field(default_factory=asyncio.Event)
    in_thread: asyncio.Event = field(default_factory=asyncio.Event)
    may: threading.Event = field(default_factory=threading.Event)


def stalling(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    """Hear of answers that stop; threads begin them at once unless `may` is cleared."""
    told, loop, begin = Stalled(), asyncio.get_running_loop(), Source.begin_answer

    async def wait(waiting: int, seconds: float) -> None:
        told.by_client.set()
        await writable(waiting, seconds)

    def held(source: Source, *arguments: Any) -> tuple[int, bytes]:
        loop.call_soon_threadsafe(told.in_thread.set)
        told.may.wait(10)
        return begin(source, *arguments)

    told.may.set()
    monkeypatch.setattr(transfers, "writable", wait)
    monkeypatch.setattr(Source, "begin_answer", held)
    return told


async def pushed(connection: Kept, content: bytes) -> str:
    """The path of a blob whose next pull is begun where it arrives.

    It was pulled before, but over another connection: buffers of sockets grow with what goes through them.
    """
    path = f"/v2/team/app/blobs/{await connection.registry.push_blob('team/app', content)}"
    async with connection.another() as other:
        assert (await other.ask("GET", path)).body == content
        await other.rested()
    await connection.ask("HEAD", TAGGED)
    await connection.rested()
    return path


def ask(connection: Kept, path: str) -> None:
    connection.send(connection.registry.request_head("GET", path, authorization=connection.authorization))


async def ask_deaf(connection: Kept, path: str, stalled: Stalled) -> None:
    """Ask, and read nothing; returns when the server waits for that."""
    transport: Any = connection.writer.transport
    transport.pause_reading()
    stalled.by_client.clear()
    ask(connection, path)
    async with asyncio.timeout(10):
        await stalled.by_client.wait()


def read_on(connection: Kept) -> None:
    """Read again."""
    transport: Any = connection.writer.transport
    transport.resume_reading()


def full(room: int) -> type[socket.socket]:
    """Sockets with room for so many bytes when an answer is begun."""

    class Full(socket.socket):
        def sendmsg(self, buffers: Any, *_: Any) -> int:
            if not room:
                raise BlockingIOError
            return self.send(b"".join(buffers)[:room])

    return Full


def copy_of(registry: Registry) -> Path:
    """The file of the longest blob, the newest if there are several."""
    return max(stored(registry), key=lambda path: (path.stat().st_size, path.stat().st_mtime_ns))


def spoil(path: Path, offset: int) -> None:
    """Change a byte, past what a header takes."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def open_copies(registry: Registry) -> int:
    """How many stored copies are open."""
    return sum(_target(each).is_relative_to(registry.root / "blobs") for each in Path("/proc/self/fd").iterdir())


def _target(descriptor: Path) -> Path:
    try:
        return descriptor.readlink()
    except FileNotFoundError:  # it listed the others
        return Path()
