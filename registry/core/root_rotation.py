"""Rotating the root key: whatever it wraps is wrapped anew, and no stored object is touched.

- Until everything is wrapped by the next key, both keys unwrap: a rotation that was interrupted anywhere leaves a
  registry that works, and running it again finishes it.
- All keys are recorded in one transaction, and only if they are all the keys there are at that moment.
- A key of a domain that a KMS key of its own wraps, and that the service does not give, stays as it is: the root key is
  not what it needs.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from storage.domain_records import StoredKey
from storage.encryption.contexts import domain_key_context, secrets_key_context
from storage.errors import KeyFileInvalid, KeyUnavailable, WrongKey
from storage.metadata import domain_keys
from storage.metadata.database import Database
from storage.metadata.domain_keys import NewKey
from storage.metadata.secrets_key import read_secrets_key, replace_secrets_key
from storage.roots.interface import RootKeys, Wrapped

_TRIES: Final = 5


class Turn(Protocol):
    """What becomes of the root keys themselves when the next one takes its turn."""

    async def begin(self) -> None:
        """See that there is a next key, with which every process wraps from now on, and that the one before unwraps.

        Goes on with a turn that was interrupted. Raises KeyFileInvalid or KeyUnavailable.
        """

    async def end(self) -> None:
        """Give up the keys before, with which nothing is wrapped any more; raises KeyFileInvalid or KeyUnavailable."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done: the roots that wrap now and wrapped before, and how many keys of domains are wrapped anew.

    `kept` is how many of them stay as they were, for another key wraps them that is not to be had.
    """

    root: str
    before: str
    keys: int
    kept: int


@dataclass(frozen=True, slots=True)
class _Held:
    """Everything that is wrapped."""

    secrets_key: Wrapped | None
    keys: tuple[StoredKey, ...]


class RootRotation:
    """Rotates the root key of a registry."""

    def __init__(self, database: Database, roots: RootKeys, registry_id: str) -> None:
        self._database = database
        self._roots = roots
        self._registry_id = registry_id

    async def run(self, turn: Turn) -> Rotated:
        """Let the next root key wrap everything; raises KeyFileInvalid, KeyUnavailable or WrongKey."""
        await turn.begin()
        for _ in range(_TRIES):
            rotated = await self._rewrap_all()
            if rotated is not None:
                await turn.end()
                return rotated
        raise KeyUnavailable(
            "keys are made at this moment, and both root keys work: run `lading encryption rotate` again"
        )

    async def _rewrap_all(self) -> Rotated | None:
        """Wrap everything anew; None, and nothing done, where something was wrapped or destroyed meanwhile."""
        seen = await self._database.scan(_held)
        try:
            secrets_key = None if seen.secrets_key is None else await self._rewrap_secrets_key(seen.secrets_key)
            anew = [await self._rewrap(key, seen) for key in seen.keys]
        except (KeyFileInvalid, KeyUnavailable, WrongKey):
            if await self._database.scan(_held) != seen:  # another rotation was faster, and gave up the key before
                return None
            raise
        keys = [key for key in anew if key is not None]

        def change(connection: Connection) -> bool:
            read_secrets_key(connection, hold=True)
            if _held(connection) != seen:
                return False
            if seen.secrets_key is not None and secrets_key is not None:
                replace_secrets_key(connection, seen.secrets_key, secrets_key)
            for key in keys:
                domain_keys.rewrap_key(connection, key)
            return True

        if not await self._database.write(change):
            return None
        root = await self._roots.current()
        before = root if seen.secrets_key is None else seen.secrets_key.root
        return Rotated(root, before, len(keys), len(anew) - len(keys))

    async def _rewrap_secrets_key(self, wrapped: Wrapped) -> Wrapped:
        context = secrets_key_context(self._registry_id)
        return await self._roots.wrap(await self._roots.unwrap(wrapped, context), context)

    async def _rewrap(self, key: StoredKey, seen: _Held) -> NewKey | None:
        context = domain_key_context(self._registry_id, key.domain, key.version)
        try:
            secret = await self._roots.unwrap(Wrapped(key.root, key.wrapped or b""), context)
        except (KeyFileInvalid, KeyUnavailable, WrongKey):
            if key.kms_key is None or seen.secrets_key is None or key.root == seen.secrets_key.root:
                raise
            return None
        wrapped = await self._roots.wrap(secret, context, kms_key=key.kms_key)
        return NewKey(key.domain, key.version, wrapped.root, wrapped.secret)


def _held(connection: Connection) -> _Held:
    keys = tuple(key for key in domain_keys.list_keys(connection) if key.wrapped is not None)
    return _Held(read_secrets_key(connection), keys)
