"""One very large blob goes in and out, and the server's memory hardly grows."""

import hashlib
import os
import time
from collections.abc import Iterator

from proofs.bucket import Bucket
from proofs.growth import Growth
from proofs.outcome import check
from proofs.server import Server
from proofs.workspace import Workspace, stored_bytes

PIECE_BYTES = 1 << 20
BUDGET_MIB = 64  # of every worker
SPOOLED_MIB = 16  # databases and logs, where content is in a bucket
REPOSITORY = "large/blob"


class Content:
    """Bytes made on the fly, no two pieces alike, hashed as they go out."""

    def __init__(self, size_bytes: int) -> None:
        self._noise = os.urandom(PIECE_BYTES - 8)
        self._size_bytes = size_bytes
        self._sum = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._size_bytes // PIECE_BYTES):
            piece = number.to_bytes(8, "big") + self._noise
            self._sum.update(piece)
            yield piece

    @property
    def digest(self) -> str:
        """The digest of what went out so far."""
        return "sha256:" + self._sum.hexdigest()


def prove(workspace: Workspace) -> str:
    """A blob is streamed in both directions within the buffer budget."""
    bucket = Bucket.of_environment()
    workspace.need_space(workspace.large_bytes * 12 // 5)
    folder = workspace.folder("large")
    (folder / "tmp").mkdir()
    settings = {"LADING_SERVER__DRAIN_SECONDS": "10", "TMPDIR": str(folder / "tmp")}
    with Server(workspace, folder / "data", folder / "server.log", settings) as server:
        registry = server.registry
        registry.timeout_seconds = 300
        for _ in range(4 * workspace.workers):  # what is imported and pooled once is no growth
            registry.pull_blob(REPOSITORY, registry.push_blob(REPOSITORY, os.urandom(8 * PIECE_BYTES)))
        with Growth(server.memory_bytes) as memory, Growth(lambda: {0: stored_bytes(folder)}) as disk:
            began = time.monotonic()
            content = Content(workspace.large_bytes)
            answer = registry.request("PATCH", registry.begin(REPOSITORY), body=content).expect(202)
            registry.commit(registry.local(answer.headers["location"]), content.digest)
            pushed = time.monotonic()
            came_back = hashlib.sha256()
            path = f"/v2/{REPOSITORY}/blobs/{content.digest}"
            registry.request("GET", path, sink=came_back.update).expect(200)
            pulled = time.monotonic()
        server.stop()
    check("sha256:" + came_back.hexdigest() == content.digest, "the blob came back with another digest")
    grown = memory.growth_bytes >> 20
    check(grown < BUDGET_MIB, f"a process grew by {grown} MiB, the limit is {BUDGET_MIB}")
    spooled = disk.growth_bytes >> 20
    check(bucket is None or spooled < SPOOLED_MIB, f"{spooled} MiB of a blob in a bucket were on the disk")
    mebibytes = workspace.large_bytes >> 20
    return (
        f"{mebibytes} MiB: no process grew by more than {grown} MiB, {spooled} MiB on the disk; "
        f"in at {mebibytes / (pushed - began):.0f}, out at {mebibytes / (pulled - pushed):.0f} MiB/s"
    )
