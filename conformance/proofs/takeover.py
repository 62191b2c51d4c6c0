"""The worker that writes an upload is killed, and another one goes on with it."""

import http.client
import os
import signal
import time

from proofs.outcome import Failed, check
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

PIECES = (3 << 20, 20 << 20, 1 << 20)
SENT_SHARE = 2  # a half of the piece whose writer is killed
LEASE_SECONDS = 15
REPOSITORY = "takeover/upload"


def prove(workspace: Workspace) -> str:
    """After a worker was killed in the middle of a PATCH, the upload goes on within seconds and ends right."""
    folder = workspace.folder("takeover")
    longest = 0.0
    with Server(workspace, folder / "data", folder / "server.log") as server:
        for _ in range(workspace.rounds):
            content = os.urandom(sum(PIECES))
            registry = server.registry
            location = registry.begin(REPOSITORY)
            location = append(registry, location, content[: PIECES[0]], 0)
            kill_in_the_middle(server, location, content[PIECES[0] : sum(PIECES[:2])], PIECES[0])
            location, seconds = go_on(registry, location, content)
            longest = max(longest, seconds)
            registry.commit(location, sha256(content))
            registry.pull_blob(REPOSITORY, sha256(content))
        server.verify()
        server.stop()
    return f"{workspace.rounds} workers killed in the middle of a PATCH; taken over within {longest:.1f} s"


def append(registry: Registry, location: str, piece: bytes, offset: int) -> str:
    """Send a piece; where to go on."""
    answer = registry.request("PATCH", location, body=piece, headers=headers_of(piece, offset)).expect(202)
    return registry.local(answer.headers["location"])


def headers_of(piece: bytes, offset: int) -> dict[str, str]:
    """What tells where a piece belongs."""
    return {"Content-Range": f"{offset}-{offset + len(piece) - 1}", "Content-Type": "application/octet-stream"}


def kill_in_the_middle(server: Server, location: str, piece: bytes, offset: int) -> None:
    """Send a half of a piece and kill the worker that takes it."""
    connection = http.client.HTTPConnection(server.registry.address, timeout=server.registry.timeout_seconds)
    headers = headers_of(piece, offset) | {"Authorization": server.registry.authorization(location) or ""}
    try:
        connection.putrequest("PATCH", location)
        for name, value in (headers | {"Content-Length": str(len(piece))}).items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(piece[: len(piece) // SENT_SHARE])
        time.sleep(0.3)
        worker = server.worker_behind(connection.sock)
        if worker is None:
            raise Failed("no worker has the connection")
        os.kill(worker, signal.SIGKILL)
    finally:
        connection.close()


def go_on(registry: Registry, location: str, content: bytes) -> tuple[str, float]:
    """Ask where the upload stands and send the rest, until it is taken; after how many seconds it was."""
    began = time.monotonic()
    while True:
        answer = registry.request("GET", location).expect(204)
        offset = int(answer.headers["range"].partition("-")[2])
        offset += 1 if offset else 0
        check(PIECES[0] <= offset <= sum(PIECES[:2]), f"the status claims {offset} bytes")
        piece = content[offset:]
        taken = registry.request("PATCH", location, body=piece, headers=headers_of(piece, offset))
        if taken.status == 202:
            return registry.local(taken.headers["location"]), time.monotonic() - began
        seconds = time.monotonic() - began
        check(taken.status == 416 and seconds < LEASE_SECONDS, f"answers {taken.status} after {seconds:.1f} s")
        time.sleep(0.5)
