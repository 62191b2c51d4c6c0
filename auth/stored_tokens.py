"""Refresh and service tokens: secrets that this registry gave out and keeps only the hash of.

- A token is written `ldt_ID_SECRET`; it holds no colon, so that it can stand in Basic credentials.
- A refresh token is exchanged for access tokens, any number at once, until it expires or its user's password changes.
- A service token is a password of its own, with a name and, if wanted, an end and a policy that limits it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from auth.accounts import check_name
from auth.callers import Caller, CredentialKind
from auth.errors import AlreadyThere, NotThere, SessionInvalid, TooMany
from auth.policy.document import PolicyKind
from auth.policy.parsing import parse_policy
from storage.metadata import stored_tokens
from storage.metadata.database import Database
from storage.metadata.principals import find_principal
from storage.metadata.stored_tokens import REFRESH, SERVICE, StoredToken

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_REFRESH_TOKENS: Final = 10_000
"""Refresh tokens of one user; the oldest make room."""
MOST_SERVICE_TOKENS: Final = 100
"""Service tokens of one user."""
MOST_POLICY_CHARACTERS: Final = 4096
"""Length of a service token's policy: it travels in every access token fetched with it."""

# Room is made for many at once: each time voids what every worker keeps.
_ROOM = MOST_REFRESH_TOKENS // 10
_SWEPT_AT_ONCE = 1000
_LAST_MOMENT = 253_402_300_799  # of the year 9999 in UTC: RFC 3339 writes years with four digits
_PREFIX = "ldt"
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # noqa: S105  an alphabet
_ID_CHARACTERS, _SECRET_CHARACTERS = 16, 43
_TOKEN = re.compile(rf"{_PREFIX}_([a-z2-7]{{{_ID_CHARACTERS}}})_([A-Za-z0-9]{{{_SECRET_CHARACTERS}}})", re.ASCII)
_LOGGED_IN = frozenset({CredentialKind.PASSWORD, CredentialKind.ACCESS_KEY})


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token as its owner has it, taken apart."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "TokenText | None":
        """The parts of a token; None for a text that is none."""
        match = _TOKEN.fullmatch(text) if text.startswith(_PREFIX) else None
        return None if match is None else cls(match[1], match[2])

    def __str__(self) -> str:
        """The token as its owner keeps it."""
        return f"{_PREFIX}_{self.id}_{self.secret}"

    @property
    def secret_hash(self) -> bytes:
        """What the registry keeps; the secret is random, so no slow hash is needed."""
        return hashlib.sha256(self.secret.encode()).digest()

    def opens(self, stored: StoredToken) -> bool:
        """Whether this is the stored token; takes the same time whatever its secret is."""
        return hmac.compare_digest(stored.secret_hash, self.secret_hash)


def draw_token() -> TokenText:
    """A token that nobody has: 80 random bits of id, 256 of secret."""
    token_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))
    return TokenText(token_id, "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(_SECRET_CHARACTERS)))


class StoredTokens:
    """The refresh and service tokens of all users."""

    def __init__(
        self,
        database: Database,
        refresh_ttl_seconds: int,
        now: Callable[[], float],
        draw: Callable[[], TokenText] = draw_token,
    ) -> None:
        self._database = database
        self._refresh_ttl_seconds = refresh_ttl_seconds
        self._now = now
        self._draw = draw

    async def issue_refresh(self, caller: Caller) -> TokenText | None:
        """A refresh token for a caller who gave a password or an access key; None for any other.

        A service token needs none, for it can be kept in place of a password; what lives for a while gets none.
        """
        if caller.credential not in _LOGGED_IN or caller.principal.session is not None:
            return None
        token, now, user = self._draw(), self._now(), caller.principal.name
        new = StoredToken(
            id=token.id,
            user=user,
            kind=REFRESH,
            name=None,
            secret_hash=token.secret_hash,
            policy=None,
            access_key=caller.access_key,
            # Not before the user's last change, though that be dated ahead of the clock.
            created_at=max(now, caller.valid_after),
            expires_at=now + self._refresh_ttl_seconds,
        )

        def change(connection: "Connection") -> None:
            user_id = _lock_user(connection, user)
            if stored_tokens.count_stored_tokens(connection, user_id, REFRESH) >= MOST_REFRESH_TOKENS:
                stored_tokens.delete_oldest_tokens(connection, user_id, REFRESH, _ROOM)
            stored_tokens.add_stored_token(connection, user_id, new)

        await self._database.write(change)
        return token

    async def create_service(
        self, user: str, name: str, *, expires_at: float | None = None, policy: str | None = None
    ) -> tuple[TokenText, StoredToken]:
        """Make a service token of a user, limited by a policy if one is given: for its owner, and as it is kept.

        Raises NotThere, AlreadyThere, TooMany, AccountNameInvalid, PolicyInvalid, or SessionInvalid for a time that has
        passed or that nobody could be shown, and for a policy of more than 4096 characters.
        """
        token, now = self._draw(), self._now()
        _check_limits(policy, expires_at, now)
        new = StoredToken(
            id=token.id,
            user=user,
            kind=SERVICE,
            name=check_name(name),
            secret_hash=token.secret_hash,
            policy=policy,
            access_key=None,
            created_at=now,
            expires_at=expires_at,
        )

        def change(connection: "Connection") -> None:
            user_id = _lock_user(connection, user)
            if stored_tokens.count_stored_tokens(connection, user_id, SERVICE) >= MOST_SERVICE_TOKENS:
                raise TooMany(f"service tokens of {user}", MOST_SERVICE_TOKENS, "delete one that is no longer used")
            if not stored_tokens.add_stored_token(connection, user_id, new):
                raise AlreadyThere("service token", name)

        await self._database.write(change)
        return token, new

    async def list_service(self, user: str) -> list[StoredToken]:
        """A user's service tokens, oldest first; raises NotThere."""

        def look_up(connection: "Connection") -> list[StoredToken]:
            if find_principal(connection, user) is None:
                raise NotThere("user", user)
            return stored_tokens.list_stored_tokens(connection, user, SERVICE)

        return await self._database.read(look_up)

    async def delete_service(self, user: str, name: str) -> None:
        """Refuse a service token, and what was fetched with it, from the next request on; raises NotThere."""

        def change(connection: "Connection") -> None:
            if not stored_tokens.delete_service_token(connection, _lock_user(connection, user), name):
                raise NotThere("service token", name)

        await self._database.write(change)

    async def sweep(self) -> None:
        """Remove the tokens that have expired."""
        now = self._now()

        def change(connection: "Connection") -> int:
            return stored_tokens.delete_expired_tokens(connection, now, limit=_SWEPT_AT_ONCE)

        while await self._database.write(change) == _SWEPT_AT_ONCE:
            pass


def _check_limits(policy: str | None, expires_at: float | None, now: float) -> None:
    if expires_at is not None and not now < expires_at <= _LAST_MOMENT:
        message = "its end has passed, or comes after the year 9999"
        raise SessionInvalid(message)
    if policy is None:
        return
    if len(policy) > MOST_POLICY_CHARACTERS:
        raise SessionInvalid(f"its policy has more than {MOST_POLICY_CHARACTERS} characters")
    parse_policy(policy, PolicyKind.IDENTITY)


def _lock_user(connection: "Connection", name: str) -> int:
    user_id = stored_tokens.lock_user(connection, name)
    if user_id is None:
        raise NotThere("user", name)
    return user_id
