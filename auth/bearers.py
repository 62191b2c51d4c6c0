"""From a token to the caller it stands for, by what the database says of its owner at this moment.

- A token ends with its user or role, with who opened its session, with what it was fetched with, and when it is taken
  back; all at the next request.
- Whom a signed token stands for is kept while nothing has changed.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Final

from auth.callers import Caller, CredentialKind
from auth.claims import ROLE, TokenKind, VerifiedToken
from auth.directory import Directory, User
from auth.errors import CredentialsInvalid, TokenInvalid
from auth.principals import ANONYMOUS, Principal, PrincipalKind, Session
from auth.stored_tokens import TokenText
from auth.tokens import TokenVerifier
from storage.metadata.stored_tokens import REFRESH, SERVICE, StoredToken

TOKEN_USER: Final = "token"  # noqa: S105  a user name
"""The user name to give with a service token where a client wants one; the owner's own will do as well."""

_MOST_KEPT = 4096
_CREDENTIALS = {
    TokenKind.ACCESS: CredentialKind.BEARER_TOKEN,
    TokenKind.AUTHORIZATION: CredentialKind.AUTHORIZATION_TOKEN,
}


class Bearers:
    """Checks tokens of every kind; whoever asks has refreshed the directory."""

    def __init__(self, directory: Directory, verifier: TokenVerifier, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._verifier = verifier
        self._now = now
        self._edition = directory.edition
        self._kept: dict[str, tuple[VerifiedToken, Caller]] = {}

    async def check_bearer(self, text: str) -> Caller:
        """Whom an access token or a service token stands for; raises TokenInvalid."""
        opaque = TokenText.parse(text)
        if opaque is None:
            return await self._check_signed(text, TokenKind.ACCESS)
        found = await self._find(opaque)
        if found is None:
            raise TokenInvalid("it is unknown, has expired, or was deleted")
        if found[0].kind != SERVICE:
            raise TokenInvalid("it is a refresh token: exchange it for an access token first")
        return _limited(*found)

    async def check_authorization(self, text: str) -> Caller:
        """Whom an authorization token stands for; raises TokenInvalid."""
        return await self._check_signed(text, TokenKind.AUTHORIZATION)

    async def check_service(self, name: str, token: TokenText) -> Caller:
        """Whose service token this is, given with the owner's name or `token`; raises CredentialsInvalid."""
        found = await self._find(token)
        if found is None or found[0].kind != SERVICE or name not in {found[0].user, TOKEN_USER}:
            raise CredentialsInvalid
        return _limited(*found)

    async def check_refresh(self, text: str) -> Caller:
        """Who is asking with a refresh token, or with a service token in its place; raises TokenInvalid."""
        token = TokenText.parse(text)
        found = None if token is None else await self._find(token)
        if found is None:
            raise TokenInvalid("the refresh token is unknown, has expired, or was ended: log in again")
        stored, user = found
        if stored.kind != REFRESH:
            return _limited(stored, user)
        if stored.created_at < user.valid_after:
            raise TokenInvalid("the refresh token was revoked: log in again")
        await self._check_access_key(stored.access_key, user)
        return Caller(
            user.principal,
            access_key=stored.access_key,
            stored_token=stored.id,
            valid_after=user.valid_after,
            expires_at=stored.expires_at,
            credential=CredentialKind.REFRESH_TOKEN,
            credential_id=stored.id,
        )

    async def _check_signed(self, text: str, kind: TokenKind) -> Caller:
        token = self._verifier.verify(text, kind)
        if self._edition is not self._directory.edition:
            self._edition = self._directory.edition
            self._kept.clear()
        kept = self._kept.get(token.id)
        if kept is not None and kept[0] is token:
            return kept[1]
        edition = self._edition
        caller = await self._caller_of(token)
        # What was looked up before a change that another request has seen says nothing about after it.
        if edition is self._directory.edition and edition is self._edition:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[token.id] = token, caller
        return caller

    async def _caller_of(self, token: VerifiedToken) -> Caller:
        for token_id in (token.id, *token.authorizations):
            if await self._directory.is_revoked(token_id):
                raise TokenInvalid("it was revoked: log in again")
        owner = await self._owner_of(token)
        openers = [await self._standing(subject, token) for subject in token.opened_by]
        return Caller(
            _acting(ANONYMOUS if owner is None else owner.principal, token),
            ceiling=token.access,
            access_key=token.access_key,
            stored_token=token.stored_token,
            authorizations=(*token.authorizations, token.id) if token.kind is TokenKind.AUTHORIZATION else (),
            opened_by=tuple(opener.principal for opener in openers),
            valid_after=max((user.valid_after for user in (owner, *openers) if user is not None), default=0),
            expires_at=token.expires_at,
            credential=_CREDENTIALS[token.kind],
            credential_id=token.id,
            until=token.until,
        )

    async def _owner_of(self, token: VerifiedToken) -> User | None:
        """The user or role that the token speaks for, None for an anonymous one; raises TokenInvalid if that ended."""
        if not token.name:
            if token.kind is not TokenKind.ACCESS or token.session is not None:
                raise TokenInvalid("it names nobody")
            return None
        owner = await self._standing(f"{ROLE}{token.name}" if token.is_role else token.name, token)
        await self._check_access_key(token.access_key, owner)
        await self._check_stored(token)
        return owner

    async def _standing(self, subject: str, token: VerifiedToken) -> User:
        """A user, or a role as `role/NAME`, whose tokens of that date stand; raises TokenInvalid."""
        is_role = subject.startswith(ROLE)
        found = await (self._directory.role(subject.removeprefix(ROLE)) if is_role else self._directory.user(subject))
        if found is None:
            raise TokenInvalid(f"its {'role' if is_role else 'user'} no longer exists")
        if found.is_disabled:
            raise TokenInvalid("its user is disabled")
        if token.issued_at < found.valid_after:
            raise TokenInvalid("it was revoked: log in again")
        return found

    async def _check_access_key(self, key_id: str | None, user: User) -> None:
        if key_id is None:
            return
        key = await self._directory.access_key(key_id)
        # A role's session was opened with the key of a user, and ends with it.
        is_role = user.principal.kind is PrincipalKind.ROLE
        if key is None or not key.is_active or not (is_role or key.user == user.principal.name):
            raise TokenInvalid("the access key that it was fetched with is disabled or gone")

    async def _check_stored(self, token: VerifiedToken) -> None:
        if token.stored_token is None:
            return
        stored = await self._directory.stored_token(token.stored_token)
        if stored is None or not (token.is_role or stored.user == token.name):
            raise TokenInvalid("the token that it was fetched with is gone")

    async def _find(self, token: TokenText) -> tuple[StoredToken, User] | None:
        """The token and its owner, if the secret is right, it has not expired, and the owner is not disabled."""
        stored = await self._directory.stored_token(token.id)
        if stored is None or not token.opens(stored):
            return None
        if stored.expires_at is not None and self._now() >= stored.expires_at:
            return None
        user = await self._directory.user(stored.user)
        return None if user is None or user.is_disabled else (stored, user)


def _acting(principal: Principal, token: VerifiedToken) -> Principal:
    return principal if token.session is None else replace(principal, session=token.session)


def _limited(stored: StoredToken, user: User) -> Caller:
    """The owner of a service token, under the token's policy if it has one."""
    session = None if stored.policy is None else Session(policies=(stored.policy,))
    return Caller(
        user.principal if session is None else replace(user.principal, session=session),
        stored_token=stored.id,
        valid_after=user.valid_after,
        expires_at=stored.expires_at,
        credential=CredentialKind.SERVICE_TOKEN,
        credential_id=stored.id,
        until=inf if stored.expires_at is None else stored.expires_at,
    )
