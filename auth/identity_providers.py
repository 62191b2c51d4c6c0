"""Identity providers: OpenID Connect issuers whose tokens can be exchanged for a role, where its trust policy says so.

- A provider is named as IAM names it: the issuer without its scheme.
- What is on a private network, or speaks plain HTTP, is asked only where the administrator said so for that provider.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from auth.errors import AlreadyThere, NotThere, ProviderInvalid, TooMany
from storage.metadata import identity_providers
from storage.metadata.database import Database
from storage.metadata.identity_providers import StoredProvider

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOST_URL_CHARACTERS: Final = 255
_MOST_PROVIDERS: Final = 100  # IAM's quota of OpenID Connect providers
_MOST_AUDIENCES: Final = 100  # IAM's quota of client ids
_AUDIENCE = re.compile(r"[!-~]{1,255}")
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[A-Za-z0-9._~/%+@,=-]*)?(?:\?[!-~]*)?", re.ASCII)
_PUBLIC_NAME = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An issuer of identity tokens, and for whom its tokens must be meant."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    jwks_url: str | None = None
    allow_private: bool = False

    def arn(self, account_id: str) -> str:
        """The provider as the Principal of a trust policy names it."""
        return f"arn:aws:iam::{account_id}:oidc-provider/{self.name}"

    @classmethod
    def of_issuer(
        cls, issuer: str, audiences: Sequence[str], *, jwks_url: str | None = None, allow_private: bool = False
    ) -> "IdentityProvider":
        """A provider that was checked; raises ProviderInvalid."""
        _check_url(issuer, "issuer", allow_private=allow_private)
        if "?" in issuer:
            raise ProviderInvalid("an issuer has no query")
        if jwks_url is not None:
            _check_url(jwks_url, "JWKS URL", allow_private=allow_private)
        return cls(name_of_issuer(issuer), issuer, _check_audiences(audiences), jwks_url, allow_private)

    @classmethod
    def of_row(cls, row: StoredProvider) -> "IdentityProvider":
        """A provider that the database keeps."""
        return cls(row.name, row.issuer, tuple(json.loads(row.audiences)), row.jwks_url, row.allow_private)


class IdentityProviders:
    """Every identity provider of one account."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def create(
        self, issuer: str, audiences: Sequence[str], *, jwks_url: str | None = None, allow_private: bool = False
    ) -> IdentityProvider:
        """Trust an issuer as far as trust policies say; raises ProviderInvalid, AlreadyThere or TooMany."""
        provider = IdentityProvider.of_issuer(issuer, audiences, jwks_url=jwks_url, allow_private=allow_private)
        row = StoredProvider(
            name=provider.name,
            issuer=provider.issuer,
            audiences=json.dumps(provider.audiences),
            jwks_url=jwks_url,
            allow_private=allow_private,
            created_at=self._now(),
        )

        def change(connection: "Connection") -> None:
            if identity_providers.count_providers(connection) >= _MOST_PROVIDERS:
                raise TooMany("identity providers", _MOST_PROVIDERS, "delete one that is not used")
            if not identity_providers.add_provider(connection, row):
                raise AlreadyThere("identity provider", provider.name)

        await self._database.write(change)
        return provider

    async def providers(self) -> list[IdentityProvider]:
        """Every provider, by name."""
        return list(map(IdentityProvider.of_row, await self._database.scan(identity_providers.list_providers)))

    async def find(self, name: str) -> IdentityProvider:
        """The provider of this name; raises NotThere."""
        found = await self._database.read(partial(identity_providers.find_provider, name=name))
        if found is None:
            raise NotThere("identity provider", name)
        return IdentityProvider.of_row(found)

    async def update(
        self, name: str, audiences: Sequence[str], *, jwks_url: str | None = None, allow_private: bool = False
    ) -> IdentityProvider:
        """Give a provider other values in place of all it had but its issuer; raises NotThere or ProviderInvalid."""
        issuer = (await self.find(name)).issuer
        provider = IdentityProvider.of_issuer(issuer, audiences, jwks_url=jwks_url, allow_private=allow_private)
        change = partial(
            identity_providers.change_provider,
            name=name,
            audiences=json.dumps(provider.audiences),
            jwks_url=jwks_url,
            allow_private=allow_private,
        )
        if not await self._database.write(change):
            raise NotThere("identity provider", name)
        return provider

    async def delete(self, name: str) -> None:
        """Trust an issuer no longer; sessions that it opened last until they end. Raises NotThere."""
        if not await self._database.write(partial(identity_providers.delete_provider, name=name)):
            raise NotThere("identity provider", name)


def name_of_issuer(issuer: str) -> str:
    """What a provider with this issuer is called: its host in lower case, and its path."""
    host, slash, path = issuer.partition("://")[2].partition("/")
    return f"{host.lower()}{slash}{path}"


def check_fetchable(url: str, *, allow_private: bool) -> None:
    """Return if keys may be fetched from this URL; raises ValueError, which says what is wrong.

    A name can still lead to a private address: that is seen, and refused, when it is connected to.
    """
    if len(url) > _MOST_URL_CHARACTERS or not _URL.fullmatch(url):
        message = f"it must be an https URL of {_MOST_URL_CHARACTERS} characters at most, without user and fragment"
        raise ValueError(message)
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:  # a port out of range is a ValueError of its own
        message = "it names no host"
        raise ValueError(message)
    if allow_private:
        return
    if parts.scheme != "https":
        message = "plain http is only for providers that may be on a private network"
        raise ValueError(message)
    if not _PUBLIC_NAME.fullmatch(parts.hostname):
        message = "its host is no public name: allow this provider to be on a private network if it is"
        raise ValueError(message)


def _check_url(url: str, what: str, *, allow_private: bool) -> None:
    try:
        check_fetchable(url, allow_private=allow_private)
    except ValueError as error:
        raise ProviderInvalid(f"{url[:_MOST_URL_CHARACTERS]!r} is no {what}: {error}") from error


def _check_audiences(audiences: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(audiences) <= _MOST_AUDIENCES:
        raise ProviderInvalid(f"it needs 1 to {_MOST_AUDIENCES} audiences")
    for audience in audiences:
        if not _AUDIENCE.fullmatch(audience):
            raise ProviderInvalid("an audience has 1 to 255 printable characters and no space")
    return tuple(dict.fromkeys(audiences))
