"""Clients that read as clients should not, and what they find where an answer is broken off."""

import asyncio
import socket

import pytest

from tests.http.client import Registry


async def until_reset(reader: asyncio.StreamReader) -> bytes:
    """All that comes before the connection is reset, as it must be."""
    received = bytearray()

    async def receive() -> None:
        while piece := await reader.read(1 << 16):
            received.extend(piece)

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(receive(), 10)
    return bytes(received)


async def broken_off(registry: Registry, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of an answer that must end in a reset of the connection."""
    reader, writer = await registry.connect()
    writer.write(sent)
    received = await until_reset(reader)
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


async def deaf(registry: Registry, path: str, window: int = 4096) -> socket.socket:
    """A client that asks and does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", registry.port))
    await loop.sock_sendall(client, registry.request_head("GET", path))
    return client


async def received_by(client: socket.socket) -> bytes:
    """All that such a client gets once it reads; raises ConnectionResetError."""
    received = bytearray()
    while piece := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
        received += piece
    return bytes(received)
