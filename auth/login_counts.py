"""How many logins failed of late: counted in the database for all workers, or by one worker alone while that is away.

- A check is begun before it is made: it may turn out wrong, and counts until it is ended.
- Wrong passwords count for a minute from the first of them.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from auth.errors import TooManyAttempts, TooManyLogins
from storage.errors import StorageError
from storage.metadata.database import Database
from storage.metadata.login_failures import (
    LoginFailures,
    Moment,
    begin_check,
    end_check,
    find_login_failures,
    forget_login_failures,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COUNTED_SECONDS = 60.0
# Checks of other workers take 25 ms each: who finds only those in the way asks again before giving up.
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.05
_COUNTED_ALONE = 10_000


@dataclass(frozen=True, slots=True)
class Bound:
    """No more than `most` wrong passwords a minute under this id."""

    id: str
    most: int


@dataclass(frozen=True, slots=True)
class Check:
    """A check that was begun under two bounds; `began_at` is when each began to count."""

    ids: tuple[str, str]
    began_at: tuple[float, float]


class LoginCounts(Protocol):
    """Counts the logins that fail."""

    async def begin(self, bounds: tuple[Bound, Bound]) -> Check:
        """Count a check that is about to be made; raises TooManyAttempts, or TooManyLogins while others are made."""

    async def end(self, check: Check, *, failed: bool) -> None:
        """Keep counting it if it failed; never fails itself."""


class _Full(Exception):
    """Wrong passwords and checks being made reach a bound together."""


class SharedCounts:
    """Counts in the database, for all workers and over restarts."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def begin(self, bounds: tuple[Bound, Bound]) -> Check:
        """Count a check; raises TooManyAttempts, TooManyLogins, or StorageError where the database did not take it."""
        for _ in range(_ATTEMPTS):
            check = await self._begin(bounds)
            if check is not None:
                return check
            await asyncio.sleep(_PAUSE_SECONDS)
        raise TooManyLogins

    async def end(self, check: Check, *, failed: bool) -> None:
        """Settle a check; where the database does not take that, it counts as one being made until it is forgotten."""

        def change(connection: "Connection") -> None:
            for id_, began_at in zip(check.ids, check.began_at, strict=True):
                end_check(connection, id_, began_at, failed=failed)

        with suppress(StorageError):
            await self._database.write(change)

    async def sweep(self) -> None:
        """Remove what is forgotten."""
        await self._database.write(lambda connection: forget_login_failures(connection, self._moment()))

    async def _begin(self, bounds: tuple[Bound, Bound]) -> Check | None:
        first, second = bounds
        ids, moment = (first.id, second.id), self._moment()
        counted = await self._database.read(lambda connection: find_login_failures(connection, ids, moment))
        refuse_too_many(bounds, counted, moment)

        def change(connection: "Connection") -> tuple[float, float]:
            return _begin_or_undo(connection, first, moment), _begin_or_undo(connection, second, moment)

        try:
            return Check(ids, await self._database.write(change))
        except _Full:
            return None

    def _moment(self) -> Moment:
        return Moment(self._now(), _COUNTED_SECONDS)


class OwnCounts:
    """Counts in the memory of one worker, within a bound."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._counted: OrderedDict[str, LoginFailures] = OrderedDict()

    async def begin(self, bounds: tuple[Bound, Bound]) -> Check:
        """Count a check as wrong until it is ended; raises TooManyAttempts."""
        first, second = bounds
        moment = Moment(self._now(), _COUNTED_SECONDS)
        counted = {bound.id: kept for bound in bounds if (kept := self._find(bound.id, moment)) is not None}
        refuse_too_many(bounds, counted, moment)
        return Check((first.id, second.id), (self._add(first.id, moment), self._add(second.id, moment)))

    async def end(self, check: Check, *, failed: bool) -> None:
        """Take a check back that did not fail."""
        if failed:
            return
        for id_, began_at in zip(check.ids, check.began_at, strict=True):
            kept = self._counted.get(id_)
            if kept is not None and kept.began_at == began_at:
                self._counted[id_] = LoginFailures(kept.failures - 1, 0, began_at)

    def _find(self, id_: str, moment: Moment) -> LoginFailures | None:
        kept = self._counted.get(id_)
        if kept is None or abs(moment.now - kept.began_at) >= moment.counted_seconds:
            return None
        return kept

    def _add(self, id_: str, moment: Moment) -> float:
        kept = self._find(id_, moment) or LoginFailures(0, 0, moment.now)
        self._counted[id_] = LoginFailures(kept.failures + 1, 0, kept.began_at)
        self._counted.move_to_end(id_)
        if len(self._counted) > _COUNTED_ALONE:
            self._counted.popitem(last=False)
        return kept.began_at


def refuse_too_many(bounds: tuple[Bound, Bound], counted: Mapping[str, LoginFailures], moment: Moment) -> None:
    """Raise TooManyAttempts where wrong passwords alone reach a bound; it says when the last of those is forgotten."""
    waits = [
        counted[bound.id].began_at + moment.counted_seconds - moment.now
        for bound in bounds
        if bound.id in counted and counted[bound.id].failures >= bound.most
    ]
    if waits:
        raise TooManyAttempts(min(math.ceil(moment.counted_seconds), max(1, math.ceil(max(waits)))))


def _begin_or_undo(connection: "Connection", bound: Bound, moment: Moment) -> float:
    began_at = begin_check(connection, bound.id, moment, most=bound.most)
    if began_at is None:
        raise _Full
    return began_at
