"""The benchmark `encryption`: what sealing costs, beside the same registry without it and one in Go without it."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from bench import comparison
from bench.comparison import CPU_PER_GIB, ERRORS, FIGURE, IDLE, PEAK, ROUNDS, Measurement, beside, table
from bench.files import PLAIN, SEALED, Ground
from bench.fleet import Fleet
from bench.load import Shape
from bench.loads import Load
from bench.peers import DISTRIBUTION, LADING, versions
from bench.process import NotStarted
from bench.report import machine, memory_folder
from bench.rounds import Planned, Schedule
from bench.targets import Target, said
from bench.transfers import pulling, pushing, ranges

SECONDS, QUICK_SECONDS = 900.0, 300.0
OURS, ALL = (SEALED, PLAIN), (SEALED, PLAIN, DISTRIBUTION)

_PUSH, _PULL, _RANGE = "push of 100 MiB, ", "pull of 100 MiB, ", "1 MiB out of 1 GiB"
_CROWD = pushing(OURS, 100, 32, 1, Shape.PATCH)
_MEMORY_MIB = 20
_TARGETS = (
    Target(f"{_PUSH}*", SEALED, (PLAIN,), 0.85),
    Target(f"{_PULL}*", SEALED, (PLAIN,), 0.4),
    Target(f"{_PULL}*", SEALED, (DISTRIBUTION,), 1.0),
    Target(f"{_RANGE}*", SEALED, (PLAIN,), 2.0, is_least=False),
)


def loads(*, is_quick: bool, is_on_disk: bool) -> list[Planned[Load]]:
    """What is measured; where content is on a disk, ranges that are not in memory as well."""
    rounds = 3 if is_quick else 7
    rows = [
        pushing(OURS, 100, connections, each, shape)
        for shape in (Shape.PATCH, Shape.MONOLITHIC)
        for connections, each in ((1, 5), (8, 2))
    ]
    rows += [pulling(ALL, 100, 1, 10), pulling(ALL, 100, 8, 3)]
    few = [ranges(ALL, 1024, 300), _CROWD]
    few += [ranges(ALL, 1024, 100, is_cold=True)] if is_on_disk else []
    return [Planned(row, rounds) for row in rows] + [Planned(row, 2 if is_quick else 4) for row in few]


def measurements(fleet: Fleet, rows: Sequence[Planned[Load]], absent: str, seconds: float) -> Iterator[Measurement]:
    """Every measurement as it comes, without those of a registry that is not there."""
    planned = [
        Planned(each.row, each.rounds, tuple(name for name in each.row.registries if name != absent)) for each in rows
    ]
    schedule = Schedule[Load, Measurement](planned, ALL, seconds)
    yield from (measured for _, _, measured in schedule.run(fleet.measure_anew))


def verdicts(measured: Sequence[Measurement]) -> Iterator[str]:
    """Each target, and whether it was reached."""
    for target in _TARGETS:
        yield from target.verdicts(measured)
    peaks = {name: list(map(comparison.peak, comparison.rounds_of(measured, _CROWD.name, name))) for name in OURS}
    if all(peaks.values()):
        more = median(peaks[SEALED]) - median(peaks[PLAIN])
        yield f"{_CROWD.name}: {more:+.0f} MiB of memory beside {PLAIN}, at most +20: {said(more <= _MEMORY_MIB)}"


def found_versions() -> tuple[dict[str, str], str]:
    """The versions of what is measured, and the name of a registry that is not there."""
    try:
        return versions(), ""
    except NotStarted as reason:
        print(f"{reason}; it is left out", file=sys.stderr)
        return {LADING: ""}, DISTRIBUTION


def run(asked: argparse.Namespace) -> int:
    """Print a table and what became of each target; 0 when every request succeeded."""
    began = time.monotonic()
    known, absent = found_versions()
    rows = [
        row for row in loads(is_quick=asked.quick, is_on_disk=asked.folder is not None) if asked.only in row.row.name
    ]
    seconds = asked.seconds or (QUICK_SECONDS if asked.quick else SECONDS)
    measured: list[Measurement] = []
    with memory_folder(asked.folder) as folder, Fleet(Ground(folder, asked.workers)) as fleet:
        print(f"{machine()}; content in {folder.parent}")
        for each in measurements(fleet, rows, absent, seconds):
            measured.append(each)
            print(f"{each.row:<44} {each.registry:<13} {each.figure:>8.2f} {each.unit.value}", flush=True)
    print("", *(f"{name} {version}" for name, version in known.items()), *verdicts(measured), sep="\n")
    print(*dict.fromkeys(error for each in measured for error in each.errors), sep="\n")
    columns = (FIGURE, beside(measured, PLAIN), CPU_PER_GIB, IDLE, PEAK, ROUNDS, ERRORS)
    print(f"took {time.monotonic() - began:.0f} s", "", *table(measured, columns), sep="\n")
    if asked.json:
        comparison.write_json(asked.json, {"machine": machine(), "versions": known}, measured)
    return 1 if any(each.errors for each in measured) else 0
