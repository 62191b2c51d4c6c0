"""The file of audit events: whole lines, whoever writes and whatever is done to the file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.core.audit_file import AuditFile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_lines_are_appended_for_nobody_else_to_read(path: Path) -> None:
    file = AuditFile(path)

    file.append([b"1\n", b"2\n"])
    file.append([b"3\n"])

    assert path.read_bytes() == b"1\n2\n3\n"
    assert path.stat().st_mode & 0o777 == 0o600
    file.close()


def test_a_file_that_was_moved_is_left_alone(path: Path) -> None:
    """As logrotate moves it; the next line begins another."""
    file = AuditFile(path)
    file.append([b"1\n"])

    path.rename(path.with_suffix(".1"))
    file.append([b"2\n"])
    path.unlink()
    file.append([b"3\n"])

    assert path.with_suffix(".1").read_bytes() == b"1\n"
    assert path.read_bytes() == b"3\n"
    file.close()


def test_a_line_that_was_cut_short_spoils_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part of a batch."""
    file, write = AuditFile(path), os.write
    left = 3

    def write_some(descriptor: int, content: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(28, "No space left on device")
        written = write(descriptor, content[:left])
        left -= written
        return written

    monkeypatch.setattr("os.write", write_some)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            file.append([b"first\n"])
    left = 100
    file.append([b"second\n"])
    file.append([b"third\n"])

    assert path.read_bytes() == b"fir\nsecond\nthird\n"
    file.close()


def test_a_directory_that_is_missing_is_said(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AuditFile(path / "elsewhere").append([b"1\n"])


def test_lines_of_several_processes_never_mix(path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from registry.core.audit_file import AuditFile\n"
        "file = AuditFile(Path(sys.argv[1]))\n"
        "for _ in range(200):\n"
        "    file.append([sys.argv[2].encode() * 3000 + b'\\n'] * 3)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), letter], cwd=ROOT) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]

    lines = path.read_bytes().splitlines()

    assert len(lines) == 1200
    assert set(lines) == {b"a" * 3000, b"b" * 3000}
