"""Taking back a signed token before it expires, by the id that it says."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from auth.claims import LEEWAY_SECONDS
from auth.errors import NotThere
from auth.tokens import LONGEST_LIFE_SECONDS
from storage.metadata import revoked_tokens
from storage.metadata.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

# A token may be dated a second ahead of the clock that made it, and clocks differ.
_UNKNOWN_LIFE_SECONDS: Final = LONGEST_LIFE_SECONDS + 2 * LEEWAY_SECONDS
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SWEPT_AT_ONCE = 1000


class Revocations:
    """Signed tokens that are refused though they have not expired."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def revoke(self, token_id: str, expires_at: float | None = None) -> None:
        """Refuse the token with this `jti`, and all fetched with it, from the next request on, on every worker.

        Without its own end, in seconds since the epoch, the id is kept for as long as any token lives. Raises NotThere
        for what is the id of no token.
        """
        if not _ID.fullmatch(token_id):
            raise NotThere("token", repr(token_id[:64]))
        now = self._now()
        until = now + _UNKNOWN_LIFE_SECONDS if expires_at is None else expires_at

        def change(connection: "Connection") -> bool:
            return revoked_tokens.add_revoked_token(connection, token_id, now=now, expires_at=until)

        await self._database.write(change)

    async def sweep(self) -> None:
        """Forget the tokens that are refused because they have expired."""
        before = self._now() - 2 * LEEWAY_SECONDS

        def change(connection: "Connection") -> int:
            return revoked_tokens.delete_expired_revocations(connection, before, limit=_SWEPT_AT_ONCE)

        while await self._database.write(change) == _SWEPT_AT_ONCE:
            pass
