"""The account, signing keys, and the facts drawn once for this registry."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from storage.metadata.database import insert
from storage.metadata.schema import account, registry_setting, signing_key


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A signing key whose private half is sealed."""

    kid: str
    algorithm: str
    sealed_private_key: bytes
    created_at: float


def add_account(connection: Connection, account_id: str, now: float) -> None:
    """Add the account that owns everything."""
    connection.execute(insert(connection, account).values(id=account_id, created_at=now))


def list_signing_keys(connection: Connection) -> list[StoredSigningKey]:
    """Every signing key, oldest first."""
    columns = (
        signing_key.c.kid,
        signing_key.c.algorithm,
        signing_key.c.sealed_private_key,
        signing_key.c.created_at,
    )
    rows = connection.execute(select(*columns).order_by(signing_key.c.created_at, signing_key.c.kid))
    return [StoredSigningKey(*row) for row in rows]


def add_signing_key(connection: Connection, new: StoredSigningKey) -> None:
    """Add a signing key."""
    connection.execute(
        insert(connection, signing_key).values(
            kid=new.kid,
            algorithm=new.algorithm,
            sealed_private_key=new.sealed_private_key,
            created_at=new.created_at,
        )
    )


def find_setting(connection: Connection, name: str) -> str | None:
    """A fact about this registry, or None before it was drawn."""
    value: str | None = connection.execute(
        select(registry_setting.c.value).where(registry_setting.c.name == name)
    ).scalar_one_or_none()
    return value


def add_setting(connection: Connection, name: str, value: str) -> None:
    """Record a fact about this registry, once."""
    connection.execute(insert(connection, registry_setting).values(name=name, value=value))
