"""zot's own benchmark, run on Lading as it is: what it says of each of its tests."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import SHARED_MEMORY
from bench.process import NotStarted
from bench.report import joined
from bench.served import Peer

_SECONDS, _QUICK_SECONDS = 900, 60
_AT_ONCE, _REQUESTS, _QUICK_REQUESTS = 4, 24, 8
_QUICK_TESTS = "Get Catalog|1MB"
_FACTS = {
    "test": r"Test name:\s*(.+)",
    "requests/s": r"Requests per second:\s*([\d.]+)",
    "failed": r"Failed requests:\s*(\d+)",
    "p50": r"p50:\s*(\S+)",
    "p99": r"p99:\s*(\S+)",
}


def run_zb(program: str, peer: Peer, *, is_quick: bool) -> list[str]:
    """The lines of a table; raises NotStarted where it cannot be run."""
    tests = ["-t", _QUICK_TESTS] if is_quick else []
    count = str(_QUICK_REQUESTS if is_quick else _REQUESTS)
    command = [str(Path(program).resolve()), "-c", str(_AT_ONCE), "-n", count, *tests, f"http://{peer.address}"]
    seconds = _QUICK_SECONDS if is_quick else _SECONDS
    with TemporaryDirectory(prefix="lading-bench.", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as late:
            return [*table((late.output or b"").decode(errors="replace")), f"zb was ended after {seconds} s"]
        except OSError as reason:
            raise NotStarted(f"{program} cannot be run: {reason}") from reason
    said = done.stdout.decode(errors="replace")
    ending = [f"zb ended with {done.returncode}: {said[-300:]}"] if done.returncode else []
    return [*table(said), *ending]


def table(said: str) -> list[str]:
    """What it said of each test, as the lines of a Markdown table."""
    return [joined(["zb, on Lading", *list(_FACTS)[1:]]), joined(["---"] * len(_FACTS)), *_rows(said)]


def _rows(said: str) -> Iterator[str]:
    for part in re.split(r"(?=Test name:)", said)[1:]:
        found = (re.search(pattern, part) for pattern in _FACTS.values())
        yield joined([match.group(1).strip() if match else "-" for match in found])
