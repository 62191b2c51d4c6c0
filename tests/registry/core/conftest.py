"""The services of the core, on a store in memory and databases in SQLite files."""

import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry.core.uploads import UploadLimits
from storage.blobs.filesystem import FilesystemStore
from tests.contracts.database_places import Place, template_place
from tests.contracts.encrypted_places import MemoryKeys
from tests.registry.core.opening import OpeningStore
from tests.registry.core.services import Clock, Core, open_core
from tests.registry.core.visited import SHORT, Visited


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """SQLite databases that the migrations made, to be copied."""
    with template_place("sqlite", tmp_path_factory.mktemp("template")) as place:
        yield place


@pytest.fixture
async def place(template: Place, tmp_path: Path) -> AsyncIterator[Place]:
    async with template.copied(tmp_path) as copied:
        yield copied


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def core(place: Place, clock: Clock) -> AsyncIterator[Core]:
    """Every service, on a store in memory."""
    async with open_core(place, clock) as core:
        yield core


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FilesystemStore]:
    """A store of plain files."""
    suffixes = itertools.count()
    root = tmp_path / "store"
    root.mkdir()
    with ThreadPoolExecutor(2) as threads:
        yield FilesystemStore(
            root,
            durability="relaxed",
            reserve_bytes=0,
            new_suffix=lambda: f"{next(suffixes):032x}",
            executor=threads,
        )


@pytest.fixture
async def core_on_files(place: Place, clock: Clock, files: FilesystemStore) -> AsyncIterator[Core]:
    """Every service, on a store of plain files."""
    async with open_core(place, clock, store=files) as core:
        yield core


@pytest.fixture
def opening() -> OpeningStore:
    """A store that threads read as one that seals."""
    return OpeningStore()


@pytest.fixture
async def opening_core(place: Place, clock: Clock, opening: OpeningStore) -> AsyncIterator[Core]:
    """Every service, on that store."""
    async with open_core(place, clock, store=opening) as core:
        yield core


@pytest.fixture
def domain_keys() -> MemoryKeys:
    """The keys of encryption domains."""
    return MemoryKeys()


@pytest.fixture
async def sealed_core(place: Place, clock: Clock, domain_keys: MemoryKeys) -> AsyncIterator[Core]:
    """Every service, sealing what is pushed into a store in memory."""
    async with open_core(place, clock, keys=domain_keys, limits=UploadLimits(None, 3)) as core:
        yield core


@pytest.fixture
def visited(clock: Clock) -> Visited:
    """A store that tells how it was visited."""
    suffixes = itertools.count()
    return Visited(new_suffix=lambda: f"{next(suffixes):032x}", now=clock)


@pytest.fixture
async def visited_core(place: Place, clock: Clock, visited: Visited) -> AsyncIterator[Core]:
    """Every service, on that store; a blob may be a byte longer than is held in memory."""
    async with open_core(place, clock, store=visited, limits=UploadLimits(SHORT + 1, 3)) as core:
        yield core
