"""Fixtures of tests that run on both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.metadata.database import Database
from storage.metadata.migration import ACTIVITY_SCHEMA, REGISTRY_SCHEMA
from tests.contracts.database_places import Kind, Place, empty_place, template_place


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which database the test runs on."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="session")
def template(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Databases that the migrations made, to be copied."""
    with template_place(kind, tmp_path_factory.mktemp("template")) as place:
        yield place


@pytest.fixture
def unmade(kind: Kind, tmp_path: Path) -> Iterator[Place]:
    """A place where no migration has run."""
    with empty_place(kind, tmp_path) as place:
        yield place


@pytest.fixture
async def place(template: Place, tmp_path: Path) -> AsyncIterator[Place]:
    """Migrated databases of one test."""
    async with template.copied(tmp_path) as copied:
        yield copied


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    """The registry database."""
    async with place.opened(REGISTRY_SCHEMA) as database:
        yield database


@pytest.fixture
async def other_database(place: Place) -> AsyncIterator[Database]:
    """The same registry database, as another process sees it."""
    async with place.opened(REGISTRY_SCHEMA) as database:
        yield database


@pytest.fixture
async def activity(place: Place) -> AsyncIterator[Database]:
    """The activity database."""
    async with place.opened(ACTIVITY_SCHEMA) as database:
        yield database


@pytest.fixture
async def other_activity(place: Place) -> AsyncIterator[Database]:
    """The same activity database, as another process sees it."""
    async with place.opened(ACTIVITY_SCHEMA) as database:
        yield database
