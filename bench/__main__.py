"""Measure Lading beside other registries: `python -m bench s3`, `python -m bench encryption`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench import comparison, encryption, files
from bench.bucket import S3Server, need_keys
from bench.comparison import Measurement
from bench.load import MIB, SHARED_MEMORY
from bench.peers import DISTRIBUTION, LADING, PEERS, versions
from bench.process import NotStarted, unwritable
from bench.pushes import Pushing, loads
from bench.report import Sample, machine, remarks, table, write_json

SECONDS, QUICK_SECONDS = 560.0, 100.0
SEALING_SECONDS, QUICK_SEALING_SECONDS = 900.0, 300.0


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    s3 = benchmarks.add_parser("s3", help="pushes of 100 MiB and 1 GiB with the content in S3")
    s3.add_argument("--endpoint", metavar="URL", help="an S3 server that runs already; else minio is started")
    s3.add_argument("--quick", action="store_true", help="100 MiB only, and fewer rounds: at most two minutes")
    s3.add_argument("--chunked", action="store_true", help="PATCH in chunks, as docker sends it, without a length")
    s3.add_argument("--peer", choices=list(PEERS), action="append", help="only this registry; may be repeated")
    sealing = benchmarks.add_parser("encryption", help="pushes, pulls and ranges with encryption and without it")
    sealing.add_argument("--quick", action="store_true", help="fewer rounds: at most five minutes")
    sealing.add_argument("--folder", type=Path, help="where content is kept (default: in memory, else with TMPDIR)")
    for each, seconds in ((s3, SECONDS), (sealing, SEALING_SECONDS)):
        each.add_argument("--seconds", type=float, help=f"begin no round that would end later (default {seconds:.0f})")
        each.add_argument("--workers", type=int, default=2, help="Lading's worker processes (default 2)")
        each.add_argument("--only", metavar="TEXT", default="", help="only loads whose name has this in it")
        each.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    return parser.parse_args()


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


def found_versions() -> tuple[dict[str, str], str]:
    """The versions of what is measured, and the name of a registry that is not there."""
    try:
        return versions(), ""
    except NotStarted as reason:
        print(f"{reason}; it is left out", file=sys.stderr)
        return {LADING: ""}, DISTRIBUTION


def run_encryption(asked: argparse.Namespace) -> int:
    """Print a table and what became of each target; 0 when every request succeeded."""
    began = time.monotonic()
    known, absent = found_versions()
    rows = [row for row in encryption.loads(is_quick=asked.quick) if asked.only in row.row.name]
    seconds = asked.seconds or (QUICK_SEALING_SECONDS if asked.quick else SEALING_SECONDS)
    where = asked.folder or (SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="lading-bench.", dir=where, ignore_cleanup_errors=True) as folder:
        print(f"{machine()}; content in {where or 'the temporary directory'}")
        measuring = encryption.Measuring(Path(folder), asked.workers)
        for each in measuring.measurements(rows, absent, seconds):
            measurements.append(each)
            print(f"{each.row:<44} {each.registry:<13} {each.figure:>8.2f} {each.unit.value}", flush=True)
    print("", *(f"{name} {version}" for name, version in known.items()), *encryption.verdicts(measurements), sep="\n")
    print(*dict.fromkeys(error for each in measurements for error in each.errors), sep="\n")
    print(f"took {time.monotonic() - began:.0f} s", "", *comparison.table(measurements, files.PLAIN), sep="\n")
    if asked.json:
        comparison.write_json(asked.json, {"machine": machine(), "versions": known}, measurements)
    return 1 if any(each.errors for each in measurements) else 0


def main() -> int:
    """Measure what was asked for; 2 when something could not be started."""
    asked = arguments()
    try:
        return run_s3(asked) if asked.benchmark == "s3" else run_encryption(asked)
    except NotStarted as reason:
        print(reason, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
