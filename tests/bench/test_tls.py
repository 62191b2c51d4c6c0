"""Over TLS a client takes all that has come, waits for nothing, and talks to nobody whom it does not trust."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench.certificates import HOST, pair_in
from bench.tls import Stream
from tests.bench.serving import server_context


class _Server:
    """The other end, which gives what it would send to whoever asks."""

    def __init__(self, plain: socket.socket, folder: Path) -> None:
        self.plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = server_context(pair_in(folder)).wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        while True:
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                return
            self.plain.sendall(self._outgoing.read())
            if not (came := self.plain.recv(65536)):
                return
            self._incoming.write(came)

    def sealed(self, *contents: bytes) -> bytes:
        """The records of some contents, after those that the handshake left."""
        for content in contents:
            self.tls.write(content)
        return self._outgoing.read()

    def received(self) -> bytes:
        self._incoming.write(self.plain.recv(65536))
        return self.tls.read(65536)


@contextmanager
def _ends(folder: Path, trusted: Path | None = None, host: str = HOST) -> Iterator[tuple[_Server, Stream]]:
    """A server with the pair of a folder, and a client that asks for a host, and may trust another folder's pair."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = _Server(theirs, folder)
        thread = threading.Thread(target=server.shake_hands)
        thread.start()
        try:
            stream = Stream(ours, pair_in(trusted or folder).certificate, host)
        finally:
            thread.join()
        yield server, stream


@pytest.fixture
def buffer() -> bytearray:
    return bytearray(1 << 18)


def test_several_records_come_at_once(tmp_path: Path, buffer: bytearray) -> None:
    with _ends(tmp_path) as (server, stream):
        server.plain.sendall(server.sealed(b"one ", b"two ", bytes(40_000)))

        taken = stream.recv_into(buffer)

    assert buffer[:taken] == b"one two " + bytes(40_000)


def test_a_part_of_a_record_is_not_waited_for(tmp_path: Path, buffer: bytearray) -> None:
    with _ends(tmp_path) as (server, stream):
        record = server.sealed(b"hello")
        server.plain.sendall(record[:-3])
        with pytest.raises(BlockingIOError):
            stream.recv_into(buffer)
        server.plain.sendall(record[-3:])

        taken = stream.recv_into(buffer)

    assert buffer[:taken] == b"hello"


def test_what_is_no_content_is_not_the_end(tmp_path: Path, buffer: bytearray) -> None:
    """A server sends session tickets after the handshake."""
    with _ends(tmp_path) as (server, stream):
        server.plain.sendall(server.sealed())

        with pytest.raises(BlockingIOError):
            stream.recv_into(buffer)


def test_the_end_is_no_bytes(tmp_path: Path, buffer: bytearray) -> None:
    with _ends(tmp_path) as (server, stream):
        server.plain.close()

        assert stream.recv_into(buffer) == 0


def test_what_is_sent_arrives(tmp_path: Path) -> None:
    with _ends(tmp_path) as (server, stream):
        server.sealed()
        stream.sendall(b"hello")

        assert server.received() == b"hello"
        assert server.tls.version() == "TLSv1.3"
        assert server.tls.selected_alpn_protocol() is None


def test_another_certificate_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    with pytest.raises(ssl.SSLCertVerificationError), _ends(tmp_path, trusted=tmp_path / "other"):
        pass


def test_another_address_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), _ends(tmp_path, host="127.0.0.2"):
        pass


def test_a_folder_keeps_its_certificate(tmp_path: Path) -> None:
    first = pair_in(tmp_path).certificate.read_bytes()

    assert pair_in(tmp_path).certificate.read_bytes() == first
