"""Leases: one worker of one node does a piece of background work."""

from sqlalchemy import Connection, delete, select

from storage.metadata.database import insert
from storage.metadata.schema import lease


def take_lease(connection: Connection, name: str, holder: str, *, now: float, seconds: float) -> bool:
    """Take or renew a lease; False while another holder has it."""
    statement = insert(connection, lease).values(name=name, holder=holder, expires_at=now + seconds)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "expires_at": now + seconds},
            where=(lease.c.holder == holder) | (lease.c.expires_at < now),
        )
    )
    held: str = connection.execute(select(lease.c.holder).where(lease.c.name == name)).scalar_one()
    return held == holder


def drop_lease(connection: Connection, name: str, holder: str) -> None:
    """Give a lease back before it expires."""
    connection.execute(delete(lease).where(lease.c.name == name, lease.c.holder == holder))
