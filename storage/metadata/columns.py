"""What the tables of both schemas are made of."""

from typing import Final

from sqlalchemy import BigInteger, Integer, String

NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""How keys and indexes are named, the same on every database."""

# PostgreSQL sorts by the database's language unless told otherwise; SQLite compares bytes.
Bytewise: Final = String().with_variant(String(collation="C"), "postgresql")
Id: Final = BigInteger().with_variant(Integer, "sqlite")
