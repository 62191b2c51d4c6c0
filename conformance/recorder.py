"""A loopback proxy in front of a registry that writes down what was asked in ranges and how it was answered.

    python3 recorder.py UPSTREAM_HOST:PORT LOG

prints its own address, and appends one line to LOG for every request with a Range header:

    METHOD PATH RANGE STATUS CONTENT-TYPE
"""

import http.client
import http.server
import sys
from collections.abc import Iterator
from pathlib import Path

PIECE_BYTES = 1 << 18
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade")


class Recorder(http.server.BaseHTTPRequestHandler):
    """Hand one request on, unchanged, and its answer back."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    log = Path()

    def handle_any(self) -> None:
        """Forward what came; the Host stays, so that realms and locations lead back here."""
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            body = self.chunked_body() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(body, encode_chunked=chunked)
            self.answer(connection.getresponse())
        finally:
            connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the library's names

    def chunked_body(self) -> Iterator[bytes]:
        """The body's chunks as they come."""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, response: http.client.HTTPResponse) -> None:
        """Send the answer on; without a length, the end of the connection is its end."""
        if self.headers.get("Range"):
            kind = response.getheader("Content-Type", "-").replace(" ", "")
            with self.log.open("a") as lines:
                lines.write(f"{self.command} {self.path} {self.headers['Range']} {response.status} {kind}\n")
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if response.length is None and self.command != "HEAD":
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        while self.command != "HEAD" and (piece := response.read(PIECE_BYTES)):
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing: what matters is in the log."""


def main() -> None:
    """Serve until killed."""
    Recorder.upstream, Recorder.log = sys.argv[1], Path(sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    print(f"127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
