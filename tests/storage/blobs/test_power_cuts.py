"""The filesystem store on a disk whose power fails before every operation in turn."""

import itertools
import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from storage.blobs.disk import SYSTEM, Durability, FileOperations
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import BlobStore, Span
from storage.digest import Algorithm, Digest
from storage.errors import StoredBytesMissing
from tests.storage.blobs.faulty_disk import at
from tests.storage.blobs.volatile_disk import PowerCut, Survival, VolatileDisk

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

FIRST, SECOND, THIRD, SHORT = (f"{number}1111111-1111-4111-8111-111111111111" for number in (1, 2, 3, 4))
UNLIMITED = 1_000_000
SHORT_DIRECTORY = "blobs/sha256/f9/b0"
"""Where the blob that only one push at once stores lies."""


def chance(seed: int) -> Survival:
    """Unsynced changes survive by the toss of a coin."""
    toss = random.Random(seed)  # repeatable, not secret
    return Survival(name=lambda: toss.random() < 0.5, content=lambda: toss.random() < 0.5)


NOTHING = Survival(name=lambda: False, content=lambda: False)
NAMES = Survival(name=lambda: True, content=lambda: False)
CONTENT = Survival(name=lambda: False, content=lambda: True)
SURVIVALS = [NOTHING, NAMES, CONTENT, chance(1), chance(2), chance(3)]


class InlineExecutor(Executor):
    """Runs each call at once, so that every run has the same order of operations."""

    def submit(
        self, call: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Run the call."""
        future: Future[Result] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # an executor hands over whatever its call raised
            future.set_exception(error)
        return future


class Machine:
    """A machine with one disk: what its clients were told, and what is there after a power cut."""

    def __init__(self, folder: Path, durability: Durability = "full") -> None:
        self.folder = folder
        self.durability = durability
        self.acknowledged: dict[str, bytes] = {}
        self.suffixes = itertools.count()
        self.folders = itertools.count()

    def new_folder(self) -> Path:
        """An empty folder."""
        folder = self.folder / str(next(self.folders))
        folder.mkdir()
        return folder

    def store(self, root: Path, operations: FileOperations) -> FilesystemStore:
        """A process that serves the disk."""
        return FilesystemStore(
            root,
            durability=self.durability,
            reserve_bytes=0,
            new_suffix=lambda: str(next(self.suffixes)),
            executor=InlineExecutor(),
            operations=operations,
        )

    async def push(self, store: BlobStore, upload_id: str, content: bytes) -> str:
        """Push a blob in one request."""
        async with store.stage(upload_id, Algorithm.SHA256, at(0)) as writer:
            await writer.write([content])
            copy = await writer.commit(Digest.of(content))
        self.acknowledged[copy.key] = content
        return copy.key

    async def push_at_once(self, store: FilesystemStore, upload_id: str, content: bytes) -> None:
        """Push a short blob, which takes one visit to the disk."""
        copy = await store.store(upload_id, [content], Digest.of(content))
        assert copy is not None
        self.acknowledged[copy.key] = content

    async def work(self, root: Path, disk: VolatileDisk) -> None:
        """Push in one request and in several, push again, push from another process, at once and anew, delete."""
        store, neighbour = self.store(root, disk), self.store(root, disk)
        doomed = await self.push(store, FIRST, b"hello")
        async with store.stage(SECOND, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"worXX"])
        async with store.stage(SECOND, Algorithm.SHA256, at(3)) as writer:
            await writer.write([b"ld"])
            copy = await writer.commit(Digest.of(b"world"))
        self.acknowledged[copy.key] = b"world"
        await self.push(neighbour, FIRST, b"hello")
        async with neighbour.stage(THIRD, Algorithm.SHA256, at(0)) as writer:
            await writer.write([b"given up"])
            await writer.abort()
        del self.acknowledged[doomed]
        await store.delete(doomed)
        await self.push(store, THIRD, b"")
        await self.push_at_once(neighbour, SHORT, b"short")
        await self.push_at_once(store, SHORT, b"hello")
        await self.push_at_once(store, THIRD, b"")

    async def run(self, operations_left: int, ignored_sync: str | None = None) -> VolatileDisk:
        """Work until the power fails, or the work is done."""
        self.acknowledged.clear()
        self.suffixes = itertools.count()
        root = self.new_folder()
        disk = VolatileDisk(root, operations_left=operations_left, ignored_sync=ignored_sync)
        with suppress(PowerCut):
            await self.work(root, disk)
        return disk

    async def lost(self, disk: VolatileDisk, survival: Survival) -> list[str]:
        """Keys of copies that were acknowledged but are not there, or are there but are not whole."""
        root = self.new_folder()
        disk.survivors(root, survival)
        store = self.store(root, SYSTEM)
        found = {stored.key: stored.size async for stored in store.walk() if stored.key is not None}
        return sorted(
            [key for key in self.acknowledged if key not in found]
            + [key for key, size in found.items() if not await is_whole(store, key, size)]
        )


async def is_whole(store: BlobStore, key: str, size: int) -> bool:
    """Whether a copy holds the bytes that its key names."""
    try:
        content = b"".join([chunk async for chunk in store.read(key, Span(0, size))])
    except StoredBytesMissing:
        return False
    return Digest.of(content).hex in key


async def test_no_power_cut_loses_or_tears_a_committed_blob(tmp_path: Path) -> None:
    """An acknowledgement is durable; a copy that can be seen is whole, acknowledged or not."""
    machine = Machine(tmp_path)
    total = UNLIMITED - (await machine.run(UNLIMITED)).operations_left

    losses = []
    for operations_left in range(total + 1):
        disk = await machine.run(operations_left)
        losses += [(operations_left, survival) for survival in SURVIVALS if await machine.lost(disk, survival)]

    assert total > 40
    assert losses == []


async def test_a_blob_can_be_pushed_after_every_power_cut(tmp_path: Path) -> None:
    """Whatever the cut left behind, the same push succeeds when the machine is back."""
    machine = Machine(tmp_path)
    total = UNLIMITED - (await machine.run(UNLIMITED)).operations_left

    for operations_left in range(0, total + 1, 3):
        disk = await machine.run(operations_left)
        root = machine.new_folder()
        disk.survivors(root, chance(operations_left))
        machine.suffixes = itertools.count(1000)
        store = machine.store(root, SYSTEM)

        key = await machine.push(store, FIRST, b"hello")

        assert await is_whole(store, key, 5)


async def test_the_simulation_notices_relaxed_durability(tmp_path: Path) -> None:
    """A simulation that never loses anything would prove nothing."""
    machine = Machine(tmp_path, durability="relaxed")
    disk = await machine.run(UNLIMITED)

    assert await machine.lost(disk, NOTHING) == sorted(machine.acknowledged)


@pytest.mark.parametrize(
    ("ignored_sync", "survival"),
    [
        (f"uploads/11/{FIRST}", NAMES),
        (f"uploads/21/{SECOND}", NAMES),
        (f"uploads/41/{SHORT}", NAMES),
        (SHORT_DIRECTORY, NOTHING),
        ("blobs/sha256/2c/f2", NOTHING),
        ("blobs/sha256/2c", NOTHING),
        ("blobs/sha256", NOTHING),
        ("blobs", NOTHING),
        (".", NOTHING),
    ],
)
async def test_the_simulation_notices_each_missing_sync(tmp_path: Path, ignored_sync: str, survival: Survival) -> None:
    """Every sync that a commit makes is needed."""
    machine = Machine(tmp_path)
    disk = await machine.run(UNLIMITED, ignored_sync)

    assert await machine.lost(disk, survival) != []
