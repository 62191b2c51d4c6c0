"""The signing keys taking turns: another follows while what was signed before stays valid.

- A key is published when it is made, and may sign later, so that others who keep the published keys can fetch it first.
- The keys before it verify for as long as anything that they signed is valid.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from auth.claims import LEEWAY_SECONDS
from auth.errors import NotThere, RotationRefused
from auth.key_ring import find_signing, is_retired
from auth.keys import Algorithm, generate_signing_key, seal_private_key
from auth.tokens import LONGEST_LIFE_SECONDS
from storage.metadata import signing_keys
from storage.metadata.database import Database
from storage.metadata.signing_keys import StoredSigningKey

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_KEYS: Final = 16
"""Keys that have not retired: the published document stays one that everybody reads."""
MOST_DELAY_SECONDS: Final = 30 * 86_400
"""How long a key may be published before it signs."""

# Once for the token's own leeway, once for a node whose clock is behind.
_OVERLAP_SECONDS: Final = LONGEST_LIFE_SECONDS + 2 * LEEWAY_SECONDS
_KEPT_SECONDS: Final = 7 * 86_400
_CLOCK_TICK: Final = 0.001


class KeyState(StrEnum):
    """What a key does at a moment."""

    NEXT = "next"
    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A signing key and its times, in seconds since the epoch."""

    kid: str
    algorithm: str
    state: KeyState
    created_at: float
    signs_from: float
    retires_at: float | None


class SigningKeys:
    """The signing keys of a registry, for whoever looks after them."""

    def __init__(self, database: Database, secrets_key: bytes, now: Callable[[], float]) -> None:
        self._database = database
        self._secrets_key = secrets_key
        self._now = now

    async def rotate(self, algorithm: Algorithm, signs_in_seconds: float = 0) -> ListedKey:
        """Make a key that signs after so many seconds; the others go on until all they signed has expired.

        Raises RotationRefused for a delay of more than 30 days, or for a seventeenth key.
        """
        if not 0 <= signs_in_seconds <= MOST_DELAY_SECONDS:
            raise RotationRefused(f"a key signs 0 to {MOST_DELAY_SECONDS} seconds after it was made")
        key = await asyncio.to_thread(generate_signing_key, algorithm)
        sealed, now = seal_private_key(key, self._secrets_key), self._now()
        signs_from = now + signs_in_seconds

        def change(connection: "Connection") -> None:
            keys = signing_keys.list_signing_keys(connection)
            if sum(1 for each in keys if not is_retired(each, now)) >= MOST_KEYS:
                raise RotationRefused(f"there are {MOST_KEYS} keys already: retire those that are not needed")
            # The last in order is the one that signs, though this clock be behind the one of the key before.
            created_at = max(now, *(each.created_at + _CLOCK_TICK for each in keys)) if keys else now
            new = StoredSigningKey(key.kid, key.algorithm, sealed, created_at, signs_from)
            signing_keys.add_signing_key(connection, new)
            signing_keys.retire_others(connection, key.kid, signs_from + _OVERLAP_SECONDS)
            signing_keys.delete_retired_keys(connection, now - _KEPT_SECONDS)

        await self._database.write(change)
        return next(each for each in await self.list() if each.kid == key.kid)

    async def list(self) -> "list[ListedKey]":
        """Every key, oldest first."""
        keys, now = await self._database.read(signing_keys.list_signing_keys), self._now()
        signing = find_signing(keys, now)
        return [
            ListedKey(
                kid=each.kid,
                algorithm=each.algorithm,
                state=_state(each, signing, now),
                created_at=each.created_at,
                signs_from=each.signs_from,
                retires_at=each.retires_at,
            )
            for each in keys
        ]

    async def retire(self, kid: str) -> None:
        """Refuse from the next request on whatever a key signed; raises NotThere, or RotationRefused while it signs."""
        now = self._now()

        def change(connection: "Connection") -> None:
            keys = signing_keys.list_signing_keys(connection)
            needed = (*keys[-1:], find_signing(keys, now))
            if kid in {key.kid for key in needed if key is not None}:
                raise RotationRefused(
                    f"signing key {kid} signs, or is the next to: run `lading signing rotate` first, and retire it then"
                )
            if not signing_keys.retire_signing_key(connection, kid, now):
                raise NotThere("signing key", kid)

        await self._database.write(change)

    async def sweep(self) -> None:
        """Remove the keys that retired a week ago."""
        before = self._now() - _KEPT_SECONDS
        await self._database.write(lambda connection: signing_keys.delete_retired_keys(connection, before))


def _state(key: StoredSigningKey, signing: StoredSigningKey | None, now: float) -> KeyState:
    if is_retired(key, now):
        return KeyState.RETIRED
    if key is signing:
        return KeyState.SIGNING
    return KeyState.NEXT if key.signs_from > now else KeyState.VERIFYING
