"""The benchmark `s3`: large blobs pushed to registries whose content is in the same bucket."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.bucket import S3Server
from bench.load import MIB, Base, Pushed, Shape, push_all
from bench.peers import PEERS, Ground
from bench.process import Peak, own_cpu_seconds
from bench.report import Sample
from bench.rounds import Planned, Schedule
from bench.served import Peer

WARMING_BYTES = 6 * MIB


@dataclass(frozen=True, slots=True)
class Load:
    """So many blobs of a size on each of so many connections."""

    mebibytes: int
    connections: int
    each: int
    shape: Shape

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.mebibytes} MiB, {self.connections} at once, {self.shape.value}"


def loads(*, is_quick: bool, is_chunked: bool) -> list[Planned[Load]]:
    """What is measured."""
    rows = []
    for shape in (Shape.CHUNKED if is_chunked else Shape.PATCH, Shape.MONOLITHIC):
        rows += [
            Planned(Load(100, 1, 4, shape), 3 if is_quick else 5),
            Planned(Load(100, 8, 1, shape), 3 if is_quick else 5),
        ]
        if not is_quick:
            rows += [Planned(Load(1024, 1, 1, shape), 3), Planned(Load(1024, 8, 1, shape), 3)]
    return rows


class Pushing:
    """Measures one load on one registry, started for it on a prefix of its own."""

    def __init__(self, server: S3Server, folder: Path, temporary: Path, workers: int) -> None:
        self._server = server
        self._folder = folder
        self._temporary = temporary
        self._workers = workers
        self._bases = ExitStack()
        self._base_of: dict[int, Base] = {}

    def samples(self, rows: Sequence[Planned[Load]], peers: Sequence[str], seconds: float) -> Iterator[Sample]:
        """Every sample as it comes."""
        with self._bases:
            for size in {WARMING_BYTES, *(planned.row.mebibytes * MIB for planned in rows)}:
                self._base_of[size] = self._bases.enter_context(Base(size))
            for _, _, sample in Schedule[Load, Sample](rows, peers, seconds).run(self._measure):
                yield sample

    def _measure(self, load: Load, name: str) -> Sample:
        prefix = f"{name}-{secrets.token_hex(4)}/"
        folder = self._folder / prefix.rstrip("/")
        folder.mkdir()
        ground = Ground(self._server, folder, prefix, self._workers, self._temporary)
        try:
            with PEERS[name](ground) as peer:
                return self._push(load, peer)
        finally:
            self._server.empty(prefix)
            shutil.rmtree(folder, ignore_errors=True)

    def _push(self, load: Load, peer: Peer) -> Sample:
        program = peer.program
        push_all(peer, self._base_of[WARMING_BYTES], load.shape, connections=8, each=1)
        idle, written = program.memory_bytes(), program.written_bytes()
        before = program.cpu_seconds(), self._server.cpu_seconds(), own_cpu_seconds()
        with Peak(program) as peak:
            pushed: Pushed = push_all(
                peer,
                self._base_of[load.mebibytes * MIB],
                load.shape,
                connections=load.connections,
                each=load.each,
            )
        return Sample(
            row=load.name,
            peer=peer.name,
            seconds=pushed.seconds,
            pushed_bytes=pushed.pushed_bytes,
            registry_cpu_seconds=program.cpu_seconds() - before[0],
            s3_cpu_seconds=self._server.cpu_seconds() - before[1],
            client_cpu_seconds=own_cpu_seconds() - before[2],
            idle_memory_bytes=idle,
            peak_memory_bytes=peak.memory_bytes,
            written_bytes=program.written_bytes() - written,
            load_average=os.getloadavg()[0],
            errors=(*pushed.errors, program.log_tail()) if pushed.errors else (),
        )
