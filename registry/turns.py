"""How the next root key takes its turn, where the settings have the root keys come from."""

import asyncio
from pathlib import Path

from registry.config import Settings
from registry.core.root_rotation import Turn
from storage.keyfile import begin_rotation, end_rotation, fingerprint


def turn_of(settings: Settings) -> Turn:
    """A turn in the key file; elsewhere whoever runs the registry sees to the next key before."""
    return FileTurn(settings.key_file) if settings.encryption.mode in {"local", "off"} else PreparedTurn()


class FileTurn:
    """The next key in the key file, beside the one before for as long as that is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next: str | None = None

    async def begin(self) -> None:
        """Put the next key before the one in the file, unless an earlier turn has; raises KeyFileInvalid."""
        keys = await asyncio.to_thread(begin_rotation, self._path)
        self._next = fingerprint(keys[0])

    async def end(self) -> None:
        """Leave the next key alone in the file; raises KeyFileInvalid."""
        if self._next is not None:
            await asyncio.to_thread(end_rotation, self._path, self._next)


class PreparedTurn:
    """The next key was put first in the environment, or is made by the key management service."""

    async def begin(self) -> None:
        """Do nothing: the next key wraps already."""

    async def end(self) -> None:
        """Do nothing: whoever set the key before takes it away."""
