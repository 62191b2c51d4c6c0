"""A load, and how a registry is watched while it bears it."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from bench.comparison import Measurement, Unit
from bench.load import MIB, Shape, push_all
from bench.process import Peak
from bench.stock import Stock

WARMING_BYTES = 6 * MIB
_WARMING_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Came:
    """What a load came to: its figure, how many bytes went for it, and how many requests where they are small."""

    figure: float
    moved_bytes: int
    errors: tuple[str, ...] = ()
    requests: int = 0
    client_cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """A row of the table: `prepare` fills the registry and is not measured."""

    name: str
    unit: Unit
    registries: tuple[str, ...]
    prepare: Callable[[Stock], object]
    run: Callable[[Stock], Came]


def warm(stock: Stock) -> None:
    """Push a little that does not count."""
    push_all(stock.peer, stock.bases.of(WARMING_BYTES), Shape.PATCH, connections=_WARMING_AT_ONCE, each=1)


def observe(load: Load, stock: Stock) -> Measurement:
    """Fill a registry for a load, and measure it."""
    program = stock.peer.program
    load.prepare(stock)
    idle, before = program.memory_bytes(), program.cpu_seconds()
    with Peak(program) as peak:
        came = load.run(stock)
    return Measurement(
        row=load.name,
        unit=load.unit,
        registry=stock.peer.name,
        figure=came.figure,
        moved_bytes=came.moved_bytes,
        cpu_seconds=program.cpu_seconds() - before,
        idle_memory_bytes=idle,
        peak_memory_bytes=max(peak.memory_bytes, idle),
        load_average=os.getloadavg()[0],
        errors=(*came.errors, program.log_tail()) if came.errors else (),
        requests=came.requests,
        client_cpu_seconds=came.client_cpu_seconds,
    )
