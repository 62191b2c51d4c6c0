"""Tokens that are valid only while their row stands: refresh tokens and service tokens, each of one user.

Nobody keeps that a token is absent, so a token that is added voids no cache; one that goes does.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, func, select, text

from storage.metadata.database import insert
from storage.metadata.generation import touch_if_changed
from storage.metadata.schema import USERS, principal, stored_token

REFRESH = "refresh"
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as the database keeps it.

    `user` is the name of its user, `name` that of a service token, `policy` the document that limits it; times are
    seconds since the epoch.
    """

    id: str
    user: str
    kind: str
    name: str | None
    secret_hash: bytes = field(repr=False)
    policy: str | None
    access_key: str | None
    created_at: float
    expires_at: float | None


_SELECT = select(
    stored_token.c.id,
    principal.c.name,
    stored_token.c.kind,
    stored_token.c.name,
    stored_token.c.secret_hash,
    stored_token.c.policy,
    stored_token.c.access_key_id,
    stored_token.c.created_at,
    stored_token.c.expires_at,
).join(principal, principal.c.id == stored_token.c.principal_id)
# Asked when a token logs in: built once, for building a statement costs more than running it.
_TOKEN = _SELECT.where(stored_token.c.id == bindparam("id"))


def lock_user(connection: Connection, user: str) -> int | None:
    """The id of a user whose tokens no other transaction counts or adds until this one ends; None if not there."""
    found: int | None = connection.execute(
        select(principal.c.id).where(principal.c.name == user, text(USERS)).with_for_update()
    ).scalar_one_or_none()
    return found


def count_stored_tokens(connection: Connection, user_id: int, kind: str) -> int:
    """How many tokens of a kind a user has, expired ones included."""
    count: int = connection.execute(
        select(func.count())
        .select_from(stored_token)
        .where(stored_token.c.principal_id == user_id, stored_token.c.kind == kind)
    ).scalar_one()
    return count


def add_stored_token(connection: Connection, user_id: int, new: StoredToken) -> bool:
    """Add a token of a user; False when the user has one of this name."""
    added = connection.execute(
        insert(connection, stored_token)
        .values(
            id=new.id,
            principal_id=user_id,
            kind=new.kind,
            name=new.name,
            secret_hash=new.secret_hash,
            policy=new.policy,
            access_key_id=new.access_key,
            created_at=new.created_at,
            expires_at=new.expires_at,
        )
        .on_conflict_do_nothing(index_elements=["principal_id", "name"])
    )
    return added.rowcount > 0


def find_stored_token(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
) -> StoredToken | None:
    """The token of this id, or None."""
    row = connection.execute(_TOKEN, {"id": id}).one_or_none()
    return None if row is None else StoredToken(*row)


def list_stored_tokens(connection: Connection, user: str, kind: str) -> list[StoredToken]:
    """A user's tokens of a kind, oldest first."""
    rows = connection.execute(
        _SELECT.where(principal.c.name == user, principal.c.kind != "role", stored_token.c.kind == kind).order_by(
            stored_token.c.created_at, stored_token.c.id
        )
    )
    return [StoredToken(*row) for row in rows]


def delete_service_token(connection: Connection, user_id: int, name: str) -> bool:
    """Remove a user's service token; False when it is not there."""
    removed = connection.execute(
        delete(stored_token).where(stored_token.c.principal_id == user_id, stored_token.c.name == name)
    )
    return touch_if_changed(connection, removed)


def delete_oldest_tokens(connection: Connection, user_id: int, kind: str, count: int) -> None:
    """Remove as many of a user's tokens of a kind, those made first."""
    oldest = (
        select(stored_token.c.id)
        .where(stored_token.c.principal_id == user_id, stored_token.c.kind == kind)
        .order_by(stored_token.c.created_at)
        .limit(count)
    )
    touch_if_changed(connection, connection.execute(delete(stored_token).where(stored_token.c.id.in_(oldest))))


def delete_expired_tokens(connection: Connection, expired_before: float, *, limit: int) -> int:
    """Remove tokens that expired before this time, at most `limit`; how many there were.

    They are refused already by whoever keeps them, so nothing is voided.
    """
    expired = select(stored_token.c.id).where(stored_token.c.expires_at < expired_before).limit(limit)
    return connection.execute(delete(stored_token).where(stored_token.c.id.in_(expired))).rowcount
