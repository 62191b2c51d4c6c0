"""Users: who may log in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from auth.accounts import require_user
from auth.passwords import generate_password
from auth.policy_documents import Owner, OwnerKind, owned_by
from auth.principals import Principal, PrincipalKind
from auth.tags import read_tags
from registry.admin.documents import Model, Name, Page, Secret, Tags, Time, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata import access_keys, groups, principals
from storage.metadata.principals import StoredPrincipal

if TYPE_CHECKING:
    from sqlalchemy import Connection


class UserSummary(Model):
    """A user, as a list shows it."""

    name: str
    arn: str
    kind: Literal["root", "user"]
    disabled: bool
    created_at: Time


class UserKey(Model):
    """An access key of a user, as the user's document shows it."""

    access_key_id: str
    active: bool


class User(UserSummary):
    """A user, with everything that hangs on it."""

    has_password: bool
    groups: list[str]
    access_keys: list[UserKey]
    inline_policies: list[str]
    attached_policies: list[str]
    permissions_boundary: str | None
    tags: Tags


class Users(Model):
    """A page of users."""

    items: list[UserSummary]
    next: str | None


class NewUser(Model):
    """A user to make; without a password it has no way in but access keys and tokens."""

    name: Name
    password: Secret | None = Field(default=None, repr=False)
    tags: Tags = Field(default_factory=dict)


class UserChange(Model):
    """What to change of a user; what is left out stays."""

    disabled: bool | None = None
    tags: Tags | None = None


class NewPassword(Model):
    """A password to give a user; left out, one is generated."""

    password: Secret | None = Field(default=None, repr=False)


class Password(Model):
    """The password that was generated, shown this once; null where one was given."""

    name: str
    password: str | None


def load_user(connection: "Connection", names: Mapping[str, str]) -> User:
    """A user as it is in this transaction; raises NotThere."""
    stored = require_user(connection, names["user"])
    owned = owned_by(connection, Owner(OwnerKind.USER, stored.name))
    keys = access_keys.list_access_keys(connection, stored.name)
    return User(
        **_summary(stored).model_dump(),
        has_password=stored.password_hash is not None,
        groups=groups.groups_of(connection, stored.id),
        access_keys=[UserKey(access_key_id=key.id, active=key.is_active) for key in keys],
        inline_policies=[policy.name for policy in owned.inline],
        attached_policies=owned.attached,
        permissions_boundary=owned.boundary,
        tags=read_tags(stored.tags),
    )


def _summary(stored: StoredPrincipal) -> UserSummary:
    kind = PrincipalKind(stored.kind)
    return UserSummary(
        name=stored.name,
        arn=Principal(stored.account_id, stored.name, kind).arn,
        kind="root" if kind is PrincipalKind.ROOT else "user",
        disabled=stored.is_disabled,
        created_at=rfc3339(stored.created_at),
    )


async def _read(services: Services, name: str) -> User:
    return await services.database.scan(lambda c: load_user(c, {"user": name}))


async def _create(services: Services, call: Call[NewUser, None]) -> User:
    await services.accounts.create_user(call.body.name, call.body.password, call.body.tags)
    return await _read(services, call.body.name)


async def _list(services: Services, call: Call[None, Page]) -> Users:
    page = call.query
    found = await services.database.scan(lambda c: principals.list_users(c, after=page.after, limit=page.limit + 1))
    items = [_summary(stored) for stored in found[: page.limit]]
    return Users(items=items, next=items[-1].name if len(found) > page.limit else None)


async def _get(services: Services, call: Call[None, None]) -> User:
    return await _read(services, call.names["user"])


async def _update(services: Services, call: Call[UserChange, None]) -> User:
    name = call.names["user"]
    await services.accounts.update_user(name, disabled=call.body.disabled, tags=call.body.tags)
    return await _read(services, name)


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.accounts.delete_user(call.names["user"])


async def _set_password(services: Services, call: Call[NewPassword, None]) -> Password:
    generated = generate_password() if call.body.password is None else None
    given = call.body.password if generated is None else generated
    await services.accounts.set_password(call.names["user"], given or "")
    return Password(name=call.names["user"], password=generated)


CREATE = Operation(
    name="CreateUser", method="POST", path="/users", summary="Make a user, which may do nothing yet.",
    perform=_create, body=NewUser, answer=User, status=201, named_by=("user", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListUsers", method="GET", path="/users", summary="List the users, the root user included.",
    perform=_list, query=Page, answer=Users,
)  # fmt: skip
GET = Operation(
    name="GetUser", method="GET", path="/users/{user}", summary="Show a user with all that hangs on it.",
    perform=_get, answer=User, load=load_user,
)  # fmt: skip
UPDATE = Operation(
    name="UpdateUser", method="PATCH", path="/users/{user}", summary="Disable or enable a user, or change its tags.",
    perform=_update, body=UserChange, answer=User, load=load_user,
)  # fmt: skip
DELETE = Operation(
    name="DeleteUser", method="DELETE", path="/users/{user}", summary="Remove a user with its keys and policies.",
    perform=_delete, load=load_user,
)  # fmt: skip
SET_PASSWORD = Operation(
    name="SetPassword", method="PUT", path="/users/{user}/password",
    summary="Give a user another password, which ends its tokens.", perform=_set_password,
    body=NewPassword, answer=Password,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, UPDATE, DELETE, SET_PASSWORD)
