"""An upload that nobody continues is swept; one that goes on is not."""

import os
import time
from pathlib import Path

from proofs.outcome import check
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

OLD_SECONDS = 3
WAIT_SECONDS = 30
STAGED_BYTES = 8 << 20
SLACK_BYTES = 2 << 20
REPOSITORY = "sweep/upload"


def prove(workspace: Workspace) -> str:
    """An old upload is unknown and its bytes are off the disk; a slow one that goes on can be finished."""
    folder = workspace.folder("sweep")
    settings = {"LADING_LIMITS__UPLOAD_TTL": str(OLD_SECONDS)}
    with Server(workspace, folder / "data", folder / "server.log", settings) as server:
        registry = server.registry
        before_bytes = stored_bytes(server.data)
        abandoned = stage(registry, os.urandom(STAGED_BYTES))
        check(stored_bytes(server.data) >= before_bytes + STAGED_BYTES, "the staged bytes are not on the disk")
        began = time.monotonic()
        slow_push(registry)
        while stored_bytes(server.data) > before_bytes + SLACK_BYTES:
            left_bytes = stored_bytes(server.data) - before_bytes
            check(time.monotonic() < began + WAIT_SECONDS, f"{left_bytes} bytes are left after {WAIT_SECONDS} s")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        answer = registry.request("GET", abandoned)
        check(answer.status == 404, f"the swept upload answers {answer.status}")
        server.verify()
        server.stop()
    return f"swept {STAGED_BYTES >> 20} MiB within {seconds:.1f} s at an age of {OLD_SECONDS} s"


def stage(registry: Registry, content: bytes) -> str:
    """Send bytes and leave them; the upload's location."""
    answer = registry.request("PATCH", registry.begin(REPOSITORY), body=content).expect(202)
    return registry.local(answer.headers["location"])


def slow_push(registry: Registry) -> None:
    """An upload that takes longer than the age, with a little sent every now and then."""
    content = os.urandom(2 * OLD_SECONDS * 10)
    location = registry.begin(REPOSITORY)
    for at in range(0, len(content), 10):
        time.sleep(1)
        answer = registry.request("PATCH", location, body=content[at : at + 10])
        check(answer.status == 202, f"an upload that goes on was swept: {answer.status} {answer.body[:200]!r}")
        location = registry.local(answer.headers["location"])
    registry.commit(location, sha256(content))


def stored_bytes(folder: Path) -> int:
    """What the files of a folder take on the disk."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
