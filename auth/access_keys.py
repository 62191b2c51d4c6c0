"""Access keys: an id to show and a secret to keep, for programs that log in.

- A secret is shown once, when it is made; the database keeps it sealed, for signatures are checked with it.
- A user has two keys at most, so that one can take over from the other.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from auth.directory import ACCESS_KEYS
from auth.errors import NotThere, TooMany
from auth.sealing import Seal
from storage.metadata import access_keys
from storage.metadata.access_keys import StoredAccessKey
from storage.metadata.database import Database
from storage.metadata.principals import find_principal

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_KEYS: Final = 2
"""Access keys of one user (IAM has the same quota)."""

_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID_CHARACTERS = 18
# No colon, so that it can stand in Basic credentials, and nothing that a shell reads.
_SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # noqa: S105  an alphabet
_SECRET_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    """An access key, with the secret that nobody is shown again."""

    id: str
    secret: str = field(repr=False)


def draw_access_key() -> NewAccessKey:
    """A key that nobody has: 90 random bits of id, 238 of secret."""
    key_id = "LK" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))
    return NewAccessKey(key_id, "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(_SECRET_CHARACTERS)))


class AccessKeys:
    """The access keys of all users."""

    def __init__(
        self,
        database: Database,
        secrets_key: bytes,
        now: Callable[[], float],
        draw: Callable[[], NewAccessKey] = draw_access_key,
    ) -> None:
        self._database = database
        self._seal = Seal(secrets_key, ACCESS_KEYS)
        self._now = now
        self._draw = draw

    async def create(self, user: str) -> NewAccessKey:
        """Make a key for a user; raises NotThere, or TooMany for a third one."""
        key = self._draw()
        new = StoredAccessKey(
            id=key.id,
            principal=user,
            sealed_secret=self._seal.close(key.id, key.secret.encode()),
            is_active=True,
            created_at=self._now(),
        )

        def change(connection: "Connection") -> None:
            _require_user(connection, user)
            if not access_keys.add_access_key(connection, new, most=MOST_KEYS):
                raise TooMany(f"access keys of {user}", MOST_KEYS, "delete one that is no longer used")

        await self._database.write(change)
        return key

    async def list(self, user: str) -> list[StoredAccessKey]:
        """A user's keys, oldest first; raises NotThere."""

        def look_up(connection: "Connection") -> list[StoredAccessKey]:
            _require_user(connection, user)
            return access_keys.list_access_keys(connection, user)

        return await self._database.read(look_up)

    async def enable(self, key_id: str) -> None:
        """Let a key in again; raises NotThere."""
        await self._set_state(key_id, active=True)

    async def disable(self, key_id: str) -> None:
        """Refuse a key, and the tokens that were fetched with it; raises NotThere."""
        await self._set_state(key_id, active=False)

    async def delete(self, key_id: str) -> None:
        """Remove a key for good; raises NotThere."""
        if not await self._database.write(lambda c: access_keys.delete_access_key(c, key_id)):
            raise NotThere("access key", key_id)

    async def _set_state(self, key_id: str, *, active: bool) -> None:
        change = partial(access_keys.set_access_key_state, id=key_id, active=active)
        if not await self._database.write(change):
            raise NotThere("access key", key_id)


def _require_user(connection: "Connection", name: str) -> None:
    if find_principal(connection, name) is None:
        raise NotThere("user", name)
