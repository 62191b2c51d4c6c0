"""The benchmark `encryption`: what sealing costs, beside the same registry without it and one in Go without it."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.comparison import RATE, TIME, Measurement, Unit, ratio
from bench.files import PLAIN, REGISTRIES, SEALED, Ground
from bench.load import MIB, Base, Shape, push_all
from bench.load import Connection as PushingConnection
from bench.peers import DISTRIBUTION, Peer
from bench.process import Peak
from bench.pulls import REPOSITORY, check, pull_all, range_seconds
from bench.rounds import Planned, Schedule

_LARGE_BYTES, _HUGE_BYTES, _WARMING_BYTES = 100 * MIB, 1024 * MIB, 6 * MIB
_WARMING_AT_ONCE = 8
_PULLED_BLOBS = 4
_RANGES = 300
OURS, ALL = (SEALED, PLAIN), (SEALED, PLAIN, DISTRIBUTION)

_PUSH, _PULL, _RANGE = "push of 100 MiB, ", "pull of 100 MiB, ", "1 MiB out of 1 GiB, median"
_CROWD = f"{_PUSH}32 at once, {Shape.PATCH.value}"
_MEMORY_MIB = 20

Bases = dict[int, Base]


@dataclass(frozen=True, slots=True)
class Target:
    """What the sealed figures of some rows should be beside another registry's: at least, or at most, so much."""

    rows: str
    beside: str
    bound: float
    is_least: bool = True

    def verdict(self, measurements: Sequence[Measurement], row: str) -> Iterator[str]:
        """A line about a row, none where it was not measured."""
        found = ratio(measurements, row, SEALED, self.beside)
        if found is not None:
            is_reached = found.median >= self.bound if self.is_least else found.median <= self.bound
            bound = f"at {'least' if self.is_least else 'most'} {self.bound}"
            yield f"{row}: {found.median:.2f} of {self.beside}, {bound}: {_said(is_reached)}"


_TARGETS = (
    Target(_PUSH, PLAIN, 0.85),
    Target(_PULL, PLAIN, 0.4),
    Target(_PULL, DISTRIBUTION, 1.0),
    Target(_RANGE, PLAIN, 2.0, is_least=False),
)


@dataclass(frozen=True, slots=True)
class Came:
    """What a load came to: its figure, and how many bytes went for it."""

    figure: float
    moved_bytes: int
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """A row of the table: `prepare` is not measured, and what it gives is handed to `run`."""

    name: str
    unit: Unit
    registries: Sequence[str]
    prepare: Callable[[Peer, Bases], list[str]]
    run: Callable[[Peer, Bases, list[str]], Came]


def loads(*, is_quick: bool) -> list[Planned[Load]]:
    """What is measured."""
    rounds = 3 if is_quick else 7
    rows = [
        _pushing(connections, each, shape)
        for shape in (Shape.PATCH, Shape.MONOLITHIC)
        for connections, each in ((1, 5), (8, 2))
    ]
    rows += [_pulling(1, 10), _pulling(8, 3)]
    few = [_ranges(), _pushing(32, 1, Shape.PATCH)]
    return [Planned(row, rounds) for row in rows] + [Planned(row, 2 if is_quick else 4) for row in few]


class Measuring:
    """Measures one load on one registry, started for it on a folder of its own."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers
        self._stack = ExitStack()
        self._bases: Bases = {}

    def measurements(self, rows: Sequence[Planned[Load]], absent: str, seconds: float) -> Iterator[Measurement]:
        """Every measurement as it comes, without those of a registry that is not there."""
        with self._stack:
            for size in (_WARMING_BYTES, _LARGE_BYTES, _HUGE_BYTES):
                self._bases[size] = self._stack.enter_context(Base(size))
            for registries in (OURS, ALL):
                these = [planned for planned in rows if planned.row.registries == registries]
                names = [name for name in registries if name != absent]
                share = seconds * len(these) / len(rows)
                if these:
                    schedule = Schedule[Load, Measurement](these, names, share)
                    yield from (measured for _, _, measured in schedule.run(self._measure))

    def _measure(self, load: Load, name: str) -> Measurement:
        folder = self._folder / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            with REGISTRIES[name](Ground(folder, self._workers)) as peer:
                return self._observe(load, peer)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _observe(self, load: Load, peer: Peer) -> Measurement:
        program = peer.program
        push_all(peer.address, self._bases[_WARMING_BYTES], Shape.PATCH, connections=_WARMING_AT_ONCE, each=1)
        digests = load.prepare(peer, self._bases)
        idle, before = program.memory_bytes(), program.cpu_seconds()
        with Peak(program) as peak:
            came = load.run(peer, self._bases, digests)
        return Measurement(
            row=load.name,
            unit=load.unit,
            registry=peer.name,
            figure=came.figure,
            moved_bytes=came.moved_bytes,
            cpu_seconds=program.cpu_seconds() - before,
            idle_memory_bytes=idle,
            peak_memory_bytes=peak.memory_bytes,
            load_average=os.getloadavg()[0],
            errors=(*came.errors, program.log_tail()) if came.errors else (),
        )


def _pushing(connections: int, each: int, shape: Shape) -> Load:
    def run(peer: Peer, bases: Bases, _digests: list[str]) -> Came:
        pushed = push_all(peer.address, bases[_LARGE_BYTES], shape, connections=connections, each=each)
        return Came(pushed.pushed_bytes / MIB / pushed.seconds, pushed.pushed_bytes, pushed.errors)

    return Load(f"{_PUSH}{connections} at once, {shape.value}", RATE, OURS, _nothing, run)


def _pulling(connections: int, each: int) -> Load:
    def prepare(peer: Peer, bases: Bases) -> list[str]:
        return [_pushed(peer, bases[_LARGE_BYTES]) for _ in range(_PULLED_BLOBS)]

    def run(peer: Peer, _bases: Bases, digests: list[str]) -> Came:
        pulled = pull_all(peer.address, digests, connections=connections, each=each)
        return Came(pulled.pulled_bytes / MIB / pulled.seconds, pulled.pulled_bytes, pulled.errors)

    return Load(f"{_PULL}{connections} at once", RATE, ALL, prepare, run)


def _ranges() -> Load:
    def prepare(peer: Peer, bases: Bases) -> list[str]:
        return [_pushed(peer, bases[_HUGE_BYTES])]

    def run(peer: Peer, _bases: Bases, digests: list[str]) -> Came:
        seconds = range_seconds(peer.address, digests[0], _HUGE_BYTES, count=_RANGES)
        return Came(1000 * seconds, _RANGES * MIB)

    return Load(_RANGE, TIME, ALL, prepare, run)


def verdicts(measurements: Sequence[Measurement]) -> Iterator[str]:
    """Each target, and whether it was reached."""
    for row in dict.fromkeys(each.row for each in measurements):
        for target in _TARGETS:
            if row.startswith(target.rows):
                yield from target.verdict(measurements, row)
    peaks = {
        name: [each.peak_memory_bytes / MIB for each in measurements if each.row == _CROWD and each.registry == name]
        for name in OURS
    }
    if all(peaks.values()):
        more = median(peaks[SEALED]) - median(peaks[PLAIN])
        yield f"{_CROWD}: {more:+.0f} MiB of memory beside {PLAIN}, at most +20: {_said(more <= _MEMORY_MIB)}"


def _nothing(_peer: Peer, _bases: Bases) -> list[str]:
    return []


def _pushed(peer: Peer, base: Base) -> str:
    """Push a blob, and pull it once with its digest compared, so that it is in memory too."""
    connection, body = PushingConnection(peer.address, base), base.body()
    try:
        connection.push(REPOSITORY, body, Shape.PATCH)
    finally:
        connection.close()
    check(peer.address, body.digest)
    return body.digest


def _said(is_reached: bool) -> str:  # noqa: FBT001  it is the only question
    return "reached" if is_reached else "MISSED"
