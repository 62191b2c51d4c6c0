"""Policies of users, roles and groups: inline ones, attached ones, and the boundary that limits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from auth.errors import NotThere
from auth.policy_documents import Owner, OwnerKind, owned_by
from registry.admin.documents import Model, Name, policy_text
from registry.admin.operation import AnyOperation, Call, Operation
from registry.admin.policies import NewDocument, PolicyDocument
from registry.admin.services import Services

if TYPE_CHECKING:
    from sqlalchemy import Connection


class OwnedPolicies(Model):
    """The names of an owner's policies, those of its groups aside."""

    inline: list[str]
    attached: list[str]
    permissions_boundary: str | None


class Boundary(Model):
    """The managed policy that limits what others allow."""

    policy: Name


class OwnerRows:
    """The operations for the policies of one kind of owner."""

    def __init__(self, kind: OwnerKind) -> None:
        self._kind = kind
        noun, of = kind.value, f"/{kind.value}s/{{{kind.value}}}"
        word = noun.capitalize()
        self.list: AnyOperation = Operation(
            name=f"List{word}Policies", method="GET", path=f"{of}/policies", summary=f"List the policies of a {noun}.",
            perform=self._list, answer=OwnedPolicies, load=self._load, action_name="lading:ListAttachedPolicies",
        )  # fmt: skip
        self.get: AnyOperation = Operation(
            name=f"Get{word}Policy", method="GET", path=f"{of}/inline-policies/{{policy}}",
            summary=f"Show an inline policy of a {noun}.", perform=self._get, answer=PolicyDocument,
            load=self._load_inline, action_name="lading:GetPolicy",
        )  # fmt: skip
        self.put: AnyOperation = Operation(
            name=f"Put{word}Policy", method="PUT", path=f"{of}/inline-policies/{{policy}}",
            summary=f"Write an inline policy of a {noun} in place of one of this name.", perform=self._put,
            body=NewDocument, answer=PolicyDocument, load=self._load_inline, action_name="lading:PutPolicy",
        )  # fmt: skip
        self.delete: AnyOperation = Operation(
            name=f"Delete{word}Policy", method="DELETE", path=f"{of}/inline-policies/{{policy}}",
            summary=f"Remove an inline policy of a {noun}.", perform=self._delete,
            load=self._load_inline, action_name="lading:DeletePolicy",
        )  # fmt: skip
        self.attach: AnyOperation = Operation(
            name=f"Attach{word}Policy", method="PUT", path=f"{of}/attached-policies/{{policy}}",
            summary=f"Attach a managed policy to a {noun}, where it may be attached already.",
            perform=self._attach, load=self._load, action_name="lading:AttachPolicy",
        )  # fmt: skip
        self.detach: AnyOperation = Operation(
            name=f"Detach{word}Policy", method="DELETE", path=f"{of}/attached-policies/{{policy}}",
            summary=f"Take a managed policy from a {noun}.",
            perform=self._detach, load=self._load, action_name="lading:DetachPolicy",
        )  # fmt: skip
        self.limit: AnyOperation = Operation(
            name=f"Put{word}PermissionsBoundary", method="PUT", path=f"{of}/permissions-boundary",
            summary=f"Limit a {noun} to what a managed policy allows.", perform=self._limit, body=Boundary,
            load=self._load, action_name="lading:PutPermissionsBoundary",
        )  # fmt: skip
        self.free: AnyOperation = Operation(
            name=f"Delete{word}PermissionsBoundary", method="DELETE", path=f"{of}/permissions-boundary",
            summary=f"Lift the limit of a {noun}.", perform=self._free,
            load=self._load, action_name="lading:DeletePermissionsBoundary",
        )  # fmt: skip

    @property
    def operations(self) -> tuple[AnyOperation, ...]:
        """All rows; a group has no boundary."""
        rows = (self.list, self.get, self.put, self.delete, self.attach, self.detach)
        return rows if self._kind is OwnerKind.GROUP else (*rows, self.limit, self.free)

    def _owner(self, names: Mapping[str, str]) -> Owner:
        return Owner(self._kind, names[self._kind.value])

    def _load(self, connection: "Connection", names: Mapping[str, str]) -> OwnedPolicies:
        owned = owned_by(connection, self._owner(names))
        return OwnedPolicies(
            inline=[policy.name for policy in owned.inline],
            attached=owned.attached,
            permissions_boundary=owned.boundary,
        )

    def _load_inline(self, connection: "Connection", names: Mapping[str, str]) -> PolicyDocument:
        name = names["policy"]
        for policy in owned_by(connection, self._owner(names)).inline:
            if policy.name == name:
                return PolicyDocument(name=name, document=policy.document)
        raise NotThere("policy", name)

    async def _list(self, services: Services, call: Call[None, None]) -> OwnedPolicies:
        return await services.database.scan(lambda c: self._load(c, call.names))

    async def _get(self, services: Services, call: Call[None, None]) -> PolicyDocument:
        return await services.database.scan(lambda c: self._load_inline(c, call.names))

    async def _put(self, services: Services, call: Call[NewDocument, None]) -> PolicyDocument:
        document = policy_text(call.body.document)
        await services.policies.put_inline(self._owner(call.names), call.names["policy"], document)
        return PolicyDocument(name=call.names["policy"], document=document)

    async def _delete(self, services: Services, call: Call[None, None]) -> None:
        await services.policies.delete_inline(self._owner(call.names), call.names["policy"])

    async def _attach(self, services: Services, call: Call[None, None]) -> None:
        await services.policies.attach(call.names["policy"], self._owner(call.names))

    async def _detach(self, services: Services, call: Call[None, None]) -> None:
        await services.policies.detach(call.names["policy"], self._owner(call.names))

    async def _limit(self, services: Services, call: Call[Boundary, None]) -> None:
        await services.policies.set_boundary(self._owner(call.names), call.body.policy)

    async def _free(self, services: Services, call: Call[None, None]) -> None:
        await services.policies.set_boundary(self._owner(call.names), None)


OF = {kind: OwnerRows(kind) for kind in OwnerKind}
"""The rows for each kind of owner."""

OPERATIONS = tuple(row for rows in OF.values() for row in rows.operations)
