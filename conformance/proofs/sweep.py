"""An upload that nobody continues is swept; one that goes on is not."""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from proofs.bucket import Bucket
from proofs.outcome import check
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace, stored_bytes

OLD_SECONDS = 3
WAIT_SECONDS = 30
STAGED_BYTES = 9 << 20  # in a bucket a part, and a rest that is an object of its own
SLACK_BYTES = 2 << 20
REPOSITORY = "sweep/upload"


def prove(workspace: Workspace) -> str:
    """An old upload is unknown and its bytes are gone; a slow one that goes on can be finished."""
    folder = workspace.folder("sweep")
    settings = {"LADING_LIMITS__UPLOAD_TTL": str(OLD_SECONDS)}
    bucket = Bucket.of_environment()
    with Server(workspace, folder / "data", folder / "server.log", settings) as server:
        staged_bytes = on_disk(server.data) if bucket is None else in_bucket(bucket, server.prefix)
        registry = server.registry
        abandoned = stage(registry, os.urandom(STAGED_BYTES))
        multiparts = multiparts_of(server.data) if bucket and "LADING_METADATA__URL" not in os.environ else []
        check(staged_bytes() >= (SLACK_BYTES // 4 if bucket else STAGED_BYTES), "the staged bytes are not there")
        began = time.monotonic()
        slow_push(registry)
        while staged_bytes() > (0 if bucket else SLACK_BYTES):
            check(time.monotonic() < began + WAIT_SECONDS, f"{staged_bytes()} bytes are left after {WAIT_SECONDS} s")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        open_yet = [key for key in multiparts if bucket and bucket.multiparts(key)]
        check(not open_yet, f"multipart uploads are open: {open_yet}")
        answer = registry.request("GET", abandoned)
        check(answer.status == 404, f"the swept upload answers {answer.status}")
        server.verify()
        server.stop()
    kept = f"{len(multiparts)} multipart uploads" if bucket else "a file"
    return f"swept {STAGED_BYTES >> 20} MiB, {kept}, within {seconds:.1f} s at an age of {OLD_SECONDS} s"


def on_disk(data: Path) -> Callable[[], int]:
    """Tells how many bytes the data directory has more than it has at first."""
    before_bytes = stored_bytes(data)
    return lambda: stored_bytes(data) - before_bytes


def in_bucket(bucket: Bucket, prefix: str) -> Callable[[], int]:
    """Tells how many bytes lie below uploads/, without those that see whether the bucket takes writes."""

    def staged() -> int:
        found = bucket.sizes(f"{prefix}uploads/")
        return sum(size for key, size in found.items() if not key.endswith("/.probe"))

    return staged


def multiparts_of(data: Path) -> list[str]:
    """The keys of all multipart uploads that the server has open, as its own records tell."""
    with closing(sqlite3.connect(data / "activity.db")) as database:
        states = [json.loads(row[0]) for row in database.execute("SELECT state FROM staging WHERE state IS NOT NULL")]
    found = [state[kind] for state in states for kind in ("multipart", "group")]
    return [each["key"] for each in found if each is not None]


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
