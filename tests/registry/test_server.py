"""The server as processes: started, killed, told to stop in every way, and its certificate changed."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.registry.serving import ROOT, Server, eventually, serving, starting

Stop = Callable[[Server], None]


def _read_all(stream: socket.socket) -> bytes:
    received = b""
    while chunk := stream.recv(65536):
        received += chunk
    return received


def _is_up(server: Server) -> bool:
    try:
        server.connect()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closed while the connection was being made
        return False
    return True


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # empty: ended, and not yet noticed by its parent
    except FileNotFoundError:
        return False


def _ask_slowly(server: Server, tenths: int) -> socket.socket:
    """Ask for an answer that takes a while, and wait until it has begun."""
    stream = server.connect()
    stream.sendall(b"GET /slow?tenths=%d HTTP/1.1\r\nHost: x\r\n\r\n" % tenths)
    stream.recv(1)
    return stream


def test_workers_share_the_port_and_the_epoch(tmp_path: Path) -> None:
    """Connections go to every worker, and what a start draws is the same in all."""
    with serving(tmp_path) as server:
        workers = server.workers()
        seen: set[int] = set()

        def has_seen_both() -> bool:
            seen.add(json.loads(server.get("/worker"))["pid"])
            return seen == workers

        eventually(has_seen_both)
        assert len(seen) == 2
        assert len({server.get("/count") for _ in range(20)}) == 1


def test_start_says_what_a_person_should_know(tmp_path: Path) -> None:
    """Version, address, workers, data directory, encryption, durability; and it takes less than loading the program."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import registry.app, registry.server"], cwd=ROOT, check=True)
    loading_milliseconds = (time.monotonic() - began) * 1000
    with serving(tmp_path) as server:
        line = json.loads(server.log.read_text().splitlines()[-1])

    assert {"version", "address", "workers", "root", "encryption", "durability"} <= line.keys()
    assert line["start_milliseconds"] < max(900, loading_milliseconds)


def test_killed_worker_is_started_again_and_loses_no_count(tmp_path: Path) -> None:
    """Metrics are exact over restarts, and the restart is one of them."""
    with serving(tmp_path) as server:
        before = server.workers()
        for _ in range(10):
            server.get("/count")
        for pid in before:
            os.kill(pid, signal.SIGKILL)

        eventually(lambda: len(server.workers() - before) == 2)
        server.get("/count")
        numbers = server.get("/metrics")

    assert 'lading_http_requests_total{action="count",method="GET",status="200"} 11.0' in numbers
    assert "lading_worker_restarts_total 2.0" in numbers


def test_connection_that_waits_at_a_dead_worker_is_served(tmp_path: Path) -> None:
    """The supervisor keeps the listening socket, so the queue outlives the worker."""
    with serving(tmp_path, server={"workers": 1}) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        stream = server.connect()
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        os.kill(worker, signal.SIGKILL)

        assert b'{"status":"ok"}' in _read_all(stream)


def _stop_supervisor(server: Server) -> None:
    server.process.terminate()


def _interrupt_supervisor(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)


def _stop_one_worker(server: Server) -> None:
    os.kill(min(server.workers()), signal.SIGTERM)


def _stop_workers(server: Server) -> None:
    for pid in server.workers():
        os.kill(pid, signal.SIGTERM)


def _stop_group(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGTERM)


def _interrupt_group(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    "stop",
    [_stop_supervisor, _interrupt_supervisor, _stop_one_worker, _stop_workers, _stop_group, _interrupt_group],
)
def test_every_way_to_stop_is_one_drain(tmp_path: Path, stop: Stop) -> None:
    """What runs finishes, nothing is accepted any more, and the exit code is 0."""
    with serving(tmp_path) as server:
        streams = [_ask_slowly(server, 3) for _ in range(4)]

        stop(server)

        eventually(lambda: not _is_up(server))
        assert [_read_all(stream).endswith(b"0\r\n\r\n") for stream in streams] == [True] * 4
        assert server.wait() == 0


def test_running_upload_finishes_while_draining(tmp_path: Path) -> None:
    """The rest of a body is still read, and the answer says that the connection ends."""
    with serving(tmp_path) as server:
        stream = server.connect()
        head = b"PUT /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n"
        stream.sendall(head)
        assert stream.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        stream.sendall(b"x" * 100_000)
        idle = server.connect()
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.recv(65536)

        server.process.terminate()

        assert idle.recv(1) == b""
        stream.sendall(b"x" * 100_000)
        answer = _read_all(stream)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"200000")
        assert b"Connection: close" in answer
        assert server.wait() == 0


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A person who asks twice does not want to wait."""
    with serving(tmp_path, server={"drain_seconds": 60}) as server:
        _ask_slowly(server, 600)
        server.process.terminate()
        eventually(lambda: b'"draining"' in server.log.read_bytes())
        time.sleep(0.25)  # what comes sooner is the same order, sent to a whole group

        server.process.terminate()

        assert server.process.wait(timeout=5) == 0


def test_drain_ends_when_its_time_is_over(tmp_path: Path) -> None:
    """A client that never finishes cannot keep the server."""
    with serving(tmp_path, server={"drain_seconds": 0.2}) as server:
        _ask_slowly(server, 600)

        server.process.terminate()

        assert server.process.wait(timeout=5) == 0


def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """A worker without a supervisor would hold the port for ever."""
    with serving(tmp_path) as server:
        workers = server.workers()

        server.process.kill()

        eventually(lambda: not _is_up(server))
        eventually(lambda: not any(_is_running(pid) for pid in workers))


def test_taken_address_is_one_clear_line(tmp_path: Path) -> None:
    """A second server on the same port is refused, although the workers of one server share theirs."""
    (tmp_path / "second").mkdir()
    with serving(tmp_path) as server:
        listen = {"server": {"listen": f"127.0.0.1:{server.port}"}}
        with starting(tmp_path / "second", listen) as second:
            assert second.wait() == 1
            assert second.log.read_text() == (
                f"lading: 127.0.0.1:{server.port} is taken by another program: "
                "stop it, or choose another address with --listen\n"
            )


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        ("outdated", "lading: the database was made by another version: run lading migrate\n"),
        ("unable", "the key file is not the one\n"),
    ],
)
def test_server_that_cannot_start_says_why(tmp_path: Path, mode: str, line: str) -> None:
    """One line on standard error, exit code 1, and no attempts that cannot succeed."""
    with starting(tmp_path, {}, mode) as server:
        assert server.wait() == 1
        assert server.log.read_text().endswith(line) or line in server.log.read_text()
        assert "Traceback" not in server.log.read_text()


def test_listens_on_version_6(tmp_path: Path) -> None:
    """An address in brackets is an IPv6 address."""
    with serving(tmp_path, server={"listen": "[::1]:0"}) as server:
        stream = server.connect("::1")
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert b'{"status":"ok"}' in _read_all(stream)


def _issue(directory: Path, name: str) -> None:
    """Write a certificate for a name, and its key, as an operator's tool does: one file after the other."""
    issued = trustme.CA().issue_cert(name)
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    (directory / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


def _served_certificate(server: Server) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(server.connect()) as stream:
        return stream.getpeercert(binary_form=True) or b""


def test_certificate_follows_its_files(tmp_path: Path) -> None:
    """A changed pair is served from then on, by itself and on SIGHUP; a broken one never."""
    _issue(tmp_path, "first.example")
    tls = {"tls_certificate": str(tmp_path / "certificate.pem"), "tls_key": str(tmp_path / "key.pem"), "workers": 1}
    with serving(tmp_path, server=tls) as server:
        first = _served_certificate(server)
        assert b"first.example" in first

        _issue(tmp_path, "second.example")
        eventually(lambda: b"second.example" in _served_certificate(server))

        (tmp_path / "certificate.pem").write_text("broken")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: b"the certificate was not reloaded" in server.log.read_bytes())
        assert b"second.example" in _served_certificate(server)

        _issue(tmp_path, "third.example")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: b"third.example" in _served_certificate(server))


def test_a_required_client_certificate_is_asked_for(tmp_path: Path) -> None:
    """Without one there is no answer."""
    _issue(tmp_path, "server.example")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    authority.issue_cert(common_name="bob").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    tls = {"tls_certificate": str(tmp_path / "certificate.pem"), "tls_key": str(tmp_path / "key.pem"), "workers": 1}
    clients = {"tls_client_ca": str(tmp_path / "authority.pem"), "tls_client_auth": "required"}

    with serving(tmp_path, server={**tls, **clients}) as server:
        assert b'{"status":"ok"}' in _ask_over_tls(server, tmp_path / "client.pem")
        assert _ask_over_tls(server, None) == b""


def _ask_over_tls(server: Server, certificate: Path | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    # A handshake that fails may be seen as an alert, a reset or the end.
    with suppress(ssl.SSLError, ConnectionError), context.wrap_socket(server.connect()) as stream:
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return _read_all(stream)
    return b""


HEAVY = {"alembic", "typer", "rich", "botocore", "boto3", "opentelemetry", "pytest"}


def test_serving_process_has_nothing_heavy_loaded(tmp_path: Path) -> None:
    """What only commands and preparations need is in no process that serves."""
    with serving(tmp_path) as server:
        loaded = set(json.loads(server.get("/worker"))["modules"])

    assert loaded & HEAVY == set()


def test_registry_itself_loads_nothing_heavy() -> None:
    """Importing all that a worker needs does not load what only commands need."""
    pytest.importorskip("registry.app")
    program = f"import registry.server, registry.app, sys; print(sorted({HEAVY!r} & set(sys.modules)))"

    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)

    assert found.stdout.strip() == "[]"
