"""Loads of blobs: pushed, pulled, and read in part."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from bench.comparison import RATE, TIME
from bench.load import MIB, Shape, push_all
from bench.loads import Came, Load
from bench.memory import make_ready
from bench.pulls import pull_all, range_seconds
from bench.stock import Stock

_MOST_BLOBS_BYTES = 400 * MIB
_MOST_BLOBS = 16


def pushing(registries: tuple[str, ...], mebibytes: int, connections: int, each: int, shape: Shape) -> Load:
    """So many blobs of a size on each of so many connections at once."""
    size = mebibytes * MIB

    def run(stock: Stock) -> Came:
        pushed = push_all(stock.peer, stock.bases.of(size), shape, connections=connections, each=each)
        return Came(pushed.pushed_bytes / MIB / pushed.seconds, pushed.pushed_bytes, pushed.errors)

    def prepare(stock: Stock) -> None:
        stock.bases.of(size)
        make_ready(connections * each * size)

    return Load(f"push of {mebibytes} MiB, {connections} at once, {shape.value}", RATE, registries, prepare, run)


def pulling(registries: tuple[str, ...], mebibytes: int, connections: int, each: int) -> Load:
    """Blobs of a size in turn, so often on each of so many connections at once."""
    size = mebibytes * MIB

    def blobs(stock: Stock) -> list[str]:
        return stock.blobs(size, min(_MOST_BLOBS, _MOST_BLOBS_BYTES // size))

    def run(stock: Stock) -> Came:
        pulled = pull_all(stock.peer, blobs(stock), connections=connections, each=each)
        return Came(pulled.pulled_bytes / MIB / pulled.seconds, pulled.pulled_bytes, pulled.errors)

    return Load(f"pull of {mebibytes} MiB, {connections} at once", RATE, registries, blobs, run)


def ranges(registries: tuple[str, ...], mebibytes: int, count: int, *, is_cold: bool = False) -> Load:
    """A MiB from anywhere in a large blob, so often on one connection; `is_cold`: from a disk, not from memory."""
    size = mebibytes * MIB

    def blobs(stock: Stock) -> list[str]:
        return stock.blobs(size, 1)

    def run(stock: Stock) -> Came:
        forget = partial(_forget, stock.peer.program.folder, size) if is_cold else _nothing
        seconds = range_seconds(stock.peer, blobs(stock)[0], size, count=count, before=forget)
        return Came(1000 * seconds, count * MIB)

    whole = f"{mebibytes // 1024} GiB" if mebibytes >= 1024 else f"{mebibytes} MiB"  # noqa: PLR2004  MiB in a GiB
    source = ", from the disk" if is_cold else ""
    return Load(f"1 MiB out of {whole}{source}, median", TIME, registries, blobs, run)


def _nothing() -> None:
    """Whatever is in memory stays there."""


def _forget(folder: Path, size: int) -> None:
    """Have the kernel drop what it holds in memory of the large files in a folder."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and path.stat().st_size >= size:
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)
