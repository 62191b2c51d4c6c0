"""Slows guessing down: who gave too many wrong passwords of late has to wait, whatever he gives next.

- Wrong ones are counted for a user name and a client, known or not, and for a client over all names. A right one clears
  neither: nobody goes on guessing by logging in with an account of his own in between.
- A check is counted before it is made: guesses at once get no more through than guesses one after another.
- The count holds for all workers and over restarts. While its database is away, each worker counts alone: who reads has
  to log in, and must be able to.
- The database sees digests under a subkey of the secrets key, neither names nor addresses.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final
from weakref import WeakValueDictionary

from auth.login_counts import Bound, Check, LoginCounts, OwnCounts
from auth.recent_logins import RecentLogins
from auth.sealing import keyed_digest, subkey
from storage.errors import StorageError

ALL_NAMES_FACTOR: Final = 30
"""So many times what one user name may get wrong is what a client may, over all names."""

_PURPOSE = "login-failures"
_PATIENCE_SECONDS = 3.0
# A provider gives each customer a /64 at least, whose owner has all of its addresses.
_HOST_BITS = 64


Find = Callable[[], Awaitable[str | None]]
"""Looks up what is stored to check a secret with; None for who cannot log in."""
Compare = Callable[[str | None], Awaitable[bool]]
"""Whether the secret given is the one stored; does the same work for None, and says no."""


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who says who he is, from where, and gives a secret to prove it."""

    name: str
    client: str
    secret: str = field(repr=False)


class Throttle:
    """Guards the logins of one worker; `most` wrong passwords a minute for a user name and a client."""

    def __init__(
        self, counts: LoginCounts, secrets_key: bytes, most: int, *, now: Callable[[], float], recent: RecentLogins
    ) -> None:
        self._counts = counts
        self._alone = OwnCounts(now)
        self._key = subkey(secrets_key, _PURPOSE)
        self._most = most
        self._recent = recent
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def guarded(self, login: Login, find: Find, check: Compare) -> bool:
        """Whether the login is right: `find` what is stored of him, `check` the secret against it.

        Raises TooManyAttempts before either, so that the wait tells nothing; and whatever they raise, which counts as
        no attempt. A login that was right a moment ago, and is still what is stored, is not checked again.
        """
        client = network_of(login.client)
        who = self._digest("user", login.name, client)
        if await self._is_recent(who, login, find):
            return True
        async with self._turn(who):
            if await self._is_recent(who, login, find):
                return True
            stored: str | None = None

            async def find_and_check() -> bool:
                nonlocal stored
                stored = await find()
                return await check(stored)

            bounds = (
                Bound(who, self._most),
                Bound(self._digest("client", client), self._most * ALL_NAMES_FACTOR),
            )
            is_right = await self._counted(bounds, find_and_check)
            if is_right:
                self._recent.remember(who, (login.secret, stored or ""))
            return is_right

    async def _is_recent(self, who: str, login: Login, find: Find) -> bool:
        return self._recent.knows(who) and self._recent.confirms(who, (login.secret, await find() or ""))

    async def _counted(self, bounds: tuple[Bound, Bound], check: Callable[[], Awaitable[bool]]) -> bool:
        counts, begun = await self._begin(bounds)
        # A check that its caller broke off counts as well: nobody looks at an answer and then takes the question back.
        failed = True
        try:
            failed = not await check()
        except Exception:
            failed = False
            raise
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await counts.end(begun, failed=failed)
        return not failed

    async def _begin(self, bounds: tuple[Bound, Bound]) -> tuple[LoginCounts, Check]:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return self._counts, await self._counts.begin(bounds)
        except (StorageError, TimeoutError):
            return self._alone, await self._alone.begin(bounds)

    @asynccontextmanager
    async def _turn(self, who: str) -> AsyncIterator[None]:
        """One check at a time for a user and a client: what many ask at once after a start is answered by the first."""
        lock = self._turns.setdefault(who, asyncio.Lock())
        async with lock:
            yield

    def _digest(self, *parts: str) -> str:
        return keyed_digest(self._key, *parts).hex()


def network_of(client: str) -> str:
    """What counts as one client: an IPv4 address, the /64 of an IPv6 address; any other text is taken as it is."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/{_HOST_BITS}"
