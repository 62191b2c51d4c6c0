"""The layers, as pyproject.toml declares them to import-linter."""

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import PROJECT


def test_every_import_keeps_to_the_layers() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout[-4000:]
