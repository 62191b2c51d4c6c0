"""What can be changed about a role that is there, one transaction each.

- Ending its sessions ends what was opened before, at the next request; who is trusted can open others.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from auth.accounts import after_all_tokens, require_role
from auth.errors import NotThere, SessionInvalid
from auth.policy.document import PolicyKind
from auth.policy.parsing import parse_policy
from auth.principals import PrincipalKind
from auth.role_sessions import LEAST_SECONDS
from storage.metadata import principals
from storage.metadata.database import Database
from storage.metadata.principals import StoredPrincipal

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOST_SECONDS: Final = 43_200  # IAM, MaxSessionDuration


class Roles:
    """The roles of one account."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def find(self, name: str) -> StoredPrincipal:
        """A role with its trust policy; raises NotThere."""
        return await self._database.read(lambda connection: require_role(connection, name))

    async def put_trust_policy(self, name: str, document: str) -> None:
        """Say who may assume a role; sessions that are open go on. Raises PolicyInvalid or NotThere."""
        parse_policy(document, PolicyKind.TRUST)
        await self._change(name, trust_policy=document)

    async def set_max_session_seconds(self, name: str, seconds: int) -> None:
        """Bound the sessions that are opened from then on, 900 to 43 200 s; raises SessionInvalid or NotThere."""
        if not LEAST_SECONDS <= seconds <= _MOST_SECONDS:
            reason = f"a role can be assumed for {LEAST_SECONDS} to {_MOST_SECONDS} seconds"
            raise SessionInvalid(reason)
        await self._change(name, max_session_seconds=seconds)

    async def revoke_sessions(self, name: str) -> None:
        """End every session of a role that is open; raises NotThere."""

        def change(connection: "Connection") -> None:
            role = require_role(connection, name)
            valid_after = after_all_tokens(self._now(), role.valid_after)
            principals.change_principal(connection, name, role.kind, valid_after=valid_after)

        await self._database.write(change)

    async def _change(self, name: str, **fields: str | int) -> None:
        kind = PrincipalKind.ROLE.value
        if not await self._database.write(lambda c: principals.change_principal(c, name, kind, **fields)):
            raise NotThere("role", name)
