"""What a person is told when a data directory cannot be used."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.commands.conftest import Run
from tests.registry.serving import ROOT


def test_a_folder_without_a_registry_is_left_as_it_was(lading: Run, tmp_path: Path) -> None:
    """A typing error makes no database."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    ran = lading("user", "list", "--root", str(folder))

    assert (ran.code, ran.err) == (
        1,
        f"lading: there is no registry in {folder}: name its data directory with --root\n",
    )
    assert list(folder.iterdir()) == []


def test_a_database_that_is_none_is_told_in_its_own_words(lading: Run, root: Path) -> None:
    """Whoever runs the registry hears more than a client does."""
    (root / "registry.db").write_bytes(b"not a database, but long enough to be one" * 100)

    ran = lading("user", "list")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith(": file is not a database\n")


def test_a_database_whose_key_is_lost_is_not_opened(lading: Run, root: Path) -> None:
    (root / "root.key").unlink()

    ran = lading("user", "list")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"lading: key file {root}/root.key is missing")
    assert not (root / "root.key").exists()


@pytest.mark.parametrize(
    "words", [("user", "list"), ("user", "show", "admin"), ("audit", "search"), ("signing", "list")]
)
def test_reading_goes_on_while_another_process_writes(lading: Run, root: Path, words: tuple[str, ...]) -> None:
    """Nobody waits for the lock of a server that is busy."""
    with sqlite3.connect(root / "registry.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")

        assert lading(*words).code == 0


@pytest.mark.parametrize("words", ["doctor", "audit export"])
def test_a_reader_that_has_gone_is_no_trouble(lading: Run, root: Path, words: str) -> None:
    """As with `head`: the command ends as any other does whose pipe is closed."""
    assert lading("user", "create", "bob").code == 0  # an event to export
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "registry", *words.split(), "--root", str(root)]
    # unbuffered, so that it is met where the command writes and not at its end
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    try:
        ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)

    assert (ran.returncode, ran.stderr) == (128 + signal.SIGPIPE, b"")
