"""The first start and every later one: whose content directory is served."""

import sqlite3
from pathlib import Path

import pytest

from registry.bootstrap import prepare
from registry.config import Settings
from storage.blobs.filesystem import FilesystemStore
from storage.errors import StoreUnavailable

COPY = f"sha256/2c/f2/2cf2{'0' * 60}.copy"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage={"root": tmp_path / "data"}, auth={"admin_password": "secret"})  # type: ignore[arg-type]  # parsed


def registry_id(root: Path) -> str:
    with sqlite3.connect(root / "registry.db") as database:
        found: str = database.execute("SELECT value FROM registry_setting WHERE name = 'registry_id'").fetchone()[0]
    database.close()
    return found


def record_copy(root: Path) -> None:
    """Write a copy into the database."""
    with sqlite3.connect(root / "registry.db") as database:
        database.execute(
            "INSERT INTO blob (digest, size, storage_key, state, created_at) VALUES (?, 5, ?, 'stored', 0)",
            (f"sha256:2cf2{'0' * 60}", COPY),
        )
    database.close()


def store_copy(root: Path) -> None:
    """Put the bytes of the copy where they belong."""
    path = root / "blobs" / COPY
    path.parent.mkdir(parents=True)
    path.write_bytes(b"hello")


async def test_a_registry_marks_its_content_directory(settings: Settings) -> None:
    root = settings.storage.root

    await prepare(settings)

    assert (root / "blobs/.store").read_text().strip() == registry_id(root)


async def test_a_later_start_finds_the_mark(settings: Settings) -> None:
    await prepare(settings)
    record_copy(settings.storage.root)

    await prepare(settings)


async def test_an_older_content_directory_is_marked(settings: Settings) -> None:
    """Versions before the mark made none: one copy that is there proves the directory."""
    root = settings.storage.root
    await prepare(settings)
    (root / "blobs/.store").unlink()
    record_copy(root)
    store_copy(root)

    await prepare(settings)

    assert (root / "blobs/.store").read_text().strip() == registry_id(root)


async def test_a_content_directory_that_is_away_is_not_served(settings: Settings) -> None:
    """The sentence says what to do, and nothing is made in its place."""
    root = settings.storage.root
    await prepare(settings)
    record_copy(root)
    (root / "blobs/.store").unlink()
    (root / "blobs").rmdir()

    with pytest.raises(StoreUnavailable, match="mount its disk"):
        await prepare(settings)

    assert not (root / "blobs").exists()


async def test_content_that_is_lost_can_be_given_up(settings: Settings) -> None:
    """What the sentence says helps."""
    root = settings.storage.root
    await prepare(settings)
    record_copy(root)
    (root / "blobs/.store").write_text(registry_id(root))

    await prepare(settings)


async def test_the_content_of_another_registry_is_refused_before_one_is_founded(settings: Settings) -> None:
    """A database that was lost, or is on a disk that is away, must not become a new registry on the content."""
    root = settings.storage.root
    await prepare(settings)
    (root / "registry.db").unlink()

    with pytest.raises(StoreUnavailable, match="another registry"):
        await prepare(settings)

    assert not list(root.glob("admin-password"))
    with sqlite3.connect(root / "registry.db") as database:
        assert database.execute("SELECT count(*) FROM registry_setting").fetchone() == (0,)
    database.close()


async def test_a_store_that_another_registry_marks_first_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that find no mark, one makes it; the other would keep its content where it is nobody's."""
    claim = FilesystemStore.claim

    async def come_second(store: FilesystemStore, _registry_id: str) -> None:
        await claim(store, "another")

    monkeypatch.setattr(FilesystemStore, "claim", come_second)

    with pytest.raises(StoreUnavailable, match="another registry was founded"):
        await prepare(settings)
