"""When credentials were last used, and from where: rows of the activity database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, union_all

from storage.metadata.activity_schema import last_use
from storage.metadata.database import insert
from storage.metadata.schema import access_key, stored_token


@dataclass(frozen=True, slots=True)
class LastUsed:
    """The last use that is known of a credential; `used_at` is in seconds since the epoch."""

    credential: str
    used_at: float
    source: str


def save_last_uses(connection: Connection, uses: Iterable[LastUsed]) -> None:
    """Keep these uses, unless later ones are kept already."""
    new = insert(connection, last_use)
    kept = new.on_conflict_do_update(
        index_elements=["credential"],
        set_={"used_at": new.excluded.used_at, "source": new.excluded.source},
        where=last_use.c.used_at < new.excluded.used_at,
    )
    # In one order, so that two workers never wait for each other's rows.
    ordered = sorted(uses, key=lambda use: use.credential)
    rows = [{"credential": use.credential, "used_at": use.used_at, "source": use.source} for use in ordered]
    if rows:
        connection.execute(kept, rows)


def find_last_uses(connection: Connection, credentials: Collection[str]) -> dict[str, LastUsed]:
    """The last uses of these credentials, by credential; those never used have none."""
    rows = connection.execute(
        select(last_use.c.credential, last_use.c.used_at, last_use.c.source).where(
            last_use.c.credential.in_(list(credentials))
        )
    )
    return {row.credential: LastUsed(*row) for row in rows}


def list_used_credentials(connection: Connection, *, after: str, limit: int) -> list[str]:
    """Credentials with a last use, in order, from the one that follows `after`."""
    return list(
        connection.execute(
            select(last_use.c.credential)
            .where(last_use.c.credential > after)
            .order_by(last_use.c.credential)
            .limit(limit)
        ).scalars()
    )


def existing_credentials(connection: Connection, credentials: Collection[str]) -> set[str]:
    """Which of these are there still; asks the registry database, where they are kept."""
    asked = list(credentials)
    keys = select(access_key.c.id).where(access_key.c.id.in_(asked))
    tokens = select(stored_token.c.id).where(stored_token.c.id.in_(asked))
    return set(connection.execute(union_all(keys, tokens)).scalars())


def forget_last_uses(connection: Connection, credentials: Collection[str]) -> None:
    """Remove the last uses of credentials that are gone."""
    connection.execute(delete(last_use).where(last_use.c.credential.in_(list(credentials))))
