"""Groups: users that share policies."""

from sqlalchemy import Connection, delete, select

from storage.metadata.database import insert
from storage.metadata.generation import touch_if_changed
from storage.metadata.schema import group_member, principal, user_group


def is_group(connection: Connection, name: str) -> bool:
    """Whether there is a group of this name."""
    found = connection.execute(select(user_group.c.name).where(user_group.c.name == name)).one_or_none()
    return found is not None


def add_group(connection: Connection, name: str, now: float) -> bool:
    """Make a group without members; False when it was there."""
    added = connection.execute(
        insert(connection, user_group).values(name=name, created_at=now).on_conflict_do_nothing()
    )
    return added.rowcount > 0


def delete_group(connection: Connection, name: str) -> bool:
    """Remove a group with its policies, not its members; False when it is not there."""
    removed = connection.execute(delete(user_group).where(user_group.c.name == name))
    return touch_if_changed(connection, removed)


def list_groups(connection: Connection, *, after: str = "", limit: int | None = None) -> list[str]:
    """The names of groups that sort after `after` by bytes, at most `limit`, in order."""
    names = select(user_group.c.name).where(user_group.c.name > after).order_by(user_group.c.name).limit(limit)
    return list(connection.execute(names).scalars())


def add_member(connection: Connection, group: str, user: str) -> bool:
    """Put a user into a group; False when it was there, or when there is no such user or group."""
    pair = (
        select(principal.c.id, user_group.c.name)
        .join(user_group, user_group.c.name == group)
        .where(principal.c.kind == "user", principal.c.name == user)
    )
    added = connection.execute(
        insert(connection, group_member).from_select(["principal_id", "group_name"], pair).on_conflict_do_nothing()
    )
    return touch_if_changed(connection, added)


def remove_member(connection: Connection, group: str, user: str) -> bool:
    """Take a user out of a group; False when it was not there."""
    member = select(principal.c.id).where(principal.c.kind == "user", principal.c.name == user).scalar_subquery()
    removed = connection.execute(
        delete(group_member).where(group_member.c.group_name == group, group_member.c.principal_id == member)
    )
    return touch_if_changed(connection, removed)


def list_members(connection: Connection, group: str) -> list[str]:
    """The names of the users in a group, in order."""
    members = (
        select(principal.c.name)
        .join(group_member, group_member.c.principal_id == principal.c.id)
        .where(group_member.c.group_name == group)
        .order_by(principal.c.name)
    )
    return list(connection.execute(members).scalars())


def groups_of(connection: Connection, principal_id: int) -> list[str]:
    """The names of the groups that a user is in, in order."""
    names = (
        select(group_member.c.group_name)
        .where(group_member.c.principal_id == principal_id)
        .order_by(group_member.c.group_name)
    )
    return list(connection.execute(names).scalars())
