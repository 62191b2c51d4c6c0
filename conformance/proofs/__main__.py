"""Prove that the server keeps what it acknowledges, stays within its bounds, and comes and goes cleanly."""

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proofs import (
    access,
    canary,
    crowd,
    drain,
    full,
    kill,
    large,
    power,
    resume,
    rotation,
    s3_away,
    s3_faults,
    s3_many,
    sweep,
    takeover,
    tamper,
    tokens,
)
from proofs.outcome import Inconclusive, Skipped
from proofs.workspace import Workspace

PROOFS: dict[str, Callable[[Workspace], str]] = {
    "kill": kill.prove,
    "power": power.prove,
    "full": full.prove,
    "large": large.prove,
    "crowd": crowd.prove,
    "resume": resume.prove,
    "takeover": takeover.prove,
    "sweep": sweep.prove,
    "drain": drain.prove,
    "tokens": tokens.prove,
    "access": access.prove,
    "canary": canary.prove,
    "s3-canary": canary.prove_in_s3,
    "tamper": tamper.prove,
    "s3-tamper": tamper.prove_in_s3,
    "rotation": rotation.prove,
    "s3-faults": s3_faults.prove,
    "s3-away": s3_away.prove,
    "s3-many": s3_many.prove,
}
LARGE_BYTES = 5 << 30
QUICK_LARGE_BYTES = 1 << 30
MANY_BLOBS = 20_000
QUICK_MANY_BLOBS = 1_500
DETAIL_CHARACTERS = 900


def arguments() -> argparse.Namespace:
    """What to prove, and how much of it."""
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PROOFS], metavar="NAME", help=" ".join(PROOFS))
    parser.add_argument("--command", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="kills, and twice the power cuts (default 5)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--quick", action="store_true", help="1 GiB in place of 5, 1,500 blobs of 20,000, three rounds")
    parser.add_argument("--keep", action="store_true", help="keep the data and the logs")
    return parser.parse_args()


def run(prove: Callable[[Workspace], str], workspace: Workspace) -> tuple[str, str]:
    """The result of one proof and what it saw."""
    try:
        return "PASS", prove(workspace)
    except Skipped as reason:
        return "SKIP", str(reason)
    except Inconclusive as reason:
        return "INCONCLUSIVE", str(reason)
    except Exception as error:  # noqa: BLE001 - whatever breaks a proof is its result
        return "FAIL", f"{type(error).__name__}: {error}"


def main() -> int:
    """Print a table; 0 when nothing failed and nothing was inconclusive."""
    asked = arguments()
    directory = Path(tempfile.mkdtemp(prefix="lading-proofs."))
    workspace = Workspace(
        directory=directory,
        command=shlex.split(asked.command),
        workers=asked.workers,
        rounds=min(asked.rounds, 3) if asked.quick else asked.rounds,
        large_bytes=QUICK_LARGE_BYTES if asked.quick else LARGE_BYTES,
        many_blobs=QUICK_MANY_BLOBS if asked.quick else MANY_BLOBS,
    )
    results = []
    print(f"{'proof':<9} {'seconds':>7}  {'result':<12} detail", flush=True)
    for name in asked.names or PROOFS:
        began = time.monotonic()
        result, detail = run(PROOFS[name], workspace)
        results.append(result)
        line = " ".join(detail.split())[:DETAIL_CHARACTERS]
        print(f"{name:<9} {time.monotonic() - began:>7.1f}  {result:<12} {line}", flush=True)
        if result in ("PASS", "SKIP") and not asked.keep:
            shutil.rmtree(directory / name, ignore_errors=True)
    passed, skipped = results.count("PASS"), results.count("SKIP")
    failed = len(results) - passed - skipped
    if failed or asked.keep:
        print(f"data and logs are kept in {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"conformance/reliability: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
