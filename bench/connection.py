"""One connection to a registry, kept for all requests of a thread, with the token that its repository asks for."""

import http.client
import socket
import urllib.parse
from collections.abc import Mapping
from typing import Self

from bench.served import Peer
from bench.tls import http_connection

TIMEOUT_SECONDS = 300
REPOSITORY = "bench/push"
_NOTHING: Mapping[str, str] = {}


class Refused(Exception):
    """The registry answered something else than was asked for."""


FAILURES = (OSError, http.client.HTTPException, Refused)
"""What a request may end with; a benchmark counts it and goes on."""


class Connection:
    """A connection about one repository. Its token is there before the first request; leaving the context closes it."""

    def __init__(self, peer: Peer, repository: str = REPOSITORY) -> None:
        self.repository = repository
        self.is_encrypted = peer.certificate is not None
        self._http = http_connection(peer.address, peer.certificate, TIMEOUT_SECONDS)
        self.headers = peer.headers(repository)
        self._http.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def socket(self) -> socket.socket:
        """Where the body of a request that began goes."""
        return self._http.sock

    def begin(self, method: str, path: str, headers: Mapping[str, str] = _NOTHING) -> None:
        """Send the head of a request."""
        self._http.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (self.headers | dict(headers)).items():
            self._http.putheader(name, value)
        self._http.endheaders()

    def answer(self, expected: int) -> http.client.HTTPResponse:
        """The head of the answer to a request that was sent; raises Refused for another status."""
        response = self._http.getresponse()
        if response.status != expected:
            raise Refused(f"{expected} was expected, {response.status} came: {response.read()[:200]!r}")
        return response

    def ask(self, method: str, path: str, expected: int, headers: Mapping[str, str] = _NOTHING) -> "Answer":
        """A request without a body, and its whole answer; raises Refused."""
        return self.send(method, path, expected, headers, b"")

    def send(self, method: str, path: str, expected: int, headers: Mapping[str, str], body: bytes) -> "Answer":
        """A request with a small body, and its whole answer; raises Refused."""
        length = {"Content-Length": str(len(body))} if body or method not in {"GET", "HEAD"} else {}
        self.begin(method, path, {**headers, **length})
        if body:
            self.socket.sendall(body)
        return Answer(self.answer(expected))


class Answer:
    """An answer that has come whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.content = response.read()
        self.headers = response.headers

    @property
    def location(self) -> str:
        """Where the registry says to go on: path and query."""
        parts = urllib.parse.urlsplit(self.headers.get("Location", ""))
        return parts.path + (f"?{parts.query}" if parts.query else "")
