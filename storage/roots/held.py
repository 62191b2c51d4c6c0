"""Root keys that are at hand: in the key file, or in the environment.

- A key is known by its fingerprint: what it wrapped opens wherever the key lies, so that it can move between the two.
- The file is read for every use: what another process rotated counts at once, and no key waits in memory for its use.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from storage.errors import KeyFileInvalid
from storage.keyfile import decode_root_key, fingerprint, load_root_keys, make_root_key
from storage.roots import wrapping
from storage.roots.interface import Wrapped

VARIABLE: Final = "LADING_ROOT_KEY"
"""The environment's variable with root keys: 32 bytes in base64, several with commas between them."""

LOCAL: Final = "local"
ENVIRONMENT: Final = "environment"
_SHOWN: Final = 12


class KeySource(Protocol):
    """A place where keys lie."""

    @property
    def kind(self) -> str:
        """What the names of its keys begin with."""

    @property
    def place(self) -> str:
        """The place as messages name it."""

    async def keys(self) -> Sequence[bytes]:
        """Its keys, the one that wraps first; raises KeyFileInvalid where there is none."""

    async def make(self) -> None:
        """Make a key where there is none and this can be done; raises OSError."""


class FileKeys:
    """The keys of a file that only its owner can read."""

    kind = LOCAL

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = f"key file {path}"

    async def keys(self) -> Sequence[bytes]:
        """As the file has them now."""
        return await asyncio.to_thread(load_root_keys, self._path)

    async def make(self) -> None:
        """Make the file."""
        await asyncio.to_thread(make_root_key, self._path)


class EnvironmentKeys:
    """The keys of a variable's text; None where it is not set."""

    kind = ENVIRONMENT
    place = VARIABLE

    def __init__(self, text: str | None) -> None:
        self._text = text

    async def keys(self) -> Sequence[bytes]:
        """As the variable was when the process began."""
        return keys_of_variable(self._text)

    async def make(self) -> None:
        """Do nothing: who starts the registry sets the variable."""


def keys_of_variable(text: str | None) -> tuple[bytes, ...]:
    """The keys in the variable's text; raises KeyFileInvalid, which repeats nothing of it."""
    if not text:
        message = f"{VARIABLE} is not set: set it to 32 bytes in base64, as `openssl rand -base64 32` draws them"
        raise KeyFileInvalid(message)
    try:
        return tuple(decode_root_key(part.encode("utf-8", "replace")) for part in text.split(","))
    except ValueError as error:
        message = f"{VARIABLE} does not hold 32 bytes in base64, or several of them with commas between: correct it"
        raise KeyFileInvalid(message) from error


class HeldKeys:
    """Wraps with the first key of the first source, and unwraps with any key of any."""

    def __init__(self, wrapping_source: KeySource, *others: KeySource) -> None:
        self._wrapping = wrapping_source
        self._sources = (wrapping_source, *others)

    async def current(self) -> str:
        """The key that wraps; raises KeyFileInvalid."""
        return self._name(await self._first())

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:  # noqa: ARG002  there is none here
        """Wrap, whatever `kms_key` is; raises KeyFileInvalid."""
        key = await self._first()
        return Wrapped(self._name(key), wrapping.wrap(key, secret, context))

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """The secret; raises KeyFileInvalid where no source has the key, or WrongKey."""
        return wrapping.unwrap(await self._find(wrapped.root), wrapped.secret, context)

    async def make(self) -> None:
        """Make the key that wraps, where it can be made and is missing; raises KeyFileInvalid or OSError."""
        await self._wrapping.make()
        await self._first()

    async def bare(self, name: str) -> bytes:
        """The key with this fingerprint; raises KeyFileInvalid."""
        return await self._find(f"{LOCAL}:{name}")  # such a database knew no other place

    async def _first(self) -> bytes:
        return (await self._wrapping.keys())[0]

    def _name(self, key: bytes) -> str:
        return f"{self._wrapping.kind}:{fingerprint(key)}"

    async def _find(self, root: str) -> bytes:
        kind, _, name = root.partition(":")
        complaints = []
        for source in sorted(self._sources, key=lambda source: source.kind != kind):
            try:
                keys = await source.keys()
            except KeyFileInvalid as error:
                complaints.append(error)
                continue
            for key in keys:
                if fingerprint(key) == name:
                    return key
            complaints.append(_lacks(source.place, name))
        raise complaints[0]  # of the place where the key was when it wrapped


def _lacks(place: str, name: str) -> KeyFileInvalid:
    message = (
        f"{place} is not the one this database was made with: "
        f"put back the key with the fingerprint {name[:_SHOWN]}…, or share it"
    )
    return KeyFileInvalid(message)
