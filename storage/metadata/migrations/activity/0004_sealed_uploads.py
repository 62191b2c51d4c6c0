"""How far uploads that are sealed have come."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of what unfinished uploads need to go on."""
    op.create_table(
        "sealed_upload",
        sa.Column("upload_id", _Bytewise, nullable=False),
        sa.Column("mark", sa.String(), nullable=False, comment="of the sealing writer: drawn anew by each"),
        sa.Column("header", sa.LargeBinary(128), comment="of the sealed object; none before the first whole segment"),
        sa.Column("is_open", sa.Boolean(), nullable=False, comment="a writer is at it, or was killed"),
        sa.Column("is_cut", sa.Boolean(), nullable=False, comment="it was cut off where its last writer began"),
        sa.Column("offset", sa.BigInteger(), nullable=False, comment="plain bytes kept"),
        sa.Column("inner_mark", sa.String(), nullable=False, comment="of the store below, at this offset"),
        sa.Column("tail", sa.LargeBinary(), comment="sealed: what is less than a segment"),
        sa.Column("earlier_offset", sa.BigInteger(), comment="plain bytes kept where the last writer began"),
        sa.Column("earlier_tail", sa.LargeBinary(), comment="the tail there"),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", name="pk_sealed_upload"),
        comment="how far uploads that are sealed have come",
    )
    op.create_index("ix_sealed_upload_touched_at", "sealed_upload", ["touched_at"])
