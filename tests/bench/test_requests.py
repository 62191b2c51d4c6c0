"""The client for small requests counts whole answers, however they come, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.certificates import Pair, pair_in
from bench.requests import Job, ask_all, ask_once, request
from tests.bench.serving import server_context

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@contextmanager
def _server(*pieces: bytes, connections: int = 1, pair: Pair | None = None) -> Iterator[str]:
    """Answers every request with the same pieces, each in a segment or record of its own, and waits for the next."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with _opened(accepted, pair) as connection:
                try:
                    while connection.recv(65536):
                        for piece in pieces:
                            connection.sendall(piece)
                except ConnectionError:
                    return

        threads = [threading.Thread(target=serve) for _ in range(connections)]
        for thread in threads:
            thread.start()
        host, port = listening.getsockname()
        yield f"{host}:{port}"
        for thread in threads:
            thread.join()


def _opened(accepted: socket.socket, pair: Pair | None) -> socket.socket:
    return accepted if pair is None else server_context(pair).wrap_socket(accepted, server_side=True)


def test_a_request_names_its_headers_and_length() -> None:
    assert request("GET", "/v2/", {"Accept": "a/b"}) == (
        b"GET /v2/ HTTP/1.1\r\nHost: registry.example\r\nAccept: a/b\r\n\r\n"
    )
    assert request("PUT", "/x", {}, b"body") == (
        b"PUT /x HTTP/1.1\r\nHost: registry.example\r\nContent-Length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    "pieces",
    [
        (_HEAD + b"hello",),
        (_HEAD, b"hello"),
        (_HEAD[:20], _HEAD[20:] + b"he", b"llo"),
        (_CHUNKED,),
        (_CHUNKED[:-3], _CHUNKED[-3:]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",),
    ],
)
def test_an_answer_counts_once_it_is_whole(pieces: tuple[bytes, ...]) -> None:
    with _server(*pieces) as address:
        asked = ask_once(Job(address, [[request("GET", "/")] * 7], 10.0, is_repeated=False))

    assert (asked.count, asked.errors) == (7, ())
    assert asked.received_bytes == 7 * sum(map(len, pieces))


@pytest.mark.parametrize(
    "pieces",
    [
        (_HEAD + b"hello",),
        (_HEAD[:20], _HEAD[20:] + b"he", b"llo"),
        (_CHUNKED[:-3], _CHUNKED[-3:]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n", bytes(600_000)),
    ],
)
def test_an_answer_over_tls_counts_once_it_is_whole(pieces: tuple[bytes, ...], tmp_path: Path) -> None:
    pair = pair_in(tmp_path)

    with _server(*pieces, pair=pair) as address:
        asked = ask_once(
            Job(address, [[request("GET", "/")] * 7], 10.0, is_repeated=False, certificate=pair.certificate)
        )

    assert (asked.count, asked.errors) == (7, ())
    assert asked.received_bytes == 7 * sum(map(len, pieces))


def test_the_length_in_an_answer_to_head_is_not_waited_for() -> None:
    with _server(_HEAD) as address:
        asked = ask_once(Job(address, [[request("HEAD", "/")] * 3], 10.0, is_head=True, is_repeated=False))

    assert (asked.count, asked.errors) == (3, ())


def test_another_status_is_an_error() -> None:
    with _server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone") as address:
        asked = ask_once(Job(address, [[request("GET", "/")] * 2], 10.0, is_repeated=False))

    assert asked.count == 0
    assert len(asked.errors) == 2
    assert "200 was expected" in asked.errors[0]


def test_a_connection_that_ends_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(_HEAD[:10])

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = listening.getsockname()
        asked = ask_once(Job(f"{host}:{port}", [[request("GET", "/")]], 10.0))
        thread.join()

    assert asked.count == 0
    assert asked.errors[0].startswith("Broken: ")


def test_processes_ask_over_tls(tmp_path: Path) -> None:
    pair = pair_in(tmp_path)

    with _server(_HEAD + b"hello", connections=2, pair=pair) as address:
        asked = ask_all(Job(address, [[request("GET", "/")]] * 2, 0.2, certificate=pair.certificate))

    assert asked.errors == ()
    assert asked.count > 2


def test_processes_ask_until_the_time_is_up() -> None:
    with _server(_HEAD + b"hello", connections=2) as address:
        asked = ask_all(Job(address, [[request("GET", "/")]] * 2, 0.2))

    assert asked.errors == ()
    assert asked.count > 2
    assert 0.2 <= asked.seconds < 5.0
    assert asked.received_bytes >= asked.count * len(_HEAD + b"hello")
