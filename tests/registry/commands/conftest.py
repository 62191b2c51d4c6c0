"""The command `lading` on a data directory of its own for every test."""

import asyncio
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from registry.__main__ import main
from registry.bootstrap import prepare
from registry.config import AuthSettings, Settings
from registry.config_storage import StorageSettings


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start."""
    root = tmp_path_factory.mktemp("commands") / "data"
    mask = os.umask(0o077)
    try:
        settings = Settings(
            storage=StorageSettings(root=root), auth=AuthSettings(admin_password=SecretStr("correct-horse"))
        )
        asyncio.run(prepare(settings))
    finally:
        os.umask(mask)
    return root


@pytest.fixture
def root(prepared_root: Path, tmp_path: Path) -> Path:
    root = tmp_path / "data"
    shutil.copytree(prepared_root, root)
    return root


@pytest.fixture
def lading(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; `stdin` is what it reads there."""

    def run(*words: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        monkeypatch.setenv("LADING_STORAGE__ROOT", str(root))
        try:
            code = main(words)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def policy_file(tmp_path: Path) -> Callable[..., str]:
    """A file with a policy of these statements."""

    def write(*statements: dict[str, Any]) -> str:
        file = tmp_path / "policy.json"
        file.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
        return str(file)

    return write
