"""First tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_REPOSITORY = "repository_id"


def upgrade() -> None:
    """Make every table of an empty database."""
    _registry()
    _accounts()
    _blobs()
    _manifests()
    _names()


def _required(name: str, kind: "sa.types.TypeEngine[Any]", comment: str | None = None) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=False, comment=comment)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _points(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}", ondelete=ondelete)


def _of_repository(table: str) -> sa.ForeignKeyConstraint:
    return _points(table, _REPOSITORY, "repository.id", "CASCADE")


def _registry() -> None:
    op.create_table(
        "registry_setting",
        _required("name", sa.String()),
        _required("value", sa.Text()),
        _key("registry_setting", "name"),
        comment="facts about this registry that were drawn once, such as its id",
    )
    op.create_table(
        "lease",
        _required("name", sa.String()),
        _required("holder", sa.String()),
        _required("expires_at", sa.Double()),
        _key("lease", "name"),
        comment="which worker does a piece of background work",
    )
    op.create_table(
        "signing_key",
        _required("kid", sa.String()),
        _required("algorithm", sa.String()),
        _required("sealed_private_key", sa.LargeBinary()),
        _required("created_at", sa.Double()),
        _key("signing_key", "kid"),
    )


def _accounts() -> None:
    op.create_table(
        "account",
        _required("id", sa.String()),
        _required("created_at", sa.Double()),
        _key("account", "id"),
        comment="the owner of everything: a 12-digit id",
    )
    op.create_table(
        "principal",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        _required("account_id", sa.String()),
        _required("name", _Bytewise),
        _required("kind", sa.String(), "root or user"),
        sa.Column("password_hash", sa.Text(), comment="argon2id in PHC form"),
        _required("created_at", sa.Double()),
        _points("principal", "account_id", "account.id"),
        _key("principal", "id"),
        sa.UniqueConstraint("name", name="uq_principal_name"),
    )
    op.create_table(
        "repository",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        _required("account_id", sa.String()),
        _required("name", _Bytewise),
        _required("created_at", sa.Double()),
        _points("repository", "account_id", "account.id"),
        _key("repository", "id"),
        sa.UniqueConstraint("name", name="uq_repository_name"),
    )


def _blobs() -> None:
    op.create_table(
        "blob",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        _required("digest", _Bytewise),
        _required("size", sa.BigInteger()),
        _required("storage_key", sa.String()),
        _required("state", sa.String()),
        _required("created_at", sa.Double()),
        _key("blob", "id"),
        sa.UniqueConstraint("storage_key", name="uq_blob_storage_key"),
        comment="a stored copy; state is stored, quarantined or deleting",
    )
    stored = sa.text("state = 'stored'")
    op.create_index(
        "uq_blob_stored_digest", "blob", ["digest"], unique=True, sqlite_where=stored, postgresql_where=stored
    )
    op.create_index("ix_blob_digest", "blob", ["digest"])
    op.create_table(
        "repository_blob",
        _required(_REPOSITORY, _Id),
        _required("digest", _Bytewise),
        _required("blob_id", _Id),
        _required("linked_at", sa.Double()),
        _points("repository_blob", "blob_id", "blob.id"),
        _of_repository("repository_blob"),
        _key("repository_blob", _REPOSITORY, "digest"),
        comment="which repository may read which copy",
    )
    op.create_index("ix_repository_blob_blob_id", "repository_blob", ["blob_id"])
    op.create_table(
        "gc_candidate",
        _required("blob_id", _Id),
        _required(_REPOSITORY, _Id, "0: no repository may read the copy any more"),
        _required("since", sa.Double()),
        _points("gc_candidate", "blob_id", "blob.id", "CASCADE"),
        _key("gc_candidate", "blob_id", _REPOSITORY),
        comment="content that may be collected once it has stood here for the grace time",
    )
    op.create_index("ix_gc_candidate_since", "gc_candidate", ["since"])


def _manifests() -> None:
    op.create_table(
        "manifest",
        _required(_REPOSITORY, _Id),
        _required("digest", _Bytewise),
        _required("media_type", sa.String()),
        sa.Column(
            "artifact_type",
            sa.String(),
            comment="as a referrers list shows it: the config's media type where none is set",
        ),
        sa.Column("subject", _Bytewise),
        sa.Column("config_digest", _Bytewise),
        _required("size", sa.BigInteger(), "bytes of the manifest itself"),
        _required("total_size", sa.BigInteger(), "bytes of the config and layers it names"),
        _required("pushed_at", sa.Double()),
        sa.Column(
            "annotations", sa.Text(), comment="JSON object, kept apart so that a referrers list reads no payload"
        ),
        _required("payload", sa.LargeBinary(), "the exact bytes received"),
        _of_repository("manifest"),
        _key("manifest", _REPOSITORY, "digest"),
    )
    refers = sa.text("subject IS NOT NULL")
    op.create_index(
        "ix_manifest_subject",
        "manifest",
        [_REPOSITORY, "subject", "digest"],
        sqlite_where=refers,
        postgresql_where=refers,
    )


def _names() -> None:
    op.create_table(
        "manifest_blob",
        _required(_REPOSITORY, _Id),
        _required("manifest", _Bytewise),
        _required("digest", _Bytewise),
        _of_repository("manifest_blob"),
        _key("manifest_blob", _REPOSITORY, "manifest", "digest"),
        comment="the blobs that a manifest names, whether they are there or not",
    )
    op.create_index("ix_manifest_blob_digest", "manifest_blob", [_REPOSITORY, "digest"])
    op.create_table(
        "manifest_child",
        _required(_REPOSITORY, _Id),
        _required("parent", _Bytewise),
        _required("child", _Bytewise),
        _of_repository("manifest_child"),
        _key("manifest_child", _REPOSITORY, "parent", "child"),
        comment="the manifests that an index names, whether they are there or not",
    )
    op.create_index("ix_manifest_child_child", "manifest_child", [_REPOSITORY, "child"])
    op.create_table(
        "tag",
        _required(_REPOSITORY, _Id),
        _required("name", _Bytewise),
        _required("digest", _Bytewise),
        _required("updated_at", sa.Double()),
        _of_repository("tag"),
        _key("tag", _REPOSITORY, "name"),
    )
    op.create_index("ix_tag_digest", "tag", [_REPOSITORY, "digest"])
