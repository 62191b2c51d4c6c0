"""Principals: the root user, users and roles, in one table.

- Users and the root user share their names; a role may have the name of a user.
- A principal goes with its access keys, memberships and policies.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select, text, update

from storage.metadata.database import insert
from storage.metadata.generation import touch_if_changed
from storage.metadata.schema import USERS, principal


@dataclass(frozen=True, slots=True)
class StoredPrincipal:
    """A principal as the database keeps it.

    `tags` is a JSON object, `boundary` the name of a managed policy; tokens from before `valid_after` are refused.
    `max_session_seconds` is how long a role can be assumed at once.
    """

    id: int
    account_id: str
    name: str
    kind: str
    password_hash: str | None
    is_disabled: bool
    valid_after: float
    tags: str
    boundary: str | None
    trust_policy: str | None
    created_at: float
    max_session_seconds: int


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """A principal to record."""

    account_id: str
    name: str
    kind: str
    password_hash: str | None = None
    trust_policy: str | None = None
    valid_after: float = 0.0
    tags: str = "{}"
    boundary: str | None = None


_SELECT = select(
    principal.c.id,
    principal.c.account_id,
    principal.c.name,
    principal.c.kind,
    principal.c.password_hash,
    principal.c.is_disabled,
    principal.c.valid_after,
    principal.c.tags,
    principal.c.boundary,
    principal.c.trust_policy,
    principal.c.created_at,
    principal.c.max_session_seconds,
)
# Asked when somebody logs in: built once, for building a statement costs more than running it.
_USER = _SELECT.where(principal.c.name == bindparam("name"), text(USERS))
_ROLE = _SELECT.where(principal.c.name == bindparam("name"), principal.c.kind == "role")


def find_principal(connection: Connection, name: str) -> StoredPrincipal | None:
    """The user of this name, or the root user, or None: whoever logs in."""
    row = connection.execute(_USER, {"name": name}).one_or_none()
    return None if row is None else StoredPrincipal(*tuple(row))


def find_role(connection: Connection, name: str) -> StoredPrincipal | None:
    """The role of this name, or None."""
    row = connection.execute(_ROLE, {"name": name}).one_or_none()
    return None if row is None else StoredPrincipal(*tuple(row))


def list_principals(connection: Connection, kind: str, *, after: str, limit: int) -> list[StoredPrincipal]:
    """Principals of a kind whose names sort after `after` by bytes, at most `limit`, in order."""
    rows = connection.execute(
        _SELECT.where(principal.c.kind == kind, principal.c.name > after).order_by(principal.c.name).limit(limit)
    )
    return [StoredPrincipal(*tuple(row)) for row in rows]


def list_users(connection: Connection, *, after: str, limit: int) -> list[StoredPrincipal]:
    """Users and the root user whose names sort after `after` by bytes, at most `limit`, in order."""
    rows = connection.execute(
        _SELECT.where(text(USERS), principal.c.name > after).order_by(principal.c.name).limit(limit)
    )
    return [StoredPrincipal(*tuple(row)) for row in rows]


def add_principal(connection: Connection, new: NewPrincipal, now: float) -> bool:
    """Add a principal; False when a user, or for a role a role, of this name is there."""
    added = connection.execute(
        insert(connection, principal)
        .values(
            account_id=new.account_id,
            name=new.name,
            kind=new.kind,
            password_hash=new.password_hash,
            trust_policy=new.trust_policy,
            valid_after=new.valid_after,
            tags=new.tags,
            boundary=new.boundary,
            is_disabled=False,
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    return touch_if_changed(connection, added)


def change_principal(connection: Connection, name: str, kind: str, **fields: str | float | None) -> bool:
    """Give fields of a principal other values; False when it is not there."""
    changed = connection.execute(
        update(principal).where(principal.c.kind == kind, principal.c.name == name).values(**fields)
    )
    return touch_if_changed(connection, changed)


def delete_principal(connection: Connection, name: str, kind: str) -> bool:
    """Remove a principal with its access keys, memberships and policies; False when it is not there."""
    removed = connection.execute(delete(principal).where(principal.c.kind == kind, principal.c.name == name))
    return touch_if_changed(connection, removed)
