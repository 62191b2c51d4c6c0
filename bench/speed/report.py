"""What a run of the benchmark `speed` says: a document in Markdown, and plots."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.comparison import (
    CPU,
    ERRORS,
    FIGURE,
    IDLE,
    LOAD,
    PEAK,
    ROUNDS,
    Column,
    Kind,
    Measurement,
    best,
    cpu,
    figure,
    ratio,
    table,
)
from bench.files import REGISTRIES
from bench.plots import Bar, bars
from bench.report import machine
from bench.speed.aims import TARGETS
from bench.speed.competitors import ALL_PEERS, COMPARED
from bench.speed.sections import LeftOut
from bench.targets import said


@dataclass(frozen=True, slots=True)
class Run:
    """All that is known at its end."""

    present: Mapping[str, str]
    absent: Sequence[str]
    where: Path
    measured: Sequence[Measurement]
    left_out: Sequence[LeftOut]
    seconds: float


def document(run: Run) -> list[str]:
    """The lines of the report."""
    measured, verdicts = run.measured, verdicts_of(run.measured)
    reached = sum(verdict.endswith(said(True)) for verdict in verdicts)
    columns = (
        FIGURE,
        beside_best("beside the best peer", measured, figure),
        CPU,
        beside_best("CPU beside the best peer", measured, cpu),
        IDLE,
        PEAK,
        ROUNDS,
        ERRORS,
        LOAD,
    )
    return [
        *(f"{line}  " for line in facts(run)),
        "",
        *table(measured, columns),
        "",
        f"{reached} of {len(verdicts)} targets reached:",
        "",
        *(f"- {verdict}" for verdict in verdicts),
        *(f"- {each.row}: {each.registry} is left out: {each.reason}" for each in run.left_out),
        *(f"- {error}" for error in errors(measured)),
    ]


def verdicts_of(measured: Sequence[Measurement]) -> list[str]:
    """A sentence about each target that there are figures for."""
    return [verdict for target in TARGETS for verdict in target.verdicts(measured)]


def facts(run: Run) -> Iterator[str]:
    """What the figures were measured on, and with which settings."""
    yield f"{machine()}; content in {run.where}; {run.seconds:.0f} s"
    yield "client and registries share the machine; rates depend on what else it does, CPU time much less"
    yield "small requests go over 8 connections and lists over 4, unless a row says otherwise; none is pipelined"
    yield "where content is in memory, a sync costs next to nothing: --folder names a disk"
    small = [each for each in run.measured if each.requests]
    if small:
        seconds, count = sum(each.client_cpu_seconds for each in small), sum(each.requests for each in small)
        yield f"a small request cost the client {1e6 * seconds / count:.0f} µs"
    for name, version in run.present.items():
        yield f"{name}{f' ({version})' if version else ''}: {REGISTRIES[name].about}"
    yield from run.absent


def errors(measured: Sequence[Measurement]) -> list[str]:
    """Each error once."""
    return list(dict.fromkeys(f"{each.row}: {each.registry}: {error}" for each in measured for error in each.errors))


def beside_best(title: str, measured: Sequence[Measurement], kind: Kind) -> Column:
    """A column of ratios to the best of the peers, by the round."""

    def cell(there: Sequence[Measurement]) -> str:
        found = best(measured, there[0].row, ALL_PEERS, kind)
        spread = found and ratio(measured, there[0].row, there[0].registry, found, kind)
        return f"{spread.median:.2f} ({spread.least:.2f}-{spread.most:.2f}) of {found}" if spread else "-"

    return Column(title, cell)


def write_plots(folder: Path, measured: Sequence[Measurement]) -> None:
    """The ratios of Lading to its best peer, of rates and of CPU time."""
    folder.mkdir(parents=True, exist_ok=True)
    rates = bars("Lading's rate beside the best peer's", list(_bars(measured, figure)))
    costs = bars(
        "Lading's CPU time beside that of the peer that needs least", list(_bars(measured, cpu)), is_better_high=False
    )
    (folder / "rate.svg").write_text(rates)
    (folder / "cpu.svg").write_text(costs)


def _bars(measured: Sequence[Measurement], kind: Kind) -> Iterator[Bar]:
    for row in dict.fromkeys(each.row for each in measured if each.unit.is_better_high or kind is cpu):
        other = best(measured, row, ALL_PEERS, kind)
        ours = next((each.registry for each in measured if each.row == row and each.registry in COMPARED), None)
        found = other and ours and ratio(measured, row, ours, other, kind)
        if other and found and found.least > 0:
            yield Bar(row, found.median, found.least, found.most, other)
