"""Signed tokens that were taken back one by one, each until it would have expired."""

from sqlalchemy import Connection, bindparam, delete, select

from storage.metadata.database import insert
from storage.metadata.generation import touch_if_changed
from storage.metadata.schema import revoked_token

# Asked for every token that comes: built once, for building a statement costs more than running it.
_REVOKED = select(revoked_token.c.id).where(revoked_token.c.id == bindparam("id"))


def add_revoked_token(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
    *,
    now: float,
    expires_at: float,
) -> bool:
    """Take a token back; False when it was before."""
    added = connection.execute(
        insert(connection, revoked_token)
        .values(id=id, revoked_at=now, expires_at=expires_at)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return touch_if_changed(connection, added)


def is_token_revoked(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
) -> bool:
    """Whether a token was taken back."""
    return connection.execute(_REVOKED, {"id": id}).one_or_none() is not None


def delete_expired_revocations(connection: Connection, expired_before: float, *, limit: int) -> int:
    """Forget tokens that expired before this time, at most `limit`; how many there were."""
    expired = select(revoked_token.c.id).where(revoked_token.c.expires_at < expired_before).limit(limit)
    return connection.execute(delete(revoked_token).where(revoked_token.c.id.in_(expired))).rowcount
