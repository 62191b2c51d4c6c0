"""The keys of identity providers, fetched where each says that they are, and kept for a while.

- One fetch at a time for each provider, so that a crowd of logins costs it one request.
- A key that is not known makes the keys be fetched again, at most once a minute: a provider can change its keys at any
  time, and a flood of invented key ids costs nothing.
- While a provider is away its last keys go on counting, for a day.
- Source: OpenID Connect Discovery 1.0, section 4.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from auth.errors import KeysUnavailable
from auth.foreign_keys import ForeignKeys, read_keys
from auth.identity_providers import IdentityProvider, check_fetchable
from auth.strict_json import read_object

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"

_FRESH_SECONDS: Final = 3600
_STALE_SECONDS: Final = 24 * 3600
_BETWEEN_FETCHES_SECONDS: Final = 60
_AFTER_FAILURE_SECONDS: Final = 5
_MOST_PROVIDERS: Final = 200  # twice as many as there can be at one time


class FetchDocument(Protocol):
    """Gets a document from a server that nobody vouches for."""

    async def __call__(self, url: str, *, allow_private: bool) -> bytes:
        """The body of a 200 answer, bounded in size and time, from a public address unless private ones are allowed.

        Nothing is followed and nothing secret is sent. Raises OSError, whose text says why and may be shown.
        """


class _Held:
    """What is known of one provider's keys; times are seconds of a monotonic clock."""

    __slots__ = ("failure", "fetched_at", "keys", "lock", "tried_at")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.keys: ForeignKeys | None = None
        self.fetched_at = 0.0
        self.tried_at = -float("inf")
        self.failure = "they were not fetched yet"

    def answers(self, kid: str | None, now: float) -> bool:
        """Whether there is no reason to fetch the keys, or it is too early to."""
        if self.keys is None:
            return now < self.tried_at + _AFTER_FAILURE_SECONDS
        if now < self.tried_at + _BETWEEN_FETCHES_SECONDS:
            return True
        return now < self.fetched_at + _FRESH_SECONDS and self.keys.knows(kid)

    def can_wait(self, kid: str | None) -> bool:
        """Whether the keys in hand will do while somebody fetches them."""
        return self.lock.locked() and self.keys is not None and self.keys.knows(kid)


class DiscoveredKeys:
    """The keys of every identity provider, as this process knows them."""

    def __init__(self, fetch: FetchDocument, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._held: OrderedDict[IdentityProvider, _Held] = OrderedDict()

    async def of(self, provider: IdentityProvider, kid: str | None) -> ForeignKeys:
        """The keys of a provider, among which one with this id should be; raises KeysUnavailable."""
        held = self._held_of(provider)
        if not held.answers(kid, self._now()) and not held.can_wait(kid):
            async with held.lock:
                if not held.answers(kid, self._now()):
                    await self._refresh(provider, held)
        if held.keys is None or self._now() >= held.fetched_at + _STALE_SECONDS:
            raise KeysUnavailable(provider.issuer, held.failure)
        return held.keys

    def _held_of(self, provider: IdentityProvider) -> _Held:
        """What is known of a provider; after a change of its URLs, nothing."""
        held = self._held.setdefault(provider, _Held())
        self._held.move_to_end(provider)
        if len(self._held) > _MOST_PROVIDERS:
            self._held.popitem(last=False)
        return held

    async def _refresh(self, provider: IdentityProvider, held: _Held) -> None:
        try:
            held.keys = await self._fetch_keys(provider)
            held.fetched_at = self._now()
        except OSError as error:
            held.failure = str(error)
        except ValueError as error:
            held.failure = f"what it publishes cannot be used: {error}"
        held.tried_at = self._now()

    async def _fetch_keys(self, provider: IdentityProvider) -> ForeignKeys:
        url = provider.jwks_url or await self._discover(provider)
        document = await self._fetch(url, allow_private=provider.allow_private)
        # In a thread: reading a hundred keys takes some milliseconds.
        return await asyncio.to_thread(read_keys, document)

    async def _discover(self, provider: IdentityProvider) -> str:
        url = provider.issuer.rstrip("/") + DISCOVERY_PATH
        fetched = await self._fetch(url, allow_private=provider.allow_private)
        document = await asyncio.to_thread(read_object, fetched)
        if document.get("issuer") != provider.issuer:
            message = "its discovery document is that of another issuer"
            raise ValueError(message)
        jwks_url = document.get("jwks_uri")
        if not isinstance(jwks_url, str):
            message = "its discovery document names no jwks_uri"
            raise ValueError(message)  # noqa: TRY004  what is wrong is the document
        check_fetchable(jwks_url, allow_private=provider.allow_private)
        return jwks_url
