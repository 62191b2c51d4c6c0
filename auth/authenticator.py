"""From an `Authorization` header to the caller it stands for."""

import hmac
from typing import Final, Protocol, assert_never

from auth.bearers import Bearers
from auth.callers import Caller, CredentialKind
from auth.credentials import BasicCredentials, BearerCredentials, is_access_key_id, parse_authorization
from auth.directory import Directory
from auth.errors import CredentialsInvalid, GrantUnsupported
from auth.passwords import Passwords
from auth.principals import ANONYMOUS
from auth.stored_tokens import TokenText

AUTHORIZATION_USER: Final = "AWS"
"""The user name that goes with an authorization token (Amazon ECR, "Private registry authentication")."""
ROLE_USER: Final = "role/"
"""What a user name begins with that names a role, to be assumed with an identity token as the password."""

_NO_SECRET: Final = b"\x00"  # no credentials can hold it
_DOTS_OF_JWT: Final = 2


class WebIdentities(Protocol):
    """Lets the holders of other issuers' identity tokens act in roles that trust them."""

    async def caller(self, role: str, identity_token: str, session_name: str | None = None) -> Caller:
        """The role's session for this identity token; the role is given by its name or its ARN.

        Raises WebIdentityInvalid, KeysUnavailable or AccessDenied.
        """


class Authenticator:
    """Checks credentials against the principals in the database, at every request.

    `client` is the address that a request came from; what is decided about a caller from here on rests on the newest
    principals, policies and keys.
    """

    def __init__(
        self,
        directory: Directory,
        bearers: Bearers,
        passwords: Passwords,
        web_identities: WebIdentities | None = None,
    ) -> None:
        self._directory = directory
        self._bearers = bearers
        self._passwords = passwords
        self._web_identities = web_identities

    async def authenticate(self, header: str | None, client: str = "") -> Caller:
        """The caller that this `Authorization` header stands for; raises CredentialsInvalid or TokenInvalid.

        With the name of a role it raises what WebIdentities does.
        """
        credentials = parse_authorization(header)
        await self._directory.refresh()
        match credentials:
            case None:
                return Caller(ANONYMOUS)
            case BasicCredentials():
                return await self._check_named(credentials, client)
            case BearerCredentials():
                return await self._bearers.check_bearer(credentials.token)
            case _:
                assert_never(credentials)

    async def check_password(self, credentials: BasicCredentials, client: str = "") -> Caller:
        """The caller with this name and password, or what stands for one; raises what `authenticate` does."""
        await self._directory.refresh()
        return await self._check_named(credentials, client)

    async def check_refresh(self, refresh_token: str) -> Caller:
        """The caller with this refresh token; raises TokenInvalid."""
        await self._directory.refresh()
        return await self._bearers.check_refresh(refresh_token)

    async def exchange(self, role: str, identity_token: str, session_name: str | None = None) -> Caller:
        """A role's session for another issuer's token; raises what WebIdentities does, or GrantUnsupported."""
        if self._web_identities is None:
            raise GrantUnsupported("token-exchange")
        await self._directory.refresh()
        return await self._web_identities.caller(role, identity_token, session_name)

    async def _check_named(self, credentials: BasicCredentials, client: str) -> Caller:
        """Tell tokens that stand in place of a password from passwords; nobody can guess one of those."""
        name, password = credentials.name, credentials.password
        stored = TokenText.parse(password)
        if stored is not None:
            return await self._bearers.check_service(name, stored)
        if name == AUTHORIZATION_USER and password.count(".") == _DOTS_OF_JWT:
            return await self._bearers.check_authorization(password)
        if name.startswith(ROLE_USER) and self._web_identities is not None:
            return await self._web_identities.caller(name.removeprefix(ROLE_USER), password)
        return await self._check_basic(credentials, client)

    async def _check_basic(self, credentials: BasicCredentials, client: str) -> Caller:  # noqa: ARG002  who guesses
        """Check what can be guessed, a password or an access key's secret; the answer is the same whatever is wrong."""
        if is_access_key_id(credentials.name):
            return await self._check_secret(credentials)
        user = await self._directory.user(credentials.name)
        stored_hash = None if user is None else user.password_hash
        matches = await self._passwords.check(credentials.name, credentials.password, stored_hash)
        if user is None or user.is_disabled or not matches:
            raise CredentialsInvalid
        return Caller(user.principal, valid_after=user.valid_after, credential=CredentialKind.PASSWORD)

    async def _check_secret(self, credentials: BasicCredentials) -> Caller:
        """Check an access key's id and secret."""
        key = await self._directory.access_key(credentials.name)
        matches = hmac.compare_digest(_NO_SECRET if key is None else key.secret, credentials.password.encode())
        if key is None or not key.is_active or not matches:
            raise CredentialsInvalid
        user = await self._directory.user(key.user)
        if user is None or user.is_disabled:
            raise CredentialsInvalid
        return Caller(
            user.principal,
            access_key=key.id,
            valid_after=user.valid_after,
            credential=CredentialKind.ACCESS_KEY,
            credential_id=key.id,
        )
