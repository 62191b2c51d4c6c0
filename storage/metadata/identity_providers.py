"""Identity providers: issuers of identity tokens that trust policies of roles may name."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from storage.metadata.database import insert
from storage.metadata.generation import touch_if_changed
from storage.metadata.schema import identity_provider


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """An identity provider as the database keeps it; `audiences` is a JSON list."""

    name: str
    issuer: str
    audiences: str
    jwks_url: str | None
    allow_private: bool
    created_at: float


_SELECT = select(
    identity_provider.c.name,
    identity_provider.c.issuer,
    identity_provider.c.audiences,
    identity_provider.c.jwks_url,
    identity_provider.c.allow_private,
    identity_provider.c.created_at,
)
# Asked when somebody logs in: built once, for building a statement costs more than running it.
_OF_ISSUER = _SELECT.where(identity_provider.c.issuer == bindparam("issuer"))


def find_provider(connection: Connection, name: str) -> StoredProvider | None:
    """The identity provider of this name, or None."""
    row = connection.execute(_SELECT.where(_named(name))).one_or_none()
    return None if row is None else StoredProvider(*row)


def find_provider_of(connection: Connection, issuer: str) -> StoredProvider | None:
    """The identity provider whose tokens name this issuer, or None."""
    row = connection.execute(_OF_ISSUER, {"issuer": issuer}).one_or_none()
    return None if row is None else StoredProvider(*row)


def list_providers(connection: Connection) -> list[StoredProvider]:
    """Every identity provider, by name."""
    rows = connection.execute(_SELECT.order_by(identity_provider.c.name))
    return [StoredProvider(*row) for row in rows]


def count_providers(connection: Connection) -> int:
    """How many identity providers there are."""
    return connection.execute(select(func.count()).select_from(identity_provider)).scalar_one()


def add_provider(connection: Connection, new: StoredProvider) -> bool:
    """Add an identity provider; False when one of this name or issuer is there."""
    added = connection.execute(
        insert(connection, identity_provider)
        .values(
            name=new.name,
            issuer=new.issuer,
            audiences=new.audiences,
            jwks_url=new.jwks_url,
            allow_private=new.allow_private,
            created_at=new.created_at,
        )
        .on_conflict_do_nothing()
    )
    return touch_if_changed(connection, added)


def change_provider(
    connection: Connection, name: str, *, audiences: str, jwks_url: str | None, allow_private: bool
) -> bool:
    """Give an identity provider other values; False when it is not there."""
    changed = connection.execute(
        update(identity_provider)
        .where(_named(name))
        .values(audiences=audiences, jwks_url=jwks_url, allow_private=allow_private)
    )
    return touch_if_changed(connection, changed)


def delete_provider(connection: Connection, name: str) -> bool:
    """Remove an identity provider; False when it is not there."""
    return touch_if_changed(connection, connection.execute(delete(identity_provider).where(_named(name))))


def _named(name: str) -> ColumnElement[bool]:
    return identity_provider.c.name == name
