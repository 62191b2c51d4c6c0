"""Rows of starts: how long until the first answer, and how much memory is taken then."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.comparison import MEMORY, TIME, Measurement, Unit
from bench.files import REGISTRIES, Ground
from bench.fleet import Fleet
from bench.load import MIB
from bench.peers import LADING
from bench.served import Peer
from bench.speed.competitors import ALL
from bench.stock import Bases, Stock

_SETTLING_SECONDS = 1.0
_MANIFESTS = 100_000


@dataclass(frozen=True, slots=True)
class Startup:
    """A start that is measured, after whatever `before` does on the same ground."""

    name: str
    unit: Unit
    registries: tuple[str, ...]
    before: Callable[[str, Ground], None]


def start_rows(*, is_quick: bool) -> list[Startup]:
    """First starts, later ones, and one of a registry that holds much."""
    return [
        Startup("first start", TIME, (LADING,) if is_quick else ALL, _nothing),
        Startup("start again", TIME, (LADING,) if is_quick else ALL, _first_start),
        Startup(f"start again, {_MANIFESTS:,} manifests", TIME, (LADING,), _many_manifests),
        Startup("memory after a start", MEMORY, ALL, _nothing),
    ]


def measure_start(fleet: Fleet, row: Startup, name: str) -> Measurement:
    """Start a registry on a ground of its own, and end it."""
    with fleet.ground(name) as ground:
        row.before(name, ground)
        began = time.perf_counter()
        with REGISTRIES[name].start(ground) as peer:
            milliseconds = 1000 * (time.perf_counter() - began)
            if row.unit is MEMORY:
                time.sleep(_SETTLING_SECONDS)
            return _measured(row, peer, milliseconds)


def _measured(row: Startup, peer: Peer, milliseconds: float) -> Measurement:
    memory = peer.program.memory_bytes()
    return Measurement(
        row=row.name,
        unit=row.unit,
        registry=peer.name,
        figure=memory / MIB if row.unit is MEMORY else milliseconds,
        moved_bytes=0,
        cpu_seconds=peer.program.cpu_seconds(),
        idle_memory_bytes=memory,
        peak_memory_bytes=memory,
        load_average=os.getloadavg()[0],
        errors=(),
    )


def _nothing(_name: str, _ground: Ground) -> None:
    return


def _first_start(name: str, ground: Ground) -> None:
    with REGISTRIES[name].start(ground):
        return


def _many_manifests(name: str, ground: Ground) -> None:
    """Push one, and write its row again and again under other digests: a start looks at no payload."""
    with REGISTRIES[name].start(ground) as peer, Bases() as bases:
        Stock(peer, bases).tagged(1)
    _copy_manifests(ground.folder / "data" / "registry.db", _MANIFESTS)


def _copy_manifests(path: Path, count: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        names = [name for _, name, *_ in database.execute("PRAGMA table_info(manifest)")]
        values = ["'sha256:' || lower(hex(randomblob(32)))" if name == "digest" else name for name in names]
        database.execute(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?) "
            f"INSERT INTO manifest ({', '.join(names)}) "
            f"SELECT {', '.join(values)} FROM (SELECT * FROM manifest LIMIT 1), number",
            (count,),
        )
