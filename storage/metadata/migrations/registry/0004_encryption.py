"""Encryption domains with their keys, and which of them what is stored is sealed in: what was stored before is plain."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_STORED = sa.text("state = 'stored'")
_DELETING = sa.text("state = 'deleting'")


def upgrade() -> None:
    """Make the tables of keys; say of all that is there which domain it is in."""
    _domains()
    _domain_keys()
    op.add_column(
        "repository",
        sa.Column(
            "domain",
            sa.String(),
            nullable=False,
            server_default="AES256",
            comment="what is pushed there is sealed in it",
        ),
    )
    for table in ("blob", "manifest"):
        _sealed(table)
    op.drop_index("uq_blob_stored_digest", "blob")
    op.create_index(
        "uq_blob_stored_digest",
        "blob",
        ["digest", "domain"],
        unique=True,
        sqlite_where=_STORED,
        postgresql_where=_STORED,
    )
    op.create_index("ix_blob_deleting", "blob", ["id"], sqlite_where=_DELETING, postgresql_where=_DELETING)


def _domains() -> None:
    op.create_table(
        "encryption_domain",
        sa.Column("name", _Bytewise, nullable=False, comment="AES256, or the id of a KMS key as repositories give it"),
        sa.Column("id", sa.LargeBinary(), nullable=False, comment="16 random bytes, in the header of what is sealed"),
        sa.Column("kms_key", sa.String(), comment="what wraps its keys; none: the registry's root key"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("destroy_at", sa.Double(), comment="from when on its keys may be destroyed; none while it is in use"),
        sa.Column("destroyed_at", sa.Double(), comment="when its keys were destroyed"),
        sa.Column(
            "reencrypt_to",
            sa.Integer(),
            comment="somebody wants all sealed with this version of its key, or a later one",
        ),
        sa.PrimaryKeyConstraint("name", name="pk_encryption_domain"),
        sa.UniqueConstraint("id", name="uq_encryption_domain_id"),
        comment="what repositories that share stored bytes have in common",
    )


def _domain_keys() -> None:
    op.create_table(
        "domain_key",
        sa.Column("domain", _Bytewise, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False, comment="from 1; the highest seals"),
        sa.Column("root", sa.String(), nullable=False, comment="the name of what wraps it"),
        sa.Column("wrapped", sa.LargeBinary(), comment="none once it is destroyed"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["domain"], ["encryption_domain.name"], name="fk_domain_key_domain"),
        sa.PrimaryKeyConstraint("domain", "version", name="pk_domain_key"),
        comment="the keys of domains, each readable with its root key alone",
    )


def _sealed(table: str) -> None:
    op.add_column(
        table,
        sa.Column(
            "domain", sa.String(), nullable=False, server_default=sa.text("''"), comment="it is sealed in; none: plain"
        ),
    )
    op.add_column(
        table,
        sa.Column("key_version", sa.Integer(), nullable=False, server_default="0", comment="of the domain's key"),
    )
