"""A pull counts what came, and hands it on where somebody wants it, plain and over TLS."""

import hashlib
import secrets
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from bench.certificates import pair_in
from bench.connection import Connection, Refused
from bench.pulls import Puller, check, pull_all
from tests.bench.serving import standing_in

_CONTENT = secrets.token_bytes((9 << 20) + 5)
_DIGEST = f"sha256:{hashlib.sha256(_CONTENT).hexdigest()}"
_CUT = f"sha256:{'0' * 64}"
_UNMEASURED = f"sha256:{'1' * 64}"


class _Registry(BaseHTTPRequestHandler):
    """Has one blob, one that it breaks off in the middle, and one whose length it does not tell."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        digest = self.path.rpartition("/")[2]
        if digest not in {_DIGEST, _CUT, _UNMEASURED}:
            self._say(404, 0)
            return
        content, span = _CONTENT, self.headers.get("Range")
        if span is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            content = content[int(first) : int(last) + 1]
        self._say(200 if span is None else 206, None if digest == _UNMEASURED else len(content))
        if digest == _CUT:
            self.close_connection = True
            self.wfile.write(content[:1000])
            return
        for start in range(0, len(content), 1 << 16):
            self.wfile.write(content[start : start + (1 << 16)])

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _say(self, status: int, length: int | None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_pull_is_as_long_as_it_was_announced_whether_its_bytes_are_wanted_or_not(
    tmp_path: Path, *, is_encrypted: bool
) -> None:
    came = bytearray()
    with (
        standing_in(_Registry, tmp_path, pair_in(tmp_path) if is_encrypted else None) as peer,
        Connection(peer) as connection,
    ):
        puller = Puller(connection)

        lengths = [puller.pull(_DIGEST), puller.pull(_DIGEST, came.extend), puller.pull(_DIGEST, span="bytes=7-106")]

    assert lengths == [len(_CONTENT), len(_CONTENT), 100]
    assert came == _CONTENT


def test_pulls_of_many_connections_are_counted_together(tmp_path: Path) -> None:
    with standing_in(_Registry, tmp_path, None) as peer:
        pulled = pull_all(peer, [_DIGEST], connections=3, each=2)

    assert (pulled.pulled_bytes, pulled.errors) == (6 * len(_CONTENT), ())


def test_a_blob_is_checked_by_its_digest(tmp_path: Path) -> None:
    with standing_in(_Registry, tmp_path, None) as peer:
        check(peer, _DIGEST)

        with pytest.raises(Refused, match="came"):
            check(peer, _CUT)


@pytest.mark.parametrize(
    ("digest", "reason"),
    [("sha256:other", "200 was expected"), (_CUT, "bytes came of"), (_UNMEASURED, "does not tell its length")],
)
def test_a_pull_that_is_not_whole_is_refused(digest: str, reason: str, tmp_path: Path) -> None:
    with (
        standing_in(_Registry, tmp_path, None) as peer,
        Connection(peer) as connection,
        pytest.raises(Refused, match=reason),
    ):
        Puller(connection).pull(digest)
