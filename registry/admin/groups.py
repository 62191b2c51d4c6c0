"""Groups: users that share policies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from auth.accounts import require_group
from auth.policy_documents import Owner, OwnerKind, owned_by
from registry.admin.documents import Model, Name, Names, Page
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata import groups

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Group(Model):
    """A group with its members and policies."""

    name: str
    members: list[str]
    inline_policies: list[str]
    attached_policies: list[str]


class NewGroup(Model):
    """A group to make."""

    name: Name


def load_group(connection: "Connection", names: Mapping[str, str]) -> Group:
    """A group as it is in this transaction; raises NotThere."""
    name = require_group(connection, names["group"])
    owned = owned_by(connection, Owner(OwnerKind.GROUP, name))
    return Group(
        name=name,
        members=groups.list_members(connection, name),
        inline_policies=[policy.name for policy in owned.inline],
        attached_policies=owned.attached,
    )


async def _read(services: Services, name: str) -> Group:
    return await services.database.scan(lambda c: load_group(c, {"group": name}))


async def _create(services: Services, call: Call[NewGroup, None]) -> Group:
    await services.accounts.create_group(call.body.name)
    return await _read(services, call.body.name)


async def _list(services: Services, call: Call[None, Page]) -> Names:
    page = call.query
    names = await services.database.scan(lambda c: groups.list_groups(c, after=page.after, limit=page.limit + 1))
    return Names.of(names, page)


async def _get(services: Services, call: Call[None, None]) -> Group:
    return await _read(services, call.names["group"])


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.accounts.delete_group(call.names["group"])


async def _add(services: Services, call: Call[None, None]) -> None:
    await services.accounts.add_member(call.names["group"], call.names["user"])


async def _remove(services: Services, call: Call[None, None]) -> None:
    await services.accounts.remove_member(call.names["group"], call.names["user"])


CREATE = Operation(
    name="CreateGroup", method="POST", path="/groups", summary="Make a group without members.",
    perform=_create, body=NewGroup, answer=Group, status=201, named_by=("group", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListGroups", method="GET", path="/groups", summary="List the names of the groups.",
    perform=_list, query=Page, answer=Names,
)  # fmt: skip
GET = Operation(
    name="GetGroup", method="GET", path="/groups/{group}", summary="Show a group with its members and policies.",
    perform=_get, answer=Group, load=load_group,
)  # fmt: skip
DELETE = Operation(
    name="DeleteGroup", method="DELETE", path="/groups/{group}",
    summary="Remove a group with its policies; its members stay.", perform=_delete, load=load_group,
)  # fmt: skip
ADD = Operation(
    name="AddUserToGroup", method="PUT", path="/groups/{group}/members/{user}",
    summary="Put a user into a group, where it may be already.", perform=_add, load=load_group,
)  # fmt: skip
REMOVE = Operation(
    name="RemoveUserFromGroup", method="DELETE", path="/groups/{group}/members/{user}",
    summary="Take a user out of a group, where it may not be.", perform=_remove, load=load_group,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, DELETE, ADD, REMOVE)
