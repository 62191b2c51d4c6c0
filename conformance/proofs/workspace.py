"""What every proof is given: where to work, which command serves, and how much to do."""

import dataclasses
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from proofs.outcome import Skipped


@dataclasses.dataclass(frozen=True, slots=True)
class Workspace:
    """The bounds of one run."""

    directory: Path
    command: Sequence[str]
    workers: int
    rounds: int
    large_bytes: int
    many_blobs: int
    # a data directory keeps the password of its first start, whichever server comes to serve it
    password: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(18))

    def folder(self, name: str) -> Path:
        """An empty folder for one proof."""
        folder = self.directory / name
        folder.mkdir(parents=True)
        return folder

    def need_space(self, wanted_bytes: int) -> None:
        """Skip the proof unless so much of the disk is free."""
        free_bytes = shutil.disk_usage(self.directory).free
        if free_bytes < wanted_bytes:
            raise Skipped(f"needs {wanted_bytes >> 20} MiB of disk, {free_bytes >> 20} MiB are free")


def need_root() -> None:
    """Skip the proof unless it may mount."""
    if os.geteuid() != 0:
        raise Skipped("needs root to mount a disk image")


def stored_bytes(folder: Path) -> int:
    """What the files of a folder take on the disk."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
