"""From an `Authorization` header to the caller it stands for."""

from typing import Final, Protocol, assert_never

from auth.accounts import is_name
from auth.authorizer import NO_FACTS, Facts
from auth.bearers import Bearers
from auth.callers import STRANGER, Caller, CredentialKind
from auth.credentials import BasicCredentials, BearerCredentials, parse_authorization
from auth.directory import Directory
from auth.errors import CredentialsInvalid, GrantUnsupported
from auth.logins import Logins
from auth.stored_tokens import TokenText

AUTHORIZATION_USER: Final = "AWS"
"""The user name that goes with an authorization token (Amazon ECR, "Private registry authentication")."""
ROLE_USER: Final = "role/"
"""What a user name begins with that names a role, to be assumed with an identity token as the password."""

_DOTS_OF_JWT: Final = 2


class WebIdentities(Protocol):
    """Lets the holders of other issuers' identity tokens act in roles that trust them."""

    async def caller(
        self, role: str, identity_token: str, session_name: str | None = None, *, facts: Facts = NO_FACTS
    ) -> Caller:
        """The role's session for this identity token; the role is given by its name or its ARN.

        Raises WebIdentityInvalid, KeysUnavailable or SessionInvalid.
        """


class Authenticator:
    """Checks credentials against the principals in the database, at every request.

    `client` is the address that a request came from, `facts` is what it tells the trust policies of roles. What is
    decided about a caller from here on rests on the newest principals, policies and keys.
    """

    def __init__(
        self,
        directory: Directory,
        bearers: Bearers,
        logins: Logins,
        web_identities: WebIdentities | None = None,
    ) -> None:
        self._directory = directory
        self._bearers = bearers
        self._logins = logins
        self._web_identities = web_identities

    async def authenticate(self, header: str | None, client: str = "", facts: Facts = NO_FACTS) -> Caller:
        """The caller that this `Authorization` header stands for; raises CredentialsInvalid or TokenInvalid.

        With the name of a role it raises what WebIdentities does.
        """
        credentials = parse_authorization(header)
        await self._directory.refresh()
        match credentials:
            case None:
                return STRANGER
            case BasicCredentials():
                return await self._check_named(credentials, client, facts)
            case BearerCredentials():
                return await self._bearers.check_bearer(credentials.token)
            case _:
                assert_never(credentials)

    @property
    def edition(self) -> object:
        """The same object as long as who a caller is cannot have changed, but for the end of its token."""
        return self._directory.edition

    @property
    def generation(self) -> int:
        """The generation of the database that the edition is of."""
        return self._directory.generation

    async def is_current(self) -> bool:
        """Whether the edition is the newest."""
        return await self._directory.is_current()

    async def check_password(self, credentials: BasicCredentials, client: str = "", facts: Facts = NO_FACTS) -> Caller:
        """The caller with this name and password, or what stands for one; raises what `authenticate` does."""
        await self._directory.refresh()
        return await self._check_named(credentials, client, facts)

    async def check_refresh(self, refresh_token: str) -> Caller:
        """The caller with this refresh token; raises TokenInvalid."""
        await self._directory.refresh()
        return await self._bearers.check_refresh(refresh_token)

    async def check_certificate(self, name: str) -> Caller:
        """The user whom a verified client certificate names, the root user included; raises CredentialsInvalid."""
        await self._directory.refresh()
        user = await self._directory.user(name) if is_name(name) else None
        if user is None or user.is_disabled:
            reason = "the client certificate names no user who may log in"
            raise CredentialsInvalid(reason)
        return Caller(user.principal, valid_after=user.valid_after, credential=CredentialKind.CERTIFICATE)

    async def exchange(
        self, role: str, identity_token: str, session_name: str | None = None, facts: Facts = NO_FACTS
    ) -> Caller:
        """A role's session for another issuer's token; raises what WebIdentities does, or GrantUnsupported."""
        if self._web_identities is None:
            raise GrantUnsupported("token-exchange")
        await self._directory.refresh()
        return await self._web_identities.caller(role, identity_token, session_name, facts=facts)

    async def _check_named(self, credentials: BasicCredentials, client: str, facts: Facts) -> Caller:
        """Tell tokens that stand in place of a password from passwords; nobody can guess one of those."""
        name, password = credentials.name, credentials.password
        stored = TokenText.parse(password)
        if stored is not None:
            return await self._bearers.check_service(name, stored)
        if name == AUTHORIZATION_USER and password.count(".") == _DOTS_OF_JWT:
            return await self._bearers.check_authorization(password)
        if name.startswith(ROLE_USER) and self._web_identities is not None:
            return await self._web_identities.caller(name.removeprefix(ROLE_USER), password, facts=facts)
        return await self._logins.check(credentials, client)
