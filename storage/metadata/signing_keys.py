"""Signing keys: private halves, sealed, with the time in which each signs and verifies."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, select, update

from storage.metadata.database import insert
from storage.metadata.generation import touch_generation, touch_if_changed
from storage.metadata.schema import signing_key


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A signing key whose private half is sealed.

    It signs from `signs_from` on, until a key made later does; from `retires_at` on, what it signed is refused.
    """

    kid: str
    algorithm: str
    sealed_private_key: bytes = field(repr=False)
    created_at: float
    signs_from: float = 0.0
    retires_at: float | None = None


# Asked whenever anything changed: built once, for building a statement costs more than running it.
_ALL = select(
    signing_key.c.kid,
    signing_key.c.algorithm,
    signing_key.c.sealed_private_key,
    signing_key.c.created_at,
    signing_key.c.signs_from,
    signing_key.c.retires_at,
).order_by(signing_key.c.created_at, signing_key.c.kid)


def list_signing_keys(connection: Connection) -> list[StoredSigningKey]:
    """Every signing key, oldest first."""
    return [StoredSigningKey(*row) for row in connection.execute(_ALL)]


def add_signing_key(connection: Connection, new: StoredSigningKey) -> None:
    """Add a signing key."""
    connection.execute(
        insert(connection, signing_key).values(
            kid=new.kid,
            algorithm=new.algorithm,
            sealed_private_key=new.sealed_private_key,
            created_at=new.created_at,
            signs_from=new.signs_from,
            retires_at=new.retires_at,
        )
    )
    touch_generation(connection)


def retire_others(connection: Connection, kid: str, retires_at: float) -> None:
    """Say when every key but this one retires, where that is not said yet."""
    changed = connection.execute(
        update(signing_key)
        .where(signing_key.c.kid != kid, signing_key.c.retires_at.is_(None))
        .values(retires_at=retires_at)
    )
    touch_if_changed(connection, changed)


def retire_signing_key(connection: Connection, kid: str, retires_at: float) -> bool:
    """Say when a key retires, whatever was said before; False when it is not there."""
    changed = connection.execute(update(signing_key).where(signing_key.c.kid == kid).values(retires_at=retires_at))
    return touch_if_changed(connection, changed)


def delete_retired_keys(connection: Connection, retired_before: float) -> int:
    """Remove the keys that retired before this time; how many there were."""
    return connection.execute(delete(signing_key).where(signing_key.c.retires_at < retired_before)).rowcount
