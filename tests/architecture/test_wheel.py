"""Lading is installed as an application: the wheel brings three packages and a command, wherever it is started."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.source import PROJECT

_START_SECONDS = 30


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    return next(target.glob("lading-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files and its command; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        folder,
        wheel,
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_three_packages_the_migrations_and_a_command(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names} == {"registry", "storage", "auth", "lading-0.1.0.dist-info"}
    assert "storage/metadata/migrations/registry/0001_first_tables.py" in names
    assert "storage/metadata/migrations/activity/0001_first_tables.py" in names
    assert "lading-0.1.0.dist-info/licenses/LICENSE" in names
    assert "lading-0.1.0.dist-info/entry_points.txt" in names


def test_the_command_serves_from_a_folder_with_a_hostile_module(installed: Path, tmp_path: Path) -> None:
    for name in ("auth", "storage", "registry", "logging"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    command: list[str | Path] = [sys.executable, "-P", installed / "bin" / "lading"]

    with _serving(command, folder=tmp_path, path=installed, root=tmp_path / "data") as address:
        assert _status(f"{address}/v2/") == 401


def test_the_module_serves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "registry"]

    with _serving(command, folder=PROJECT, path=PROJECT, root=tmp_path / "data") as address:
        assert _status(f"{address}/v2/") == 401


@contextmanager
def _serving(command: Sequence[str | Path], *, folder: Path, path: Path, root: Path) -> Iterator[str]:
    address = f"127.0.0.1:{_free_port()}"
    process = subprocess.Popen(
        [*command, "serve", "--listen", address, "--root", root, "--workers", "1"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(path), "HOME": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_until_ready(process, f"http://{address}/readyz")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.communicate(timeout=_START_SECONDS)
    assert process.returncode == 0


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None and process.stderr is not None:
            pytest.fail(process.stderr.read().decode()[-2000:])
        try:
            if _status(url) == 200:
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the server did not become ready")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
