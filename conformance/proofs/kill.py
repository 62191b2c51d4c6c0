"""The server is killed in the middle of pushes and started again."""

import random
import time

from proofs.pushes import Ledger, Pushing, compare
from proofs.server import Server
from proofs.workspace import Workspace

SECONDS_BEFORE = (0.2, 1.8)
FIRST_SECONDS = 30


def prove(workspace: Workspace) -> str:
    """`kill -9` of every process loses nothing that was acknowledged."""
    folder = workspace.folder("kill")
    ledger = Ledger()
    again = 0
    with Server(workspace, folder / "data", folder / "server.log") as server:
        for _ in range(workspace.rounds):
            with Pushing(server.registry, ledger) as pushing:
                acknowledge_one(ledger)
                time.sleep(random.uniform(*SECONDS_BEFORE))
                pushing.expect_the_end()
                server.kill()
            server.start()
            again += len(ledger.unfinished)
            compare(server.registry, ledger)
            server.verify()
        server.stop()
    kept = f"{len(ledger.blobs)} blobs, {len(ledger.manifests)} images kept"
    return f"{workspace.rounds} kills: {kept}, {again} pushed again"


def acknowledge_one(ledger: Ledger) -> None:
    """Wait until one more image is in, however slow the machine is."""
    before, until = len(ledger.manifests), time.monotonic() + FIRST_SECONDS
    while len(ledger.manifests) == before and time.monotonic() < until:
        time.sleep(0.05)
