"""What tests look up in the activity database themselves."""

from sqlalchemy import Connection, select

from storage.metadata.activity_schema import login_failure


def login_failures(connection: Connection) -> list[str]:
    """The ids of all rows that count wrong passwords."""
    return list(connection.execute(select(login_failure.c.id)).scalars())
