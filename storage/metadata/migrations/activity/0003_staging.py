"""What is staged in a store without files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of who writes what."""
    op.create_table(
        "staging",
        sa.Column("id", _Bytewise, nullable=False, comment="the id of the upload whose bytes are staged"),
        sa.Column("process", sa.String(), comment="the process of the writer that holds it"),
        sa.Column("writer", sa.String(), comment="the writer that holds it; nobody does where it is missing"),
        sa.Column(
            "held_until", sa.Double(), nullable=False, comment="until when, unless the process says that it lives"
        ),
        sa.Column("state", sa.Text(), comment="JSON object of the store, with the keys and parts of what is staged"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes staged"),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_staging"),
        comment="what is staged in a store without files, and who writes it",
    )
    op.create_index("ix_staging_process", "staging", ["process"])
