"""An upload goes on after the server was killed, on whichever worker answers."""

import dataclasses
import os
import re
import time
from collections.abc import Iterator

from proofs.outcome import Failed, check
from proofs.registry import Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

PIECE_BYTES = 1 << 20
PIECES = 12
KILLED_AFTER = (4, 8)
BROKEN_OFF_BYTES = 300_000
WORKERS = 4
LEASE_SECONDS = 15  # a writer in a bucket is taken for dead after ten
REPOSITORY = "resume/upload"


class CutOff(Exception):
    """Raised in the middle of a body, to break the connection off."""


def prove(workspace: Workspace) -> str:
    """Each request has a connection of its own; the status after a kill never claims more than was sent."""
    folder = workspace.folder("resume")
    content = os.urandom(PIECES * PIECE_BYTES)
    several = dataclasses.replace(workspace, workers=max(WORKERS, workspace.workers))
    with Server(several, folder / "data", folder / "server.log") as server:
        location = server.registry.begin(REPOSITORY)
        offset = 0
        for number in range(PIECES):
            if number in KILLED_AFTER:
                break_off(server.registry, location, content, offset)
                server.kill()
                server.start()
                offset = status(server.registry, location, most=offset + BROKEN_OFF_BYTES)
            location, offset = append(server.registry, location, content, offset)
        while offset < len(content):  # what a kill took back is sent again
            location, offset = append(server.registry, location, content, offset)
        digest = sha256(content)
        server.registry.commit(location, digest)
        server.registry.pull_blob(REPOSITORY, digest)
        server.verify()
        server.stop()
    return f"{len(KILLED_AFTER)} kills, {several.workers} workers, {PIECES} pieces"


def append(registry: Registry, location: str, content: bytes, offset: int) -> tuple[str, int]:
    """Send the next piece, once no killed writer holds the upload; where to go on, and from which byte."""
    deadline = time.monotonic() + LEASE_SECONDS
    while True:
        piece = content[offset : offset + PIECE_BYTES]
        headers = {"Content-Range": f"{offset}-{offset + len(piece) - 1}", "Content-Type": "application/octet-stream"}
        answer = registry.request("PATCH", location, body=piece, headers=headers)
        if answer.status != 416 or time.monotonic() > deadline:
            return registry.local(answer.expect(202).headers["location"]), offset + len(piece)
        time.sleep(0.5)
        offset = status(registry, location, most=offset)


def break_off(registry: Registry, location: str, content: bytes, offset: int) -> None:
    """Begin the next piece and cut the connection in the middle of it."""

    def part() -> Iterator[bytes]:
        yield content[offset : offset + BROKEN_OFF_BYTES]
        raise CutOff

    headers = {"Content-Range": f"{offset}-{offset + PIECE_BYTES - 1}", "Content-Length": str(PIECE_BYTES)}
    try:
        registry.request("PATCH", location, body=part(), headers=headers)
    except CutOff:
        return
    raise Failed("the server answered before the body was out")


def status(registry: Registry, location: str, most: int) -> int:
    """Where the server says that the upload goes on."""
    answer = registry.request("GET", location)
    check(answer.status == 204, f"the upload is gone after a kill: {answer.status} {answer.body[:200]!r}")
    last = re.fullmatch(r"0-(\d+)", answer.headers.get("range", ""))
    offset = int(last[1]) + 1 if last and last[1] != "0" else 0
    check(offset <= most, f"the status claims {offset} bytes, only {most} were sent")
    return offset
