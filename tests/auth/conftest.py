"""What the auth tests share: keys made once, a clock that is set by hand, and an empty database."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine

from auth.key_ring import KeyRing
from auth.keys import SigningKey, generate_signing_key
from auth.login_counts import OwnCounts
from auth.passwords import Passwords
from auth.recent_logins import RecentLogins
from auth.throttle import Throttle
from auth.tokens import TokenIssuer, TokenVerifier
from storage.metadata import schema
from storage.metadata.sqlite import SqliteDatabase
from tests.auth.forging import PARTIES
from tests.auth.trusting import trusting
from tests.contracts.database_fixtures import activity, kind, other_activity, place, template

__all__ = ["activity", "kind", "other_activity", "place", "template", "trusting"]


@pytest.fixture
def clock() -> SimpleNamespace:
    """A clock that stands still until a test sets its time."""
    return SimpleNamespace(time=1_700_000_000.0)


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return generate_signing_key()


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    return generate_signing_key()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords()
    yield passwords
    passwords.close()


@pytest.fixture
def throttle(clock: SimpleNamespace) -> Throttle:
    """Ten wrong passwords a minute, counted in memory."""
    recent = RecentLogins(monotonic=lambda: clock.time)
    return Throttle(OwnCounts(lambda: clock.time), bytes(32), 10, now=lambda: clock.time, recent=recent)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with every table, to be copied: SQLite waits for the disk at each of them."""
    path = tmp_path_factory.mktemp("empty") / "registry.db"
    engine = create_engine(f"sqlite:///{path}")
    schema.REGISTRY.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def database(empty_database: Path, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    path = tmp_path / "registry.db"
    shutil.copyfile(empty_database, path)
    database = SqliteDatabase(path)
    yield database
    await database.close()


@pytest.fixture
def issuer(key: SigningKey, clock: SimpleNamespace) -> TokenIssuer:
    return TokenIssuer(KeyRing([key]), PARTIES, 300, lambda: clock.time, lambda: "1")


@pytest.fixture
def verifier(key: SigningKey, clock: SimpleNamespace) -> TokenVerifier:
    return TokenVerifier(KeyRing([key]), PARTIES, lambda: clock.time)
