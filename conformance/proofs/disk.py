"""A small ext4 disk in a file, and its copy at one instant, which is what a power cut leaves."""

import shutil
import subprocess
from pathlib import Path
from typing import Self

from proofs.outcome import Inconclusive, Skipped
from proofs.workspace import need_root

COPY_ATTEMPTS = 40


class Disk:
    """A mounted disk image; leaving the context unmounts it."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    @classmethod
    def make(cls, image: Path, folder: Path, size_bytes: int) -> "Disk":
        """A new, empty disk."""
        need_root()
        if not shutil.which("mkfs.ext4"):
            raise Skipped("needs mkfs.ext4")
        with image.open("wb") as file:
            file.truncate(size_bytes)
        # nothing is left to be initialised in the background: the device is quiet unless someone writes
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        return cls(image, folder)

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        try:
            run("mount", "-o", "loop", str(self.image), str(self.folder))
        except subprocess.CalledProcessError as error:
            raise Skipped(f"no disk image can be mounted here: {error.stderr.strip()}") from error
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", str(self.folder))

    def copy(self, image: Path) -> None:
        """Copy the image as it is at one instant, with nothing flushed for it.

        No write may reach the device while the copy is made; the device's own counters tell, and the copy is made
        again when one did. Whoever wrote to it must have been paused.
        """
        counters = Path("/sys/class/block") / Path(device_of(self.folder)).name / "stat"
        for _ in range(COPY_ATTEMPTS):
            before = counters.read_text().split()
            run("cp", "--reflink=auto", "--sparse=always", str(self.image), str(image))
            after = counters.read_text().split()
            written = (before[4:7], before[8]) == (after[4:7], "0")  # writes and sectors, and none under way
            if written and before[8] == "0":
                return
        raise Inconclusive("the disk was never quiet long enough for a copy")


def device_of(folder: Path) -> str:
    """The device that is mounted there."""
    return run("findmnt", "-n", "-o", "SOURCE", str(folder)).strip()


def run(*command: str) -> str:
    """Run one program and return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
