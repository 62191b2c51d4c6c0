"""`lading verify`: what it says, its exit code, and what it leaves alone."""

import argparse
import sqlite3
from pathlib import Path

import pytest

from registry.bootstrap import prepare
from registry.commands import verify
from registry.config import Settings

COPY = f"sha256/2c/f2/2cf2{'0' * 60}.copy"


def run(root: Path) -> int:
    """Run the command on a data directory."""
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    return verify.run(parser.parse_args(["--root", str(root)]))


async def found(root: Path) -> None:
    """A registry that never was served."""
    await prepare(Settings(storage={"root": root}, auth={"admin_password": "secret"}))  # type: ignore[arg-type]  # parsed


def test_a_folder_without_a_registry_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error must not pass for a registry in which all is well."""
    assert run(tmp_path) == 1

    assert capsys.readouterr().err.startswith(f"lading: there is no registry in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_no_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "registry.db").touch()

    assert run(tmp_path) == 1

    assert "holds no registry yet" in capsys.readouterr().err


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    """A registry whose database names one copy that is not there."""
    root = tmp_path / "data"
    await found(root)
    with sqlite3.connect(root / "registry.db") as database:
        database.execute(
            "INSERT INTO blob (digest, size, storage_key, state, created_at) VALUES (?, 5, ?, 'stored', 0)",
            (f"sha256:2cf2{'0' * 60}", COPY),
        )
    database.close()
    return root


def states(root: Path) -> list[tuple[str]]:
    with sqlite3.connect(root / "registry.db") as database:
        rows: list[tuple[str]] = database.execute("SELECT state FROM blob").fetchall()
    database.close()
    return rows


def test_what_is_bad_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root) == 1

    assert f"sha256:2cf2{'0' * 60}: its bytes are missing" in capsys.readouterr().out
    assert states(root) == [("quarantined",)]


def test_content_that_is_away_is_not_given_up(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what to do."""
    (root / "blobs/.store").unlink()

    assert run(root) == 1

    assert "mount its disk" in capsys.readouterr().err
    assert states(root) == [("stored",)]
