"""What was measured, as a Markdown table and as JSON."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.load import MIB, SHARED_MEMORY
from bench.rounds import Spread

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one registry; times are seconds, sizes bytes."""

    row: str
    peer: str
    seconds: float
    pushed_bytes: int
    registry_cpu_seconds: float
    s3_cpu_seconds: float
    client_cpu_seconds: float
    idle_memory_bytes: int
    peak_memory_bytes: int
    written_bytes: int
    load_average: float
    errors: tuple[str, ...]

    @property
    def rate(self) -> float:
        """MiB a second."""
        return self.pushed_bytes / MIB / self.seconds


COLUMNS = (
    "load",
    "registry",
    "MiB/s (min-max)",
    "ratio",
    "CPU s/GiB",
    "S3's CPU s/GiB",
    "idle MiB",
    "peak MiB",
    "rounds",
    "errors",
    "machine's load",
)


def machine() -> str:
    """What the figures were measured on; builds of one version of Python differ by a quarter."""
    python = f"Python {platform.python_version()} of {sys.base_prefix}"
    return f"{os.cpu_count()} cores, Linux {platform.release()}, {python}"


@contextmanager
def memory_folder(asked: Path | None) -> Iterator[Path]:
    """A folder for the content of a run: below the one that was asked for, else in memory, else with TMPDIR."""
    where = asked or (SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="lading-bench.", dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def table(samples: Sequence[Sample], beside: str) -> list[str]:
    """The lines of a Markdown table; ratios are to the median rate of the registry `beside`, in the same row."""
    lines = [joined(COLUMNS), joined(["---"] * len(COLUMNS))]
    rows = dict.fromkeys((sample.row, sample.peer) for sample in samples)
    for row, peer in rows:
        there = [sample for sample in samples if sample.row == row and sample.peer == peer]
        others = [sample.rate for sample in samples if sample.row == row and sample.peer == beside]
        lines.append(_line(there, Spread.of(others).median if others else None))
    return lines


def remarks(samples: Sequence[Sample], peer: str) -> list[str]:
    """What the table has no column for: the client's own cost, and what a registry wrote to its disk."""
    there = [sample for sample in samples if sample.peer == peer]
    pushed = sum(sample.pushed_bytes for sample in there) / GIB
    written = sum(sample.written_bytes for sample in there) / MIB
    client = sum(sample.client_cpu_seconds for sample in samples)
    everything = sum(sample.pushed_bytes for sample in samples) / GIB
    return [
        f"{peer} wrote {written:.1f} MiB to its own disk while {pushed:.1f} GiB were pushed",
        f"the client cost {client / everything:.2f} CPU s/GiB",
        *dict.fromkeys(f"{sample.peer}, {sample.row}: {error}" for sample in samples for error in sample.errors),
    ]


def write_json(path: Path, facts: Mapping[str, object], samples: Sequence[Sample]) -> None:
    """Every sample and what is known of the run."""
    document = {**facts, "samples": [asdict(sample) for sample in samples]}
    path.write_text(json.dumps(document, indent=2) + "\n")


def _line(samples: Sequence[Sample], beside: float | None) -> str:
    rate = Spread.of([sample.rate for sample in samples])
    cells = [
        samples[0].row,
        samples[0].peer,
        f"{rate.median:.0f} ({rate.least:.0f}-{rate.most:.0f})",
        "-" if beside is None else f"{rate.median / beside:.2f}",
        f"{Spread.of([each.registry_cpu_seconds * GIB / each.pushed_bytes for each in samples]).median:.2f}",
        f"{Spread.of([each.s3_cpu_seconds * GIB / each.pushed_bytes for each in samples]).median:.2f}",
        f"{max(each.idle_memory_bytes for each in samples) / MIB:.0f}",
        f"{max(each.peak_memory_bytes for each in samples) / MIB:.0f}",
        str(len(samples)),
        str(sum(len(each.errors) for each in samples)),
        f"{Spread.of([each.load_average for each in samples]).median:.1f}",
    ]
    return joined(cells)


def joined(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
