"""The keys of the registry as one process knows them: which signs, which verify, which are published.

- A key is published and verifies as soon as it is made; it signs from its time on, until a key made later does.
- What a key signed is refused from the moment it retires.
- The ring is read again when the database's generation moves, before anything is verified; a sealed key is opened once.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from auth.errors import NoSigningKey
from auth.keys import Algorithm, PublicKey, SigningKey, open_private_key
from storage.metadata.database import Database
from storage.metadata.signing_keys import StoredSigningKey, list_signing_keys


class Timed(Protocol):
    """Whatever tells a key's times, in seconds since the epoch; `retires_at` is None for a key that none follows."""

    @property
    def signs_from(self) -> float:
        """When it begins to sign, until a key made later does."""

    @property
    def retires_at(self) -> float | None:
        """When what it signed begins to be refused."""


Key = TypeVar("Key", bound=Timed)


def is_retired(key: Timed, now: float) -> bool:
    """Whether what the key signed is refused."""
    return key.retires_at is not None and now >= key.retires_at


def find_signing(keys: Sequence[Key], now: float) -> Key | None:
    """The one of these keys, oldest first, that signs; None when there is none."""
    return next((key for key in reversed(keys) if key.signs_from <= now and not is_retired(key, now)), None)


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key, opened, and its times."""

    key: SigningKey
    public_key: PublicKey
    signs_from: float = 0.0
    retires_at: float | None = None

    @property
    def kid(self) -> str:
        """The id under which it is published."""
        return self.key.kid

    @property
    def algorithm(self) -> Algorithm:
        """The one algorithm that it signs with."""
        return self.key.algorithm


class KeyRing:
    """The keys of one registry, oldest first."""

    def __init__(self, keys: Iterable[SigningKey] = (), now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._begun = self._taken = 0
        self._set([RingKey(key, key.public_key) for key in keys])

    @property
    def edition(self) -> object:
        """Another object after the keys or their times have changed, the same as long as they have not."""
        return self._by_id

    def signing_key(self) -> SigningKey:
        """The key to sign with at this moment; raises NoSigningKey."""
        found = find_signing(self._keys, self._now())
        if found is None:
            raise NoSigningKey
        return found.key

    def find(self, kid: str) -> RingKey | None:
        """The key of this id that verifies at this moment; None for one that is unknown or retired."""
        found = self._by_id.get(kid)
        return None if found is None or is_retired(found, self._now()) else found

    def published(self) -> list[dict[str, str]]:
        """The public halves of all keys that have not retired, those that do not sign yet included."""
        now = self._now()
        return [jwk for ring_key, jwk in zip(self._keys, self._jwks, strict=True) if not is_retired(ring_key, now)]

    async def reload(self, database: Database, secrets_key: bytes) -> None:
        """Take over the keys that the database holds."""
        self._begun += 1
        number = self._begun
        stored = await database.read(list_signing_keys)
        # Of two that read at the same time, the one that began later may have the newer keys, whichever ends first.
        if number > self._taken:
            self._taken = number
            self._take(stored, secrets_key)

    def _take(self, stored: Iterable[StoredSigningKey], secrets_key: bytes) -> None:
        keys = [self._ring_key(each, secrets_key) for each in stored]
        if keys != self._keys:
            self._set(keys)

    def _ring_key(self, stored: StoredSigningKey, secrets_key: bytes) -> RingKey:
        known = self._by_id.get(stored.kid)
        if known is None:
            key = open_private_key(stored.kid, stored.sealed_private_key, secrets_key)
            return RingKey(key, key.public_key, stored.signs_from, stored.retires_at)
        return RingKey(known.key, known.public_key, stored.signs_from, stored.retires_at)

    def _set(self, keys: list[RingKey]) -> None:
        self._keys = keys
        self._by_id = {ring_key.kid: ring_key for ring_key in keys}
        self._jwks = [ring_key.key.jwk for ring_key in keys]
