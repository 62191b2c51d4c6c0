"""The server is asked to stop while transfers run."""

import http.client
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from proofs.outcome import Failed, check
from proofs.pushes import BROKEN
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

DRAIN_SECONDS = 15
TRANSFER_SECONDS = 4.0
PIECES = 40
PIECE_BYTES = 1 << 20
REPOSITORY = "drain/blob"


def prove(workspace: Workspace) -> str:
    """SIGTERM lets a push and a pull finish, takes no new request, and the server exits with 0."""
    folder = workspace.folder("drain")
    settings = {"LADING_SERVER__DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with Server(workspace, folder / "data", folder / "server.log", settings) as server:
        registry = server.registry
        stored = os.urandom(PIECES * PIECE_BYTES)
        stored_digest = registry.push_blob(REPOSITORY, stored)
        coming = os.urandom(PIECES * PIECE_BYTES)
        under_way = threading.Barrier(3)
        with ThreadPoolExecutor(2) as pool:
            pull = pool.submit(pull_slowly, registry, stored_digest, under_way)
            push = pool.submit(push_slowly, registry, coming, under_way)
            under_way.wait(DRAIN_SECONDS)
            asked = time.monotonic()
            server.terminate()
            finish(pull, "pull")
            finish(push, "push")
        server.wait()
        seconds = time.monotonic() - asked
        check(seconds < DRAIN_SECONDS, f"the end took {seconds:.1f} s with drain_seconds = {DRAIN_SECONDS}")
        server.start().pull_blob(REPOSITORY, sha256(coming))
        server.stop()
    return f"push and pull finished, exit 0 after {seconds:.1f} s"


def finish(transfer: Future[None], name: str) -> None:
    """The transfer must have ended well."""
    try:
        transfer.result()
    except BROKEN as error:
        raise Failed(f"the {name} did not survive SIGTERM: {error!r}") from error


def pull_slowly(registry: Registry, digest: str, under_way: threading.Barrier) -> None:
    """Read a blob a piece at a time, and compare it."""
    came: list[bytes] = []

    def take(piece: bytes) -> None:
        if not came:
            under_way.wait(DRAIN_SECONDS)
        came.append(piece)
        time.sleep(TRANSFER_SECONDS / PIECES * len(piece) / PIECE_BYTES)

    registry.request("GET", f"/v2/{REPOSITORY}/blobs/{digest}", sink=take).expect(200)
    if sha256(b"".join(came)) != digest:
        raise http.client.IncompleteRead(b"")


def push_slowly(registry: Registry, content: bytes, under_way: threading.Barrier) -> None:
    """Send a blob in one slow request."""

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(content), PIECE_BYTES):
            yield content[at : at + PIECE_BYTES]
            if not at:
                under_way.wait(DRAIN_SECONDS)
            time.sleep(TRANSFER_SECONDS / PIECES)

    registry.commit(registry.begin(REPOSITORY), sha256(content), pieces())
