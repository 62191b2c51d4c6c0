"""The disk fills up during a push, and is full before one."""

import os
import shutil
import time
from collections.abc import Iterator

from proofs.disk import Disk
from proofs.outcome import Failed, check
from proofs.pushes import BROKEN, Ledger, reads
from proofs.registry import Answer, Registry, sha256
from proofs.server import Server
from proofs.workspace import Workspace

DISK_BYTES = 192 << 20
TOO_LARGE_BYTES = 256 << 20
PIECE = os.urandom(1 << 20)
ACCEPTED = 202
NO_SPACE = 507
UNAVAILABLE = 503
SLACK_BYTES = 4 << 20
SETTLE_SECONDS = 15
REPOSITORY = "full/disk"


def prove(workspace: Workspace) -> str:
    """No space is 507 with the error document; the server lives, and what was there before stays."""
    folder = workspace.folder("full")
    disk = Disk.make(folder / "disk", folder / "mount", DISK_BYTES)
    with disk, Server(workspace, disk.folder / "data", folder / "server.log") as server:
        registry = server.registry
        ledger = Ledger()
        for _ in range(3):
            ledger.push(registry, ledger.new_image(REPOSITORY))
        free_bytes = shutil.disk_usage(disk.folder).free
        for headers in ({}, {"Content-Length": str(TOO_LARGE_BYTES)}):
            expect_no_space(push_too_much(registry, headers))
            expect_space_back(disk, free_bytes)
            registry.push_blob(REPOSITORY, os.urandom(100_000))
        full_before_a_push(registry, disk, ledger)
        read_all(registry, ledger)
        server.verify()
        server.stop()
    return f"507 for {TOO_LARGE_BYTES >> 20} MiB on a disk of {DISK_BYTES >> 20} MiB; space came back, content intact"


def read_all(registry: Registry, ledger: Ledger) -> None:
    """What was there before is intact."""
    lost = [reason for reason in (read() for read in reads(registry, ledger)) if reason]
    check(not lost, f"{len(lost)} are not readable: {lost[:3]}")


def push_too_much(registry: Registry, headers: dict[str, str]) -> Answer:
    """Stream more than the disk holds."""
    location = registry.begin(REPOSITORY)
    try:
        return registry.request("PATCH", location, body=pieces(), headers=headers)
    except BROKEN as error:
        raise Failed(f"no answer could be read when the disk was full: {error!r}") from error


def pieces() -> Iterator[bytes]:
    """More bytes than the disk holds."""
    for _ in range(TOO_LARGE_BYTES // len(PIECE)):
        yield PIECE


def expect_no_space(answer: Answer) -> None:
    """507 with the error document of the specification."""
    check(answer.status == NO_SPACE, f"answered {answer.status}, not {NO_SPACE}: {answer.body[:200]!r}")
    first = answer.json()["errors"][0]
    check(first["code"] and first["message"], f"not an OCI error document: {answer.body[:200]!r}")


def expect_space_back(disk: Disk, free_bytes: int) -> None:
    """What the refused push had staged is freed."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (free := shutil.disk_usage(disk.folder).free) < free_bytes - SLACK_BYTES:
        check(time.monotonic() < deadline, f"{(free_bytes - free) >> 20} MiB were not freed in {SETTLE_SECONDS} s")
        time.sleep(0.2)


def full_before_a_push(registry: Registry, disk: Disk, ledger: Ledger) -> None:
    """Somebody else fills the disk: pushes are refused, /readyz says so, reads go on, and all recovers."""
    filler = disk.folder / "somebody-else"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(PIECE):
                pass
        except OSError:
            pass
    expect_ready(registry, UNAVAILABLE)
    content = os.urandom(2_000_000)
    answer = registry.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/?digest={sha256(content)}", body=content)
    if answer.status == ACCEPTED:  # not taken in one request: the upload is refused instead
        answer = registry.request("PATCH", registry.local(answer.headers["location"]), body=content)
    expect_no_space(answer)
    read_all(registry, ledger)
    filler.unlink()
    expect_ready(registry, 200)
    registry.pull_blob(REPOSITORY, registry.push_blob(REPOSITORY, content))


def expect_ready(registry: Registry, status: int) -> None:
    """/readyz comes to answer so."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (answered := registry.request("GET", "/readyz").status) != status:
        check(time.monotonic() < deadline, f"/readyz answers {answered}, not {status}, after {SETTLE_SECONDS} s")
        time.sleep(0.5)
