"""Servers that tests of clients ask."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.certificates import Pair
from bench.process import Program
from bench.served import Peer


def server_context(pair: Pair) -> ssl.SSLContext:
    """TLS of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@contextmanager
def standing_in(handler: type[BaseHTTPRequestHandler], folder: Path, pair: Pair | None) -> Iterator[Peer]:
    """A server of this handler as a registry that is measured; over TLS with a pair."""
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        Program(["sleep", "60"], {}, folder / "log") as program,
    ):
        if pair:
            server.socket = server_context(pair).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        yield Peer("registry", address, program, folder, certificate=pair.certificate if pair else None)
        server.shutdown()
        thread.join()
