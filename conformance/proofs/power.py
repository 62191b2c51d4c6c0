"""The power is cut in the middle of pushes: the disk is copied at one instant, and the server starts on the copy."""

import contextlib
import os
import random
import time
from pathlib import Path

from proofs.disk import Disk
from proofs.outcome import Inconclusive
from proofs.pushes import Ledger, Pushing, compare
from proofs.server import Server
from proofs.workspace import Workspace, need_root

DISK_BYTES = 1 << 30
SECONDS_BEFORE = (0.8, 2.5)
LAST_ANSWERS_SECONDS = 0.3
CONTROL = "written-but-not-synced"
CONTROL_BYTES = 1 << 20


def prove(workspace: Workspace) -> str:
    """A cut loses nothing that was acknowledged, and does lose what was not synced."""
    need_root()
    folder = workspace.folder("power")
    workspace.need_space(3 * DISK_BYTES)
    rounds = (workspace.rounds + 1) // 2
    ledger = Ledger()
    again = 0
    disk = Disk.make(folder / "disk-0", folder / "mount", DISK_BYTES)
    for number in range(rounds):
        following = cut(workspace, disk, ledger, folder / f"disk-{number + 1}")
        again += len(ledger.unfinished)
        disk.image.unlink()
        disk = Disk(following, folder / "mount")
        with disk, serving(workspace, disk) as server:
            compare(server.registry, ledger)
            server.verify()
            server.stop()
    return f"{rounds} cuts: {len(ledger.blobs)} blobs, {len(ledger.manifests)} images kept, {again} pushed again"


def serving(workspace: Workspace, disk: Disk) -> Server:
    """A server on this disk."""
    return Server(workspace, disk.folder / "data", disk.image.parent / "server.log")


def cut(workspace: Workspace, disk: Disk, ledger: Ledger, image: Path) -> Path:
    """Push, and copy the disk to IMAGE at one instant; the server never gets to run again."""
    with disk, serving(workspace, disk) as server, contextlib.ExitStack() as ending:
        pushing = ending.enter_context(Pushing(server.registry, ledger))
        ending.callback(server.kill)  # before the pushers are waited for
        time.sleep(random.uniform(*SECONDS_BEFORE))
        pushing.expect_the_end()
        server.pause()
        time.sleep(LAST_ANSWERS_SECONDS)  # what was sent before the cut is read
        control = os.urandom(CONTROL_BYTES)
        (disk.folder / CONTROL).write_bytes(control)
        disk.copy(image)
    expect_loss(Disk(image, disk.folder), control)
    return image


def expect_loss(disk: Disk, control: bytes) -> None:
    """The file that nobody synced must not have survived, else the copy proves nothing."""
    with disk:
        written = disk.folder / CONTROL
        if written.exists() and written.read_bytes() == control:
            raise Inconclusive("a write that was not synced survived the cut")
        written.unlink(missing_ok=True)
