"""Many pushes at the same moment, some of the same content."""

import threading
from concurrent.futures import ThreadPoolExecutor

from proofs.outcome import check
from proofs.pushes import BROKEN, Image, Ledger, reads
from proofs.server import Server
from proofs.workspace import Workspace

PUSHES = 64
REPOSITORIES = 8


def prove(workspace: Workspace) -> str:
    """Every one of 64 pushes that start together succeeds, and everything is readable."""
    folder = workspace.folder("crowd")
    ledger = Ledger()
    start = threading.Barrier(PUSHES)
    with Server(workspace, folder / "data", folder / "server.log") as server:

        def push(number: int) -> str:
            # pairs push the same image, into repositories that several share
            image = Image(number // 2, f"crowd/{number % REPOSITORIES}")
            start.wait()
            try:
                ledger.push(server.registry, image)
            except BROKEN as error:
                return f"push {number}: {error}"
            return ""

        with ThreadPoolExecutor(PUSHES) as pool:
            failures = [reason for reason in pool.map(push, range(PUSHES)) if reason]
        check(not failures, f"{len(failures)} of {PUSHES} failed: {failures[:3]}")
        ledger.latest.clear()  # several pushed it at once: any of them may have won
        lost = [reason for reason in (read() for read in reads(server.registry, ledger)) if reason]
        check(not lost, f"{len(lost)} are not readable: {lost[:3]}")
        server.verify()
        server.stop()
    return f"{PUSHES} at once, {len(ledger.blobs)} blobs readable"
