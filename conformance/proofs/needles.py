"""Recognisable text, and the search for any run of it in files and in bytes: as it is, in hexadecimal, in base64."""

import base64
import dataclasses
import os
import secrets
import string
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from proofs.outcome import Inconclusive

PATTERN_BYTES = 64
RUN_BYTES = 16
ALIGNMENTS = 3
FILES_AT_ONCE = 500
LETTERS = string.ascii_letters + string.digits  # JSON shows these as they are, and grep takes them as they are
GREP = ("grep", "-a", "-F", "-s")


@dataclasses.dataclass(frozen=True, slots=True)
class Needle:
    """Random text of 64 bytes."""

    text: str = dataclasses.field(
        default_factory=lambda: "".join(secrets.choice(LETTERS) for _ in range(PATTERN_BYTES))
    )

    def content(self, size: int) -> bytes:
        """So many bytes that hold the text again and again, and in pieces of 16 bytes and more between others."""
        whole = (self.text * (size // PATTERN_BYTES + 1)).encode()[: size // 2]
        made = bytearray(whole)
        while len(made) < size:
            length = RUN_BYTES + secrets.randbelow(PATTERN_BYTES - RUN_BYTES)
            made += os.urandom(length) + self.text[:length].encode()
        return bytes(made[:size])

    def runs(self) -> Iterator[bytes]:
        """Every way in which 16 bytes of the repeated text can be written down."""
        twice = (self.text * 2).encode()
        for start in range(PATTERN_BYTES):
            run = twice[start : start + RUN_BYTES]
            yield from (run, run.hex().encode(), run.hex().upper().encode())
            for before in range(ALIGNMENTS):
                yield from set(in_base64(run, before))


def in_base64(run: bytes, before: int) -> tuple[bytes, bytes]:
    """The characters of base64, and of its alphabet for URLs, that bytes after `before` others settle."""
    first, last = -(-8 * before // 6), 8 * (before + len(run)) // 6
    around = bytes(before) + run + bytes(2)
    return base64.b64encode(around)[first:last], base64.urlsafe_b64encode(around)[first:last]


class Search:
    """Looks for several needles; the patterns are handed to grep in memory, so that no file has them."""

    def __init__(self, needles: Mapping[str, Needle]) -> None:
        """`needles` by what they were put into."""
        self._needles = dict(needles)

    def in_files(self, paths: Iterable[Path]) -> dict[str, list[Path]]:
        """Which needles are in which of these files; files that go away meanwhile are passed over."""
        files = list(paths)
        hits = list(self._files_with(self._needles.values(), files))
        found = {name: list(self._files_with([needle], hits)) for name, needle in self._needles.items() if hits}
        return {name: there for name, there in found.items() if there}

    def in_bytes(self, content: bytes) -> list[str]:
        """Which needles are in these bytes."""
        if not _is_there(self._needles.values(), content):
            return []
        return [name for name, needle in self._needles.items() if _is_there([needle], content)]

    @staticmethod
    def _files_with(needles: Iterable[Needle], files: Sequence[Path]) -> Iterator[Path]:
        with Patterns(needles) as patterns:
            for first in range(0, len(files), FILES_AT_ONCE):
                these = list(map(str, files[first : first + FILES_AT_ONCE]))
                listed = patterns.grep(["-l", "-Z"], these).stdout
                yield from (Path(os.fsdecode(name)) for name in listed.split(b"\0") if name)


class Patterns:
    """The runs of some needles, in memory that a child can read as a file."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self._descriptor = os.memfd_create("patterns")
        os.write(self._descriptor, b"\n".join(run for needle in needles for run in needle.runs()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def grep(
        self, options: Sequence[str], files: Sequence[str], content: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run grep with these as its patterns."""
        command = [*GREP, "-f", f"/proc/self/fd/{self._descriptor}", *options, "--", *files]
        return subprocess.run(
            command,
            env=os.environ | {"LC_ALL": "C"},  # bytes are bytes
            input=content or b"",
            capture_output=True,
            pass_fds=[self._descriptor],
            check=False,
        )


def _is_there(needles: Iterable[Needle], content: bytes) -> bool:
    with Patterns(needles) as patterns:
        return patterns.grep(["-q"], ["-"], content).returncode == 0


def try_the_search() -> None:
    """Raise Inconclusive unless a run is found in each of its forms, and nothing where there is none."""
    needle, other = Needle(), Needle()
    search = Search({"it": needle, "another": other})
    run = needle.text[5 : 5 + RUN_BYTES].encode()
    forms = [run, run.hex().encode(), run.hex().upper().encode()]
    forms += [base64.b64encode(os.urandom(before) + run + os.urandom(5)) for before in range(ALIGNMENTS)]
    for form in forms:
        if search.in_bytes(os.urandom(9000) + form + os.urandom(9000)) != ["it"]:
            raise Inconclusive(f"the search does not see {form!r}")
    if search.in_bytes(os.urandom(9000) + run[1:]):
        raise Inconclusive("the search sees what is not there")
