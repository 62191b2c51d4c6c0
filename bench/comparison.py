"""What was measured of the same loads on several registries, with ratios taken within each round."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from bench.load import MIB
from bench.report import GIB, joined
from bench.rounds import Spread


class Unit(Enum):
    """What a figure counts."""

    RATE = "MiB/s"
    REQUESTS = "requests/s"
    IMAGES = "images/s"
    TIME = "ms"
    MEMORY = "MiB"

    @property
    def is_better_high(self) -> bool:
        """Whether more of it is better."""
        return self not in {Unit.TIME, Unit.MEMORY}


RATE, TIME, REQUESTS, IMAGES, MEMORY = Unit.RATE, Unit.TIME, Unit.REQUESTS, Unit.IMAGES, Unit.MEMORY


@dataclass(frozen=True, slots=True)
class Measurement:
    """One round of one load on one registry; sizes are bytes, `requests` are those of a load of small ones."""

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
    requests: int = 0
    client_cpu_seconds: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU time of the registry: microseconds a request, else seconds for each GiB; 0 where neither was counted."""
        if self.unit is REQUESTS:
            return self.cpu_seconds * 1e6 / self.requests if self.requests else 0.0
        return self.cpu_seconds * GIB / self.moved_bytes if self.moved_bytes else 0.0


Kind = Callable[[Measurement], float]


def figure(measured: Measurement) -> float:
    """What a load is about: a rate, a time or a size."""
    return measured.figure


def cpu(measured: Measurement) -> float:
    """What the same work cost the registry."""
    return measured.cpu


def peak(measured: Measurement) -> float:
    """The most memory, in MiB."""
    return measured.peak_memory_bytes / MIB


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and what stands there for the rounds of a row on a registry."""

    title: str
    cell: Callable[[Sequence[Measurement]], str]


def beside(measurements: Sequence[Measurement], registry: str) -> Column:
    """A column of ratios to a registry; each is of two figures of one round, taken by turns within seconds."""

    def cell(there: Sequence[Measurement]) -> str:
        found = ratio(measurements, there[0].row, there[0].registry, registry)
        return "-" if found is None else f"{found.median:.2f} ({found.least:.2f}-{found.most:.2f})"

    return Column(f"beside {registry}", cell)


def table(measurements: Sequence[Measurement], columns: Sequence[Column]) -> list[str]:
    """The lines of a Markdown table, one for each row and registry."""
    lines = [
        joined(["load", "registry", *(column.title for column in columns)]),
        joined(["---"] * (2 + len(columns))),
    ]
    for row, registry in dict.fromkeys((each.row, each.registry) for each in measurements):
        there = rounds_of(measurements, row, registry)
        lines.append(joined([row, registry, *(column.cell(there) for column in columns)]))
    return lines


def rounds_of(measurements: Sequence[Measurement], row: str, registry: str) -> list[Measurement]:
    """Every round of a row on a registry."""
    return [each for each in measurements if each.row == row and each.registry == registry]


def ratio(
    measurements: Sequence[Measurement], row: str, registry: str, other: str, kind: Kind = figure
) -> Spread | None:
    """How the figures of a row compare, round by round; None where one of the two was not measured, or came to 0."""
    pairs = zip(rounds_of(measurements, row, registry), rounds_of(measurements, row, other), strict=False)
    ratios = [kind(one) / kind(two) for one, two in pairs if kind(two) > 0]
    return Spread.of(ratios) if ratios else None


def best(measurements: Sequence[Measurement], row: str, registries: Sequence[str], kind: Kind = figure) -> str | None:
    """Which of some registries is the best one in a row by its median, of those without errors; None without any."""
    found: dict[str, float] = {}
    is_high = kind is figure
    for registry in registries:
        there = rounds_of(measurements, row, registry)
        if there and not any(each.errors for each in there):
            is_high = is_high and there[0].unit.is_better_high
            found[registry] = _median(list(map(kind, there)))
    if not found:
        return None
    return max(found, key=found.__getitem__) if is_high else min(found, key=found.__getitem__)


def write_json(path: Path, facts: Mapping[str, object], measurements: Sequence[Measurement]) -> None:
    """Every measurement and what is known of the run."""
    rows = [asdict(each) | {"unit": each.unit.value} for each in measurements]
    path.write_text(json.dumps({**facts, "measurements": rows}, indent=2) + "\n")


def figures(there: Sequence[Measurement]) -> str:
    """The figures of some rounds with their spread, in as many digits as tell something."""
    found = Spread.of([each.figure for each in there])
    digits = 2 if there[0].unit is TIME else 0 if found.median >= 20 else 1  # noqa: PLR2004  two digits tell enough
    return f"{found.median:.{digits}f} {there[0].unit.value} ({found.least:.{digits}f}-{found.most:.{digits}f})"


def _cost(there: Sequence[Measurement]) -> str:
    middle = _median(list(map(cpu, there)))
    if not middle:
        return "-"
    return f"{middle:.0f} µs" if there[0].unit is REQUESTS else f"{middle:.2f} s/GiB"


def _median(values: Sequence[float]) -> float:
    return Spread.of(values).median


FIGURE = Column("median (min-max)", figures)
IDLE = Column("idle MiB", lambda there: f"{_median([each.idle_memory_bytes / MIB for each in there]):.0f}")
PEAK = Column("peak MiB", lambda there: f"{max(map(peak, there)):.0f}")
ROUNDS = Column("rounds", lambda there: str(len(there)))
ERRORS = Column("errors", lambda there: str(sum(len(each.errors) for each in there)))
CPU_PER_GIB = Column("CPU s/GiB", lambda there: f"{_median(list(map(cpu, there))):.2f}")
CPU = Column("CPU", _cost)
LOAD = Column("machine's load", lambda there: f"{_median([each.load_average for each in there]):.1f}")
