"""Policies of users, roles and groups: inline ones, attached ones, and the boundary that limits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
        self._of = f"/{kind.value}s/{{{kind.value}}}"
        self.list = self._row(
            "List{}Policies", "GET", "policies", "List the policies of a {}.", self._list,
            answer=OwnedPolicies, action_name="lading:ListAttachedPolicies",
        )  # fmt: skip
        self.get, self.put, self.delete = self._inline_rows()
        self.attach = self._row(
            "Attach{}Policy", "PUT", "attached-policies/{policy}",
            "Attach a managed policy to a {}, where it may be attached already.", self._attach,
            action_name="lading:AttachPolicy",
        )  # fmt: skip
        self.detach = self._row(
            "Detach{}Policy", "DELETE", "attached-policies/{policy}", "Take a managed policy from a {}.", self._detach,
            action_name="lading:DetachPolicy",
        )  # fmt: skip
        self.limit = self._row(
            "Put{}PermissionsBoundary", "PUT", "permissions-boundary", "Limit a {} to what a managed policy allows.",
            self._limit, body=Boundary, action_name="lading:PutPermissionsBoundary",
        )  # fmt: skip
        self.free = self._row(
            "Delete{}PermissionsBoundary", "DELETE", "permissions-boundary", "Lift the limit of a {}.", self._free,
            action_name="lading:DeletePermissionsBoundary",
        )  # fmt: skip

    def _inline_rows(self) -> tuple[AnyOperation, AnyOperation, AnyOperation]:
        path = "inline-policies/{policy}"
        return (
            self._row(
                "Get{}Policy", "GET", path, "Show an inline policy of a {}.", self._get,
                answer=PolicyDocument, load=self._load_inline, action_name="lading:GetPolicy",
            ),
            self._row(
                "Put{}Policy", "PUT", path, "Write an inline policy of a {} in place of one of this name.", self._put,
                body=NewDocument, answer=PolicyDocument, load=self._load_inline, action_name="lading:PutPolicy",
            ),
            self._row(
                "Delete{}Policy", "DELETE", path, "Remove an inline policy of a {}.", self._delete,
                load=self._load_inline, action_name="lading:DeletePolicy",
            ),
        )  # fmt: skip

    def _row(self, name: str, method: str, path: str, summary: str, perform: Any, **members: Any) -> AnyOperation:  # noqa: ANN401 (the columns of a row)
        """A row whose name and summary say which kind of owner it is about."""
        noun = self._kind.value
        return Operation(
            name=name.format(noun.capitalize()),
            method=method,
            path=f"{self._of}/{path}",
            summary=summary.format(noun),
            perform=perform,
            **{"load": self._load, **members},
        )

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
