"""The keys of encryption domains, unwrapped when they are needed and remembered for a while.

- What the database says is read at every call: a key that was added, and a domain that is to be destroyed, count at the
  next push or pull on every worker.
- What a root key had to unwrap is remembered by domain and version, for 15 minutes: as many unwraps as there are keys,
  however many objects are read; and a grant that was taken back in a key management service counts after that.
- From half of that time on a key that is in use is unwrapped again in the background, so that no request waits for it.
  While it cannot be, what is remembered serves until its time is over.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from storage.domain_records import KeyRecords, StoredKey, is_usable, require_usable
from storage.encryption.contexts import domain_key_context
from storage.encryption.keys import DomainKey
from storage.errors import KeyFileInvalid, KeyUnavailable, StorageError, WrongKey
from storage.roots.interface import RootKeys, Wrapped

KEY_SECONDS: Final = 900.0
"""How long an unwrapped key is remembered."""
RETRY_SECONDS: Final = 5.0
"""How long nobody asks again for a key that could not be had."""


@dataclass(slots=True)
class _Slot:
    """What is remembered of one version of a domain's key."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    secret: bytes | None = field(default=None, repr=False)
    unwrapped_at: float = 0.0
    failed: KeyUnavailable | None = None
    failed_at: float = 0.0


class Keyring:
    """The keys of all domains, as one process uses them; `now` counts seconds and never goes back."""

    def __init__(self, records: KeyRecords, roots: RootKeys, registry_id: str, now: Callable[[], float]) -> None:
        self._records = records
        self._roots = roots
        self._registry_id = registry_id
        self._now = now
        self._slots: dict[tuple[bytes, int], _Slot] = {}
        self._is_running = False
        self._refreshing: dict[tuple[bytes, int], asyncio.Future[None]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Unwrap keys again in the background while the block runs, before their time is over."""
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            refreshing = list(self._refreshing.values())
            for refresh in refreshing:
                refresh.cancel()
            await asyncio.gather(*refreshing, return_exceptions=True)

    async def current(self, domain: str) -> DomainKey:
        """The key to seal with in a domain; raises KeyUnavailable or DomainUnusable."""
        newest = await self._records.newest(domain)
        if newest is None:
            message = f"the encryption domain {domain} has no key: restart the registry, which makes what is missing"
            raise KeyUnavailable(message)
        return await self._open(newest)

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        """The key that an object was sealed with; raises KeyUnavailable, DomainUnusable or WrongKey."""
        found = await self._records.find(domain_id, version)
        if found is None:
            raise WrongKey
        return await self._open(found)

    async def _open(self, key: StoredKey) -> DomainKey:
        name = (key.domain_id, key.version)
        if not is_usable(key):
            self._slots.pop(name, None)
        require_usable(key)
        slot = self._slots.setdefault(name, _Slot())
        secret = self._remembered(slot)
        if secret is None:
            async with slot.lock:  # of many who want it, one asks
                secret = self._remembered(slot) or await self._unwrap(slot, key)
        elif self._now() - slot.unwrapped_at >= KEY_SECONDS / 2:
            self._refresh_later(slot, key)
        return DomainKey(key.domain, key.domain_id, key.version, secret)

    def _remembered(self, slot: _Slot) -> bytes | None:
        if self._now() - slot.unwrapped_at >= KEY_SECONDS:
            slot.secret = None
        return slot.secret

    def _refresh_later(self, slot: _Slot, key: StoredKey) -> None:
        name = (key.domain_id, key.version)
        if not self._is_running or name in self._refreshing or not self._may_ask(slot):
            return
        refresh = asyncio.ensure_future(self._refresh(slot, key))
        self._refreshing[name] = refresh
        refresh.add_done_callback(lambda _: self._refreshing.pop(name))

    async def _refresh(self, slot: _Slot, key: StoredKey) -> None:
        async with slot.lock:
            with suppress(StorageError):  # what is remembered serves; who comes after its time is told
                await self._unwrap(slot, key)

    def _may_ask(self, slot: _Slot) -> bool:
        return slot.failed is None or self._now() - slot.failed_at >= RETRY_SECONDS

    async def _unwrap(self, slot: _Slot, key: StoredKey) -> bytes:
        """Ask for a key and remember it; raises what was raised a moment ago without asking again."""
        if slot.failed is not None and not self._may_ask(slot):
            raise KeyUnavailable(str(slot.failed), slot.failed.words)
        asked_at = self._now()
        try:
            secret = await self._ask(key)
        except KeyUnavailable as error:
            slot.failed, slot.failed_at = error, self._now()
            raise
        slot.secret, slot.unwrapped_at, slot.failed = secret, asked_at, None
        for other in self._slots.values():  # what is in use no more does not stay in memory
            self._remembered(other)
        return secret

    async def _ask(self, key: StoredKey) -> bytes:
        context = domain_key_context(self._registry_id, key.domain, key.version)
        while True:
            wrapped = require_usable(key)
            try:
                return await self._roots.unwrap(Wrapped(key.root, wrapped), context)
            except (KeyFileInvalid, WrongKey) as error:
                found = await self._records.find(key.domain_id, key.version)
                if found is None or found.wrapped == wrapped:
                    raise _unavailable(error, key) from error
                key = found  # the root key was rotated between reading the row and here


def _unavailable(error: KeyFileInvalid | WrongKey, key: StoredKey) -> KeyUnavailable:
    message = f"version {key.version} of the key of the encryption domain {key.domain} does not open"
    return KeyUnavailable(message, f"it was wrapped by {key.root}, and the root key at hand is another: {error}")
