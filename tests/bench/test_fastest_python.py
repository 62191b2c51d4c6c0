"""Which Python `make` takes."""

import sys
from pathlib import Path

import pytest

from bench.fastest_python import Interpreter, choose, interpreters, main, measured


def of(name: str, seconds: float) -> Interpreter:
    return Interpreter(Path(name), (3, 11, 2), seconds)


def command(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def python(folder: Path, name: str, seconds: float, version: str = "3, 11, 9", is_cpython: str = "true") -> Path:
    """What says of itself what a Python would."""
    return command(folder, name, f"""echo "[\\"$0\\", [{version}], {is_cpython}, {seconds}]" """)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One Python under two names, and what looks like others."""
    (tmp_path / "python3.11").symlink_to(python(tmp_path, "python3", 0.02))
    command(tmp_path, "python3.99", "echo no such version; exit 127")
    python(tmp_path, "python3.98", 0.001, version="3, 10, 9")
    python(tmp_path, "python3.97", 0.001, is_cpython="false")
    python(tmp_path, "python3-config", 0.001)
    return tmp_path


def test_each_python_is_found_once_and_what_will_not_do_is_left_out(folder: Path) -> None:
    found = interpreters([folder, folder / "missing", folder])
    assert found == [Interpreter(folder / "python3", (3, 11, 9), 0.02)]


def test_a_real_python_tells_its_version_and_what_it_took(tmp_path: Path) -> None:
    command(tmp_path, "python3", f'exec {sys.executable} "$@"')
    (found,) = interpreters([tmp_path])
    assert found.path == Path(sys.executable)
    assert found.version == sys.version_info[:3]
    assert 0 < found.seconds < 1


def test_the_first_is_taken_unless_another_is_much_faster() -> None:
    assert choose([of("first", 0.0104), of("second", 0.0100)]).path == Path("first")
    assert choose([of("first", 0.0130), of("second", 0.0101), of("third", 0.0100)]).path == Path("third")


def test_what_a_slow_moment_measured_does_not_count(folder: Path) -> None:
    others = python(folder, "python3.12", 0.5)
    again = measured([of(str(folder / "python3"), 1000.0), of(str(others), 0.3)])
    assert [each.seconds for each in again] == [0.02, 0.3]


def test_what_is_gone_meanwhile_keeps_what_was_measured() -> None:
    assert measured([of("/missing/python3", 0.5)]) == [of("/missing/python3", 0.5)]


def test_the_path_of_the_one_to_take_is_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert main() == 0
    assert capsys.readouterr() == (f"{folder / 'python3'}\n", "")


def test_that_another_than_the_first_is_taken_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faster = python(folder, "python3.12", 0.01)
    monkeypatch.setenv("PATH", str(folder))
    assert main() == 0
    printed = capsys.readouterr()
    assert printed.out == f"{faster}\n"
    assert f"taking {faster} (Python 3.11.9), 2.0 times as fast as {folder / 'python3'}" in printed.err


def test_where_no_python_will_do_it_is_said_which_are_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "python3").unlink()
    monkeypatch.setenv("PATH", str(folder))
    assert main() == 1
    assert "no Python 3.11 or newer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "said", ["null", "5", "[1, 2, 3, 4]", '["/x", ["3", "12"], true, 1]', '["/x", [3, 12], true, 0]']
)
def test_what_says_something_else_is_left_out(folder: Path, said: str) -> None:
    command(folder, "python3.12", f"echo '{said}'")
    assert [each.path for each in interpreters([folder])] == [folder / "python3"]


def test_an_entry_of_the_path_that_cannot_be_looked_at_is_passed_over(folder: Path) -> None:
    found = interpreters([folder / "python3", Path("/" + "x" * 300), folder])
    assert [each.path for each in found] == [folder / "python3"]
