"""What was measured of the same loads on several registries, with ratios taken within each round."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from bench.load import MIB
from bench.report import GIB, joined
from bench.rounds import Spread


class Unit(Enum):
    """What a figure counts."""

    RATE = "MiB/s"
    TIME = "ms"


RATE, TIME = Unit.RATE, Unit.TIME


@dataclass(frozen=True, slots=True)
class Measurement:
    """One round of one load on one registry; sizes are bytes."""

    row: str
    unit: Unit
    registry: str
    figure: float
    moved_bytes: int
    cpu_seconds: float
    idle_memory_bytes: int
    peak_memory_bytes: int
    load_average: float
    errors: tuple[str, ...]

    @property
    def cpu_per_gib(self) -> float:
        """CPU seconds of the registry for each GiB."""
        return self.cpu_seconds * GIB / self.moved_bytes


COLUMNS = ("load", "registry", "median (min-max)", "beside {}", "CPU s/GiB", "idle MiB", "peak MiB", "rounds", "errors")


def table(measurements: Sequence[Measurement], beside: str) -> list[str]:
    """The lines of a Markdown table; each ratio is of two figures of one round, taken by turns within seconds."""
    lines = [joined([column.format(beside) for column in COLUMNS]), joined(["---"] * len(COLUMNS))]
    for row, registry in dict.fromkeys((each.row, each.registry) for each in measurements):
        there = _of(measurements, row, registry)
        lines.append(_line(there, _ratios(there, _of(measurements, row, beside))))
    return lines


def ratio(measurements: Sequence[Measurement], row: str, registry: str, beside: str) -> Spread | None:
    """How the figures of a row compare, None where one of the two was not measured."""
    ratios = _ratios(_of(measurements, row, registry), _of(measurements, row, beside))
    return Spread.of(ratios) if ratios else None


def write_json(path: Path, facts: Mapping[str, object], measurements: Sequence[Measurement]) -> None:
    """Every measurement and what is known of the run."""
    rows = [asdict(each) | {"unit": each.unit.value} for each in measurements]
    path.write_text(json.dumps({**facts, "measurements": rows}, indent=2) + "\n")


def _of(measurements: Sequence[Measurement], row: str, registry: str) -> list[Measurement]:
    return [each for each in measurements if each.row == row and each.registry == registry]


def _ratios(these: Sequence[Measurement], others: Sequence[Measurement]) -> list[float]:
    return [one.figure / other.figure for one, other in zip(these, others, strict=False)]


def _line(there: Sequence[Measurement], ratios: Sequence[float]) -> str:
    figure = Spread.of([each.figure for each in there])
    digits = 0 if there[0].unit is RATE else 2
    cells = [
        there[0].row,
        there[0].registry,
        f"{figure.median:.{digits}f} {there[0].unit.value} ({figure.least:.{digits}f}-{figure.most:.{digits}f})",
        _spread(Spread.of(ratios)) if ratios else "-",
        f"{Spread.of([each.cpu_per_gib for each in there]).median:.2f}",
        f"{Spread.of([each.idle_memory_bytes / MIB for each in there]).median:.0f}",
        f"{max(each.peak_memory_bytes for each in there) / MIB:.0f}",
        str(len(there)),
        str(sum(len(each.errors) for each in there)),
    ]
    return joined(cells)


def _spread(found: Spread) -> str:
    return f"{found.median:.2f} ({found.least:.2f}-{found.most:.2f})"
