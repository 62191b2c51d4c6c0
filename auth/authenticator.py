"""From an `Authorization` header to the caller it stands for."""

import hmac
from typing import Final, assert_never

from auth.callers import Caller, CredentialKind
from auth.credentials import BasicCredentials, BearerCredentials, is_access_key_id, parse_authorization
from auth.directory import Directory, User
from auth.errors import CredentialsInvalid, TokenInvalid
from auth.passwords import Passwords
from auth.principals import ANONYMOUS
from auth.tokens import TokenVerifier, VerifiedToken

_NO_SECRET: Final = b"\x00"  # no credentials can hold it


class Authenticator:
    """Checks credentials against the principals in the database, at every request."""

    def __init__(self, directory: Directory, verifier: TokenVerifier, passwords: Passwords) -> None:
        self._directory = directory
        self._verifier = verifier
        self._passwords = passwords

    async def authenticate(self, header: str | None) -> Caller:
        """The caller that this `Authorization` header stands for; raises CredentialsInvalid or TokenInvalid.

        What is decided about the caller from here on rests on the newest principals and policies.
        """
        credentials = parse_authorization(header)
        await self._directory.refresh()
        match credentials:
            case None:
                return Caller(ANONYMOUS)
            case BasicCredentials():
                return await self._check_basic(credentials)
            case BearerCredentials():
                return await self._check_token(self._verifier.verify(credentials.token))
            case _:
                assert_never(credentials)

    async def check_password(self, credentials: BasicCredentials) -> Caller:
        """The caller with this name and password; raises CredentialsInvalid, the same whatever is wrong."""
        await self._directory.refresh()
        return await self._check_basic(credentials)

    async def _check_basic(self, credentials: BasicCredentials) -> Caller:
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

    async def _check_token(self, token: VerifiedToken) -> Caller:
        if not token.subject:
            return Caller(ANONYMOUS, token.access, credential=CredentialKind.BEARER_TOKEN)
        user = await self._directory.user(token.subject)
        if user is None:
            raise TokenInvalid("its user no longer exists")
        await self._check_revoked(token, user)
        return Caller(user.principal, token.access, token.access_key, credential=CredentialKind.BEARER_TOKEN)

    async def _check_revoked(self, token: VerifiedToken, user: User) -> None:
        if user.is_disabled:
            raise TokenInvalid("its user is disabled")
        if token.issued_at < user.valid_after:
            raise TokenInvalid("it was revoked: log in again")
        if token.access_key is None:
            return
        key = await self._directory.access_key(token.access_key)
        if key is None or not key.is_active or key.user != token.subject:
            raise TokenInvalid("the access key that it was fetched with is disabled or gone")
