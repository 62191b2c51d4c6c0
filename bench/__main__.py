"""Measure Lading beside other registries: `python -m bench` (or `speed`), and `s3` and `encryption`."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import encryption
from bench.bucket import S3Server, need_keys
from bench.load import MIB
from bench.peers import DISTRIBUTION, PEERS, versions
from bench.process import NotStarted, unwritable
from bench.pushes import Pushing, loads
from bench.report import Sample, machine, remarks, table, write_json
from bench.speed import command as speed

SECONDS, QUICK_SECONDS = 560.0, 100.0
SPEED = "speed"


def arguments(words: list[str]) -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    fast = benchmarks.add_parser(SPEED, help="everything side by side; what is meant when nothing is named")
    speed.add_arguments(fast)
    s3 = benchmarks.add_parser("s3", help="pushes of 100 MiB and 1 GiB with the content in S3")
    s3.add_argument("--endpoint", metavar="URL", help="an S3 server that runs already; else minio is started")
    s3.add_argument("--quick", action="store_true", help="100 MiB only, and fewer rounds: at most two minutes")
    s3.add_argument("--chunked", action="store_true", help="PATCH in chunks, as docker sends it, without a length")
    s3.add_argument("--peer", choices=list(PEERS), action="append", help="only this registry; may be repeated")
    sealing = benchmarks.add_parser("encryption", help="pushes, pulls and ranges with encryption and without it")
    sealing.add_argument("--quick", action="store_true", help="fewer rounds: at most five minutes")
    sealing.add_argument("--folder", type=Path, help="where content is kept (default: in memory, else with TMPDIR)")
    for each, seconds in ((fast, speed.SECONDS), (s3, SECONDS), (sealing, encryption.SECONDS)):
        each.add_argument("--seconds", type=float, help=f"begin no round that would end later (default {seconds:.0f})")
        each.add_argument("--workers", type=int, default=2, help="Lading's worker processes (default 2)")
        each.add_argument("--only", metavar="TEXT", default="", help="only loads whose name has this in it")
        each.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    is_named = bool(words) and (words[0] in benchmarks.choices or words[0] in {"-h", "--help"})
    return parser.parse_args(words if is_named else [SPEED, *words])


def told(sample: Sample) -> str:
    """A line about one sample, for whoever waits."""
    return (
        f"{sample.row:<40} {sample.peer:<13} {sample.rate:>6.0f} MiB/s  peak {sample.peak_memory_bytes / MIB:.0f} MiB  "
        f"errors {len(sample.errors)}"
    )


def measure(asked: argparse.Namespace, folder: Path) -> list[Sample]:
    """Every sample of the benchmark; tells what was not as it should be."""
    rows = [row for row in loads(is_quick=asked.quick, is_chunked=asked.chunked) if asked.only in row.row.name]
    seconds = asked.seconds or (QUICK_SECONDS if asked.quick else SECONDS)
    samples = []
    with S3Server(folder, asked.endpoint) as server, unwritable(folder / "unwritable") as is_unwritable:
        print(f"{machine()}; S3: {server.name}; Lading's TMPDIR {'cannot' if is_unwritable else 'CAN'} be written to")
        pushing = Pushing(server, folder, folder / "unwritable", asked.workers)
        for sample in pushing.samples(rows, asked.peer or list(PEERS), seconds):
            samples.append(sample)
            print(told(sample), flush=True)
    return samples


def run_s3(asked: argparse.Namespace) -> int:
    """Print a table; 0 when every push succeeded."""
    began = time.monotonic()
    if asked.endpoint:
        need_keys()
    known = versions()
    with tempfile.TemporaryDirectory(prefix="lading-bench.", ignore_cleanup_errors=True) as folder:
        samples = measure(asked, Path(folder))
    print(*("", *(f"{name} {version}" for name, version in known.items())), sep="\n")
    print(*dict.fromkeys(remark for name in known for remark in remarks(samples, name)), sep="\n")
    print(f"took {time.monotonic() - began:.0f} s", "", *table(samples, DISTRIBUTION), sep="\n")
    if asked.json:
        write_json(asked.json, {"machine": machine(), "versions": known}, samples)
    return 1 if any(sample.errors for sample in samples) else 0


RUNS = {SPEED: speed.run, "s3": run_s3, "encryption": encryption.run}


def main() -> int:
    """Measure what was asked for; 2 when something could not be started."""
    asked = arguments(sys.argv[1:])
    # so that whoever ends it does not leave registries behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return RUNS[asked.benchmark](asked)
    except NotStarted as reason:
        print(reason, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
