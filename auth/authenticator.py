"""From an `Authorization` header to the caller it stands for."""

from dataclasses import dataclass
from typing import assert_never

from auth.credentials import BasicCredentials, BearerCredentials, parse_authorization
from auth.errors import CredentialsInvalid, TokenInvalid
from auth.passwords import Passwords
from auth.principals import ANONYMOUS, AnonymousMode, Principal, PrincipalKind
from auth.scopes import Access
from auth.tokens import TokenVerifier
from storage.metadata.accounts import StoredPrincipal, find_principal
from storage.metadata.database import Database


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and the most that the credentials used let them do; no ceiling but for bearer tokens."""

    principal: Principal
    ceiling: Access | None = None


class Authenticator:
    """Checks credentials against the principals in the database, at every request."""

    def __init__(
        self, database: Database, verifier: TokenVerifier, passwords: Passwords, anonymous_mode: AnonymousMode
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._passwords = passwords
        self._anonymous_mode = anonymous_mode

    async def authenticate(self, header: str | None) -> Caller:
        """The caller that this `Authorization` header stands for; raises CredentialsInvalid or TokenInvalid."""
        credentials = parse_authorization(header)
        match credentials:
            case None:
                return Caller(ANONYMOUS)
            case BasicCredentials():
                return await self.check_password(credentials)
            case BearerCredentials():
                return await self._check_token(credentials)
            case _:
                assert_never(credentials)

    async def check_password(self, credentials: BasicCredentials) -> Caller:
        """The caller with this name and password; raises CredentialsInvalid, the same whichever of the two is wrong."""
        stored = await self._find(credentials.name)
        stored_hash = None if stored is None else stored.password_hash
        matches = await self._passwords.check(credentials.name, credentials.password, stored_hash)
        if stored is None or not matches:
            raise CredentialsInvalid
        return Caller(_principal(stored))

    async def _check_token(self, credentials: BearerCredentials) -> Caller:
        token = self._verifier.verify(credentials.token)
        if not token.subject:
            return self._anonymous_bearer(token.access)
        stored = await self._find(token.subject)
        if stored is None:
            message = "its user no longer exists"
            raise TokenInvalid(message)
        return Caller(_principal(stored), token.access)

    def _anonymous_bearer(self, access: Access) -> Caller:
        if self._anonymous_mode == "none":
            message = "anonymous access was turned off"
            raise TokenInvalid(message)
        return Caller(ANONYMOUS, access)

    async def _find(self, name: str) -> StoredPrincipal | None:
        return await self._database.read(lambda connection: find_principal(connection, name))


def _principal(stored: StoredPrincipal) -> Principal:
    return Principal(stored.account_id, stored.name, PrincipalKind(stored.kind))
