"""A push sends the bytes that its digest names, in every shape, plain and over TLS."""

import hashlib
import secrets
import urllib.parse
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from bench.certificates import pair_in
from bench.load import Base, Shape, push_all
from tests.bench.serving import standing_in

_SIZE = (17 << 20) + 5
_UPLOADS: dict[str, bytearray] = {}


class _Registry(BaseHTTPRequestHandler):
    """Takes a push, and says 201 if it has the digest that its last request names."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        location = f"/{secrets.token_hex(8)}"
        _UPLOADS[location] = bytearray()
        self._say(202, location)

    def do_PATCH(self) -> None:
        self._take()
        self._say(202, self.path)

    def do_PUT(self) -> None:
        self._take()
        parts = urllib.parse.urlsplit(self.path)
        digest = f"sha256:{hashlib.sha256(_UPLOADS[parts.path]).hexdigest()}"
        self._say(201 if urllib.parse.parse_qs(parts.query)["digest"] == [digest] else 400)

    def do_HEAD(self) -> None:
        self._say(200, length=_SIZE)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _say(self, status: int, location: str = "", length: int = 0) -> None:
        self.send_response(status)
        self.send_header("Location", location)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _take(self) -> None:
        upload = _UPLOADS[urllib.parse.urlsplit(self.path).path]
        if "Content-Length" in self.headers:
            upload += self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            upload += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("shape", list(Shape))
def test_every_shape_sends_what_its_digest_names(shape: Shape, tmp_path: Path, *, is_encrypted: bool) -> None:
    with standing_in(_Registry, tmp_path, pair_in(tmp_path) if is_encrypted else None) as peer, Base(_SIZE) as base:
        pushed = push_all(peer, base, shape, connections=2, each=1)

    assert pushed.errors == ()
    assert pushed.pushed_bytes == 2 * _SIZE
