"""Access keys: ids with sealed secrets, each of one user."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from storage.metadata.database import insert
from storage.metadata.generation import touch_generation, touch_if_changed
from storage.metadata.schema import USERS, access_key, principal


@dataclass(frozen=True, slots=True)
class StoredAccessKey:
    """An access key as the database keeps it; `principal` is the name of its user."""

    id: str
    principal: str
    sealed_secret: bytes = field(repr=False)
    is_active: bool
    created_at: float


_SELECT = select(
    access_key.c.id,
    principal.c.name,
    access_key.c.sealed_secret,
    access_key.c.is_active,
    access_key.c.created_at,
).join(principal, principal.c.id == access_key.c.principal_id)
# Asked when a key logs in: built once, for building a statement costs more than running it.
_KEY = _SELECT.where(access_key.c.id == bindparam("id"))


def add_access_key(connection: Connection, new: StoredAccessKey, *, most: int) -> bool:
    """Add a key; False when its user has `most`, or is not there.

    The user is held until the transaction ends, so that of two who add its last key only one does.
    """
    user_id = connection.execute(
        select(principal.c.id).where(principal.c.name == new.principal, text(USERS)).with_for_update()
    ).scalar_one_or_none()
    if user_id is None:
        return False
    has = select(func.count()).select_from(access_key).where(access_key.c.principal_id == user_id)
    if connection.execute(has).scalar_one() >= most:
        return False
    connection.execute(
        insert(connection, access_key).values(
            id=new.id,
            principal_id=user_id,
            sealed_secret=new.sealed_secret,
            is_active=new.is_active,
            created_at=new.created_at,
        )
    )
    touch_generation(connection)
    return True


def find_access_key(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
) -> StoredAccessKey | None:
    """The key of this id, whatever its state, or None."""
    row = connection.execute(_KEY, {"id": id}).one_or_none()
    return None if row is None else StoredAccessKey(*row)


def list_access_keys(connection: Connection, user: str) -> list[StoredAccessKey]:
    """The keys of a user, oldest first."""
    rows = connection.execute(
        _SELECT.where(principal.c.name == user, text(USERS)).order_by(access_key.c.created_at, access_key.c.id)
    )
    return [StoredAccessKey(*row) for row in rows]


def set_access_key_state(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
    active: bool,  # noqa: FBT001  the function is the verb, this its object
) -> bool:
    """Let a key in, or refuse it; False when it is not there."""
    changed = connection.execute(update(access_key).where(access_key.c.id == id).values(is_active=active))
    return touch_if_changed(connection, changed)


def delete_access_key(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
) -> bool:
    """Remove a key; False when it is not there."""
    removed = connection.execute(delete(access_key).where(access_key.c.id == id))
    return touch_if_changed(connection, removed)
