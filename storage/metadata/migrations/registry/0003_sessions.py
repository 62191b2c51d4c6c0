"""Tokens that are kept and taken back, identity providers, signing keys that take turns, tags of repositories."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add columns to what is there; make the tables of what is not."""
    _columns()
    _stored_tokens()
    _revoked_tokens()
    _identity_providers()


def _columns() -> None:
    op.add_column(
        "repository",
        sa.Column(
            "tags", sa.Text(), nullable=False, server_default="{}", comment="JSON object, for conditions of policies"
        ),
    )
    op.add_column(
        "principal",
        sa.Column(
            "max_session_seconds",
            sa.Integer(),
            nullable=False,
            server_default="3600",
            comment="of a role's sessions",
        ),
    )
    op.add_column(
        "signing_key",
        sa.Column(
            "signs_from",
            sa.Double(),
            nullable=False,
            server_default="0",
            comment="published before, for others to fetch",
        ),
    )
    op.add_column(
        "signing_key",
        sa.Column(
            "retires_at",
            sa.Double(),
            comment="from when on what it signed is refused; none for the key that signs",
        ),
    )


def _stored_tokens() -> None:
    op.create_table(
        "stored_token",
        sa.Column("id", _Bytewise, nullable=False),
        sa.Column("principal_id", _Id, nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="refresh or service"),
        sa.Column("name", _Bytewise, comment="of a service token"),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of a random secret"),
        sa.Column("policy", sa.Text(), comment="what it may do at most: a session policy"),
        sa.Column("access_key_id", _Bytewise),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principal.id"], name="fk_stored_token_principal_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["access_key_id"], ["access_key.id"], name="fk_stored_token_access_key_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stored_token"),
        sa.UniqueConstraint("principal_id", "name", name="uq_stored_token_principal_id_name"),
        comment="tokens that are valid only while they stand here",
    )
    op.create_index("ix_stored_token_principal_id", "stored_token", ["principal_id", "kind", "created_at"])
    op.create_index("ix_stored_token_access_key_id", "stored_token", ["access_key_id"])
    op.create_index("ix_stored_token_expires_at", "stored_token", ["expires_at"])


def _revoked_tokens() -> None:
    op.create_table(
        "revoked_token",
        sa.Column("id", sa.String(), nullable=False, comment="jti"),
        sa.Column("revoked_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False, comment="from when on the token is refused anyway"),
        sa.PrimaryKeyConstraint("id", name="pk_revoked_token"),
        comment="signed tokens that were taken back one by one",
    )
    op.create_index("ix_revoked_token_expires_at", "revoked_token", ["expires_at"])


def _identity_providers() -> None:
    op.create_table(
        "identity_provider",
        sa.Column("name", _Bytewise, nullable=False, comment="host and path of the issuer, as IAM names it"),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("audiences", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("jwks_url", sa.String(), comment="where discovery is not to be asked"),
        sa.Column(
            "allow_private",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="may be on a private network",
        ),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_identity_provider"),
        sa.UniqueConstraint("issuer", name="uq_identity_provider_issuer"),
        comment="issuers of identity tokens that trust policies of roles may name",
    )
