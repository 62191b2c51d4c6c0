"""Service tokens of users, and taking back signed tokens one by one."""

from typing import Annotated

from pydantic import Field

from registry.admin.documents import Document, Model, Moment, Name, Time, policy_text, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata.stored_tokens import StoredToken


class NewServiceToken(Model):
    """A token to make; without a policy it may do all that its user may."""

    name: Name
    expires_at: Moment | None = Field(
        default=None,
        description="When it ends by itself; never, where it is left out.",
        examples=["2030-01-31T00:00:00Z"],
    )
    policy: Document | None = None


class ServiceToken(Model):
    """A service token without its secret."""

    name: str
    created_at: Time
    expires_at: Time | None
    policy: str | None


class ServiceTokens(Model):
    """The service tokens of a user, oldest first."""

    items: list[ServiceToken]


class MadeServiceToken(ServiceToken):
    """A service token with its text, which nobody is shown again."""

    token: str


class Revocation(Model):
    """Which signed token is refused from now on."""

    id: Annotated[str, Field(description="The `jti` that the token says.")]


async def _create(services: Services, call: Call[NewServiceToken, None]) -> MadeServiceToken:
    user, body = call.names["user"], call.body
    policy = None if body.policy is None else policy_text(body.policy)
    ends = None if body.expires_at is None else body.expires_at.timestamp()
    token, stored = await services.stored_tokens.create_service(user, body.name, expires_at=ends, policy=policy)
    return MadeServiceToken(**_document(stored).model_dump(), token=str(token))


async def _list(services: Services, call: Call[None, None]) -> ServiceTokens:
    found = await services.stored_tokens.list_service(call.names["user"])
    return ServiceTokens(items=[_document(token) for token in found])


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.stored_tokens.delete_service(call.names["user"], call.names["service_token"])


async def _revoke(services: Services, call: Call[Revocation, None]) -> None:
    await services.revocations.revoke(call.body.id)


def _document(token: StoredToken) -> ServiceToken:
    return ServiceToken(
        name=token.name or "",
        created_at=rfc3339(token.created_at),
        expires_at=None if token.expires_at is None else rfc3339(token.expires_at),
        policy=token.policy,
    )


CREATE = Operation(
    name="CreateServiceToken", method="POST", path="/users/{user}/service-tokens",
    summary="Make a token that stands in place of a user's password; its text is shown this once.",
    perform=_create, body=NewServiceToken, answer=MadeServiceToken, status=201,
)  # fmt: skip
LIST = Operation(
    name="ListServiceTokens", method="GET", path="/users/{user}/service-tokens",
    summary="List a user's service tokens.", perform=_list, answer=ServiceTokens,
)  # fmt: skip
DELETE = Operation(
    name="DeleteServiceToken", method="DELETE", path="/users/{user}/service-tokens/{service_token}",
    summary="Refuse a service token, and what was fetched with it, from the next request on.", perform=_delete,
)  # fmt: skip
REVOKE = Operation(
    name="RevokeToken", method="POST", path="/revoked-tokens",
    summary="Refuse a signed token, and what was fetched with it, from the next request on.",
    perform=_revoke, body=Revocation,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, DELETE, REVOKE)
