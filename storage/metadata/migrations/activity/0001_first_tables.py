"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of an empty database."""
    op.create_table(
        "upload",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("repository", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("committed", sa.BigInteger(), nullable=False, comment="bytes staged and promised to the client"),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upload"),
    )
    op.create_index("ix_upload_principal", "upload", ["principal"])
    op.create_index("ix_upload_touched_at", "upload", ["touched_at"])
