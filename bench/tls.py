"""TLS of the clients: connections that check who answers, and one that never waits for the rest of a record."""

import http.client
import socket
import ssl
from pathlib import Path

from bench.certificates import trusting

# with a record that was not whole before, less than what a client takes at a time
_PIECE_BYTES = 1 << 17
_RECORD_BYTES = 1 << 14


def http_connection(address: str, certificate: Path | None, timeout_seconds: float) -> http.client.HTTPConnection:
    """A connection to an address: over TLS where there is a certificate to trust."""
    if certificate is None:
        return http.client.HTTPConnection(address, timeout=timeout_seconds)
    return http.client.HTTPSConnection(address, timeout=timeout_seconds, context=trusting(certificate))


class Stream:
    """TLS over a socket, for whoever waits for many sockets at once.

    All that has come is given at once: nothing that is whole stays behind where a poll of the socket does not see it.
    """

    def __init__(self, plain: socket.socket, certificate: Path, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trusting(certificate).wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._piece = memoryview(bytearray(_PIECE_BYTES))
        try:
            self._shake_hands()
        except OSError:
            plain.close()
            raise

    def fileno(self) -> int:
        """What to poll."""
        return self._plain.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._plain.close()

    def sendall(self, content: bytes) -> None:
        """Send all of it."""
        self._tls.write(content)
        self._plain.sendall(self._outgoing.read())

    def recv_into(self, buffer: bytearray) -> int:
        """All that has come, of which there is no more than the buffer takes; 0 at the end.

        Raises BlockingIOError where it is no whole record, or none that is meant for the caller.
        """
        came = self._plain.recv_into(self._piece)
        self._incoming.write(self._piece[:came])
        taken = 0
        try:
            while came and (self._incoming.pending or self._tls.pending()):
                content = self._tls.read(_RECORD_BYTES)
                if not content:
                    return taken
                buffer[taken : taken + len(content)] = content
                taken += len(content)
        except ssl.SSLWantReadError:
            pass
        if came and not taken:
            raise BlockingIOError
        return taken

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                came = self._plain.recv(_PIECE_BYTES)
                if not came:
                    raise ConnectionAbortedError("the connection ended in the handshake") from None
                self._incoming.write(came)
            else:
                self._plain.sendall(self._outgoing.read())
                return
