"""Find the Python to run Lading with: `python3`, or one on the PATH that runs the same program much faster.

Builds of one version differ by a quarter: those of distributions and of container images are optimised with a profile,
what pyenv builds is not unless it is told to. Prints the path of the one to take, and on standard error why, where it
is not the first. Exits 1 where none will do.
"""

from __future__ import annotations  # whatever `python3` is may read this

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OLDEST: Final = (3, 11)
_MUCH_FASTER: Final = 1.1
_PATIENCE_SECONDS: Final = 20
_ROUNDS: Final = 4
_NAME: Final = re.compile(r"python3(\.\d+)?")

# What a server does most: calls, attributes, dictionaries, text and coroutines. It runs on any Python 3.
_PROBE: Final = """
import json, os, sys, time
import ensurepip, sqlite3, ssl, venv

class Answer:
    def __init__(self, name, size):
        self.name, self.size = name, size

    def lines(self):
        return {"name": self.name, "size": str(self.size)}

async def answer(number):
    lines = Answer("layer-%d" % (number % 7), number).lines()
    return "".join(["%s: %s\\r\\n" % line for line in lines.items()]).encode()

def once():
    began, sent = time.process_time(), 0
    for number in range(3000):
        waiting = answer(number)
        try:
            waiting.send(None)
        except StopIteration as end:
            sent += len(end.value.split(b"\\r\\n"))
    return time.process_time() - began

took = min(once() for _ in range(12))
is_cpython = sys.implementation.name == "cpython"
print(json.dumps([sys.executable, list(sys.version_info[:3]), is_cpython, took]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can make virtual environments; `seconds` is what the program took, in CPU time."""

    path: Path
    version: tuple[int, ...]
    seconds: float

    def __str__(self) -> str:
        return f"{self.path} (Python {'.'.join(map(str, self.version))})"


def interpreters(folders: Sequence[Path]) -> list[Interpreter]:
    """Every CPython in these folders that is new enough, each once, in the order in which a shell finds them."""
    found: dict[Path, Interpreter] = {}
    for folder in folders:
        for name in _names(folder):
            interpreter = _run(name)
            if interpreter is not None:
                found.setdefault(interpreter.path.resolve(), interpreter)
    return list(found.values())


def choose(found: Sequence[Interpreter]) -> Interpreter:
    """The first, or the fastest if the difference is worth a surprise."""
    fastest = min(found, key=lambda each: each.seconds)
    return fastest if found[0].seconds > _MUCH_FASTER * fastest.seconds else found[0]


def measured(found: Sequence[Interpreter]) -> list[Interpreter]:
    """The same with the least that each took of some rounds, for a machine is not always equally fast."""
    rounds = [found, *([_run(each.path) or each for each in found] for _ in range(_ROUNDS))]
    return [min((run[index] for run in rounds), key=lambda each: each.seconds) for index in range(len(found))]


def _names(folder: Path) -> list[Path]:
    """What a folder has of them, `python3` before those that name their version."""
    try:
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []  # it is not there, or somebody else's


def _run(command: Path) -> Interpreter | None:
    try:
        run = subprocess.run(
            [command, "-c", _PROBE], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        )
        path, version, is_cpython, seconds = json.loads(run.stdout)
        if not is_cpython or tuple(version) < OLDEST or not seconds > 0:
            return None
        return Interpreter(Path(path), tuple(version), seconds)
    except (OSError, subprocess.SubprocessError, TypeError, ValueError):
        return None  # it does not start, lacks a part, or is something else


def main() -> int:
    """Print the path of the Python to take."""
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    found = interpreters(folders)
    if not found:
        oldest = ".".join(map(str, OLDEST))
        print(f"no Python {oldest} or newer with venv, ssl and sqlite3 is on the PATH: install one", file=sys.stderr)
        return 1
    found = measured(found) if len(found) > 1 else found
    chosen = choose(found)
    if chosen is not found[0]:
        faster = found[0].seconds / chosen.seconds
        print(f"taking {chosen}, {faster:.1f} times as fast as {found[0]}; PYTHON=… takes another", file=sys.stderr)
    print(chosen.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
