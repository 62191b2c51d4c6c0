"""When access keys and stored tokens were last used: noted in memory, written in batches, read for who manages them.

- A note costs a dictionary look-up and never fails. At most one a minute is written for a credential.
- Notes are written at most five seconds late; a worker that is killed loses those that it has not written.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from auth.callers import Caller, CredentialKind
from storage.errors import StorageError
from storage.metadata.database import Database
from storage.metadata.last_use import (
    LastUsed,
    existing_credentials,
    find_last_uses,
    forget_last_uses,
    list_used_credentials,
    save_last_uses,
)

WRITE_EVERY_SECONDS: Final = 5.0
"""How late a use may be written."""

_NOTED: Final = frozenset({CredentialKind.ACCESS_KEY, CredentialKind.REFRESH_TOKEN, CredentialKind.SERVICE_TOKEN})
_ONCE_IN_SECONDS = 60.0
# More credentials than are used in a minute; what no longer fits is written a little too often.
_MOST_NOTED = 10_000
_MOST_SOURCE_CHARACTERS = 64
_PAGE = 500


class LastUse:
    """The last uses noted by one worker, on the activity database of all."""

    def __init__(self, activity: Database, now: Callable[[], float]) -> None:
        self._activity = activity
        self._now = now
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._unwritten: dict[str, LastUsed] = {}

    def note(self, caller: Caller, source: str) -> None:
        """Note that this caller's credential was used just then, if it is one that is listed to its owner."""
        if caller.credential not in _NOTED or caller.credential_id is None:
            return
        credential, now = caller.credential_id, self._now()
        noted_at = self._noted.get(credential)
        if noted_at is not None and abs(now - noted_at) < _ONCE_IN_SECONDS:
            return
        self._noted[credential] = now
        self._noted.move_to_end(credential)
        if len(self._noted) > _MOST_NOTED:
            forgotten, _ = self._noted.popitem(last=False)
            self._unwritten.pop(forgotten, None)
        readable = source.encode("ascii", errors="backslashreplace").decode()[:_MOST_SOURCE_CHARACTERS]
        self._unwritten[credential] = LastUsed(credential, now, readable)

    async def write(self) -> None:
        """Write what is noted; keeps it for the next time where the database does not take it."""
        writing, self._unwritten = self._unwritten, {}
        if not writing:
            return
        try:
            await self._activity.write(lambda connection: save_last_uses(connection, writing.values()))
        except (StorageError, asyncio.CancelledError) as error:
            self._unwritten = {**writing, **self._unwritten}
            if isinstance(error, asyncio.CancelledError):
                raise

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Write every five seconds while the block runs, and once more at its end."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_for_ever())
            try:
                yield
            finally:
                writing.cancel()
        await self.write()

    async def of(self, credentials: Collection[str]) -> dict[str, LastUsed]:
        """The last uses of these credentials, by credential; those never used have none."""
        if not credentials:
            return {}
        return await self._activity.scan(partial(find_last_uses, credentials=credentials))

    async def forget_missing(self, registry: Database) -> None:
        """Remove the last uses of credentials that the registry database no longer has."""
        after = ""
        while page := await self._activity.scan(partial(list_used_credentials, after=after, limit=_PAGE)):
            after = page[-1]
            there = await registry.scan(partial(existing_credentials, credentials=page))
            gone = [credential for credential in page if credential not in there]
            if gone:
                await self._activity.write(partial(forget_last_uses, credentials=gone))

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await self.write()
