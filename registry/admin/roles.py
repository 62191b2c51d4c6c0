"""Roles: what programs, and people for a while, may become."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from auth.accounts import require_role
from auth.policy_documents import Owner, OwnerKind, owned_by
from auth.principals import Principal, PrincipalKind
from registry.admin.documents import Model, Name, Names, Page, Time, TrustDocument, policy_text, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata import principals

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Role(Model):
    """A role with its trust policy and the names of its policies."""

    name: str
    arn: str
    created_at: Time
    trust_policy: str
    max_session_seconds: int
    inline_policies: list[str]
    attached_policies: list[str]
    permissions_boundary: str | None


class NewRole(Model):
    """A role to make; its trust policy says who may assume it."""

    name: Name
    trust_policy: TrustDocument


class RoleChange(Model):
    """How long each session of a role may last from then on, 900 to 43 200 seconds."""

    max_session_seconds: int = Field(json_schema_extra={"minimum": 900, "maximum": 43_200})


class NewTrustPolicy(Model):
    """A document to write, which says who may assume a role."""

    document: TrustDocument


def load_role(connection: "Connection", names: Mapping[str, str]) -> Role:
    """A role as it is in this transaction; raises NotThere."""
    stored = require_role(connection, names["role"])
    owned = owned_by(connection, Owner(OwnerKind.ROLE, stored.name))
    return Role(
        name=stored.name,
        arn=Principal(stored.account_id, stored.name, PrincipalKind.ROLE).arn,
        created_at=rfc3339(stored.created_at),
        trust_policy=stored.trust_policy or "",
        max_session_seconds=stored.max_session_seconds,
        inline_policies=[policy.name for policy in owned.inline],
        attached_policies=owned.attached,
        permissions_boundary=owned.boundary,
    )


async def _read(services: Services, name: str) -> Role:
    return await services.database.scan(lambda c: load_role(c, {"role": name}))


async def _create(services: Services, call: Call[NewRole, None]) -> Role:
    await services.accounts.create_role(call.body.name, policy_text(call.body.trust_policy))
    return await _read(services, call.body.name)


async def _list(services: Services, call: Call[None, Page]) -> Names:
    page = call.query
    found = await services.database.scan(
        lambda c: principals.list_principals(c, PrincipalKind.ROLE.value, after=page.after, limit=page.limit + 1)
    )
    return Names.of([stored.name for stored in found], page)


async def _get(services: Services, call: Call[None, None]) -> Role:
    return await _read(services, call.names["role"])


async def _update(services: Services, call: Call[RoleChange, None]) -> Role:
    await services.roles.set_max_session_seconds(call.names["role"], call.body.max_session_seconds)
    return await _read(services, call.names["role"])


async def _put_trust(services: Services, call: Call[NewTrustPolicy, None]) -> Role:
    await services.roles.put_trust_policy(call.names["role"], policy_text(call.body.document))
    return await _read(services, call.names["role"])


async def _revoke(services: Services, call: Call[None, None]) -> None:
    await services.roles.revoke_sessions(call.names["role"])


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.accounts.delete_role(call.names["role"])


CREATE = Operation(
    name="CreateRole", method="POST", path="/roles", summary="Make a role, which may do nothing yet.",
    perform=_create, body=NewRole, answer=Role, status=201, named_by=("role", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListRoles", method="GET", path="/roles", summary="List the names of the roles.",
    perform=_list, query=Page, answer=Names,
)  # fmt: skip
GET = Operation(
    name="GetRole", method="GET", path="/roles/{role}", summary="Show a role with its trust policy.",
    perform=_get, answer=Role, load=load_role,
)  # fmt: skip
UPDATE = Operation(
    name="UpdateRole", method="PATCH", path="/roles/{role}", summary="Change how long a role can be assumed.",
    perform=_update, body=RoleChange, answer=Role, load=load_role,
)  # fmt: skip
PUT_TRUST = Operation(
    name="PutTrustPolicy", method="PUT", path="/roles/{role}/trust-policy",
    summary="Say who may assume a role, in place of what was said before; sessions that are open go on.",
    perform=_put_trust, body=NewTrustPolicy, answer=Role, load=load_role,
)  # fmt: skip
REVOKE = Operation(
    name="RevokeSession", method="DELETE", path="/roles/{role}/sessions",
    summary="End every session of a role that is open.", perform=_revoke,
)  # fmt: skip
DELETE = Operation(
    name="DeleteRole", method="DELETE", path="/roles/{role}", summary="Remove a role with its policies and sessions.",
    perform=_delete, load=load_role,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, UPDATE, PUT_TRUST, REVOKE, DELETE)
