"""Identity providers: issuers of identity tokens that trust policies of roles may name.

A slash in a name is written %2F in the path.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from auth.errors import NotThere
from auth.identity_providers import IdentityProvider, name_of_issuer
from registry.admin.documents import Model
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata.identity_providers import find_provider

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Provider(Model):
    """An issuer of identity tokens."""

    name: str
    issuer: str
    audiences: list[str]
    jwks_url: str | None
    allow_private: bool


class Providers(Model):
    """Every identity provider, by name: a hundred at most."""

    items: list[Provider]


class ProviderChange(Model):
    """What an identity provider is to have in place of all that it had."""

    audiences: list[str] = Field(
        description="What the aud claim of its tokens may say.",
        examples=[["registry.example.com"]],
        json_schema_extra={"minItems": 1, "maxItems": 100},
    )
    jwks_url: str | None = Field(
        default=None,
        description="Where its keys are; asked of the issuer if left out.",
        json_schema_extra={"maxLength": 255},
    )
    allow_private: bool = Field(default=False, description="It may be on a private network and speak plain HTTP.")


class NewProvider(ProviderChange):
    """An issuer to trust as far as trust policies say."""

    issuer: str = Field(
        description="What the iss claim of its tokens says, to the letter.",
        examples=["https://token.actions.githubusercontent.com"],
        json_schema_extra={"maxLength": 255},
    )

    @property
    def name(self) -> str:
        """The issuer without its scheme."""
        return name_of_issuer(self.issuer)


def load_provider(connection: "Connection", names: Mapping[str, str]) -> Provider:
    """An identity provider as it is in this transaction; raises NotThere."""
    row = find_provider(connection, names["provider"])
    if row is None:
        raise NotThere("identity provider", names["provider"])
    return _document(IdentityProvider.of_row(row))


async def _create(services: Services, call: Call[NewProvider, None]) -> Provider:
    new = call.body
    return _document(
        await services.identity_providers.create(
            new.issuer, new.audiences, jwks_url=new.jwks_url, allow_private=new.allow_private
        )
    )


async def _list(services: Services, call: Call[None, None]) -> Providers:  # noqa: ARG001 (every operation takes one)
    return Providers(items=[_document(provider) for provider in await services.identity_providers.providers()])


async def _get(services: Services, call: Call[None, None]) -> Provider:
    return await services.database.read(partial(load_provider, names=call.names))


async def _update(services: Services, call: Call[ProviderChange, None]) -> Provider:
    given = call.body
    return _document(
        await services.identity_providers.update(
            call.names["provider"], given.audiences, jwks_url=given.jwks_url, allow_private=given.allow_private
        )
    )


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.identity_providers.delete(call.names["provider"])


def _document(provider: IdentityProvider) -> Provider:
    return Provider(
        name=provider.name,
        issuer=provider.issuer,
        audiences=list(provider.audiences),
        jwks_url=provider.jwks_url,
        allow_private=provider.allow_private,
    )


CREATE = Operation(
    name="CreateIdentityProvider", method="POST", path="/identity-providers",
    summary="Let trust policies name an OpenID Connect issuer.",
    perform=_create, body=NewProvider, answer=Provider, status=201, named_by=("provider", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListIdentityProviders", method="GET", path="/identity-providers", summary="List the identity providers.",
    perform=_list, answer=Providers,
)  # fmt: skip
GET = Operation(
    name="GetIdentityProvider", method="GET", path="/identity-providers/{provider}",
    summary="Show an identity provider.", perform=_get, answer=Provider, load=load_provider,
)  # fmt: skip
UPDATE = Operation(
    name="UpdateIdentityProvider", method="PUT", path="/identity-providers/{provider}",
    summary="Give an identity provider other audiences and another place of its keys.",
    perform=_update, body=ProviderChange, answer=Provider, load=load_provider,
)  # fmt: skip
DELETE = Operation(
    name="DeleteIdentityProvider", method="DELETE", path="/identity-providers/{provider}",
    summary="Trust an identity provider no longer; sessions that it opened last until they end.",
    perform=_delete, load=load_provider,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, UPDATE, DELETE)
