"""The file that audit events are appended to, as lines of JSON; several processes may share it.

- A batch is one write at the end of the file, so lines of several writers never mix.
- A file that was moved away (logrotate) is left alone: the next batch begins another one under its name.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MODE: Final = 0o600


class AuditFile:
    """Appends to one path; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._is_torn = False

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each with its end; raises OSError where not all of them could be written."""
        content = b"".join(lines)
        if self._is_torn:
            content = b"\n" + content  # what was begun before must not spoil the next line
        file = self._opened()
        while content:
            content = content[os.write(file, content) :]
            self._is_torn = bool(content)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is not None and not self._is_at_its_path(self._file):
            self.close()
        if self._file is None:
            self._file = os.open(self._path, _FLAGS, _MODE)
            self._is_torn = False
        return self._file

    def _is_at_its_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False
