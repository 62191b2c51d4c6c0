"""Logins with a secret that can be guessed: a user's password, an access key's secret.

- Whatever is wrong, the answer is the same and so is the work: who is unknown, disabled or without a password cannot be
  told from who gave a wrong one.
- Every guess goes through the throttle; nothing is looked up for one that has to wait.
"""

import hmac
from functools import partial
from typing import Final

from auth.callers import Caller, CredentialKind
from auth.credentials import BasicCredentials, is_access_key_id
from auth.directory import AccessKey, Directory, User
from auth.errors import CredentialsInvalid
from auth.passwords import Passwords
from auth.throttle import Login, Throttle

_NO_SECRET: Final = "\x00"  # noqa: S105  no credentials can hold it


class Logins:
    """Checks names and secrets against the principals that the directory knows of."""

    def __init__(self, passwords: Passwords, throttle: Throttle, directory: Directory) -> None:
        self._passwords = passwords
        self._throttle = throttle
        self._directory = directory

    async def check(self, credentials: BasicCredentials, client: str) -> Caller:
        """The caller with this name and secret, who asks from this address.

        Raises CredentialsInvalid, TooManyAttempts or TooManyLogins.
        """
        login = Login(credentials.name, client, credentials.password)
        if is_access_key_id(credentials.name):
            return await self._check_secret(login)
        return await self._check_password(login)

    async def _check_password(self, login: Login) -> Caller:
        async def find() -> str | None:
            user = await self._user(login.name)
            return None if user is None else user.password_hash

        is_right = await self._throttle.guarded(login, find, partial(self._passwords.check, login.secret))
        user = await self._user(login.name) if is_right else None
        if user is None:
            raise CredentialsInvalid
        return Caller(user.principal, valid_after=user.valid_after, credential=CredentialKind.PASSWORD)

    async def _check_secret(self, login: Login) -> Caller:
        async def find() -> str | None:
            key = await self._key(login.name)
            return None if key is None or await self._user(key.user) is None else key.secret.decode()

        async def compare(stored: str | None) -> bool:
            return hmac.compare_digest((stored or _NO_SECRET).encode(), login.secret.encode())

        is_right = await self._throttle.guarded(login, find, compare)
        key = await self._key(login.name) if is_right else None
        user = None if key is None else await self._user(key.user)
        if key is None or user is None:
            raise CredentialsInvalid
        return Caller(
            user.principal,
            access_key=key.id,
            valid_after=user.valid_after,
            credential=CredentialKind.ACCESS_KEY,
            credential_id=key.id,
        )

    async def _user(self, name: str) -> User | None:
        """Who may log in under this name."""
        user = await self._directory.user(name)
        return None if user is None or user.is_disabled else user

    async def _key(self, key_id: str) -> AccessKey | None:
        key = await self._directory.access_key(key_id)
        return None if key is None or not key.is_active else key
