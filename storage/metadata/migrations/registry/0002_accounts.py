"""Users, roles and groups, their access keys and policies."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_PRINCIPAL = "principal_id"
_GROUP = "group_name"
_POLICY = "policy_name"


def upgrade() -> None:
    """Let principals be roles and be limited; make the tables of what hangs on them."""
    _policies()
    _principals()
    _access_keys()
    _groups()
    _attachments()
    _inline_policies()
    _resource_policies()
    _generation()


def _required(name: str, kind: "sa.types.TypeEngine[Any]", comment: str | None = None) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=False, comment=comment)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _points(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _of_principal(table: str) -> sa.ForeignKeyConstraint:
    return _points(table, _PRINCIPAL, "principal.id")


def _of_group(table: str) -> sa.ForeignKeyConstraint:
    return _points(table, _GROUP, "user_group.name")


def _of_policy(table: str) -> sa.ForeignKeyConstraint:
    return _points(table, _POLICY, "policy.name")


def _policies() -> None:
    op.create_table(
        "policy",
        _required("name", _Bytewise),
        _required("default_version", sa.Integer(), "the version that counts"),
        _required("created_at", sa.Double()),
        _key("policy", "name"),
        comment="managed policies: written once, attached to many",
    )
    op.create_table(
        "policy_version",
        _required(_POLICY, _Bytewise),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        _required("document", sa.Text()),
        _required("created_at", sa.Double()),
        _of_policy("policy_version"),
        _key("policy_version", _POLICY, "version"),
    )


def _principals() -> None:
    # SQLite copies the table, so that everything that points to it comes after.
    with op.batch_alter_table("principal", table_kwargs={"sqlite_autoincrement": True}) as principal:
        principal.alter_column(
            "kind",
            existing_type=sa.String(),
            existing_nullable=False,
            existing_comment="root or user",
            comment="root, user or role",
        )
        principal.add_column(sa.Column("is_disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
        principal.add_column(
            sa.Column(
                "valid_after",
                sa.Double(),
                nullable=False,
                server_default="0",
                comment="tokens from before are refused",
            )
        )
        principal.add_column(sa.Column("tags", sa.Text(), nullable=False, server_default="{}", comment="JSON object"))
        principal.add_column(sa.Column("boundary", _Bytewise, comment="the managed policy that limits it"))
        principal.add_column(sa.Column("trust_policy", sa.Text(), comment="who may assume the role"))
        principal.create_foreign_key("fk_principal_boundary", "policy", ["boundary"], ["name"])
        principal.drop_constraint("uq_principal_name", type_="unique")
        principal.create_unique_constraint("uq_principal_kind_name", ["kind", "name"])
    op.create_index("ix_principal_boundary", "principal", ["boundary"])
    users = sa.text("kind <> 'role'")
    op.create_index(
        "uq_principal_user_name", "principal", ["name"], unique=True, sqlite_where=users, postgresql_where=users
    )


def _access_keys() -> None:
    op.create_table(
        "access_key",
        _required("id", _Bytewise),
        _required(_PRINCIPAL, _Id),
        _required("sealed_secret", sa.LargeBinary()),
        _required("is_active", sa.Boolean()),
        _required("created_at", sa.Double()),
        _of_principal("access_key"),
        _key("access_key", "id"),
    )
    op.create_index("ix_access_key_principal_id", "access_key", [_PRINCIPAL])


def _groups() -> None:
    op.create_table(
        "user_group",
        _required("name", _Bytewise),
        _required("created_at", sa.Double()),
        _key("user_group", "name"),
    )
    op.create_table(
        "group_member",
        _required(_PRINCIPAL, _Id),
        _required(_GROUP, _Bytewise),
        _of_principal("group_member"),
        _of_group("group_member"),
        _key("group_member", _PRINCIPAL, _GROUP),
    )
    op.create_index("ix_group_member_group_name", "group_member", [_GROUP])


def _attachments() -> None:
    op.create_table(
        "principal_policy",
        _required(_PRINCIPAL, _Id),
        _required(_POLICY, _Bytewise),
        _of_principal("principal_policy"),
        _of_policy("principal_policy"),
        _key("principal_policy", _PRINCIPAL, _POLICY),
        comment="managed policies attached to users and roles",
    )
    op.create_index("ix_principal_policy_policy_name", "principal_policy", [_POLICY])
    op.create_table(
        "group_policy",
        _required(_GROUP, _Bytewise),
        _required(_POLICY, _Bytewise),
        _of_group("group_policy"),
        _of_policy("group_policy"),
        _key("group_policy", _GROUP, _POLICY),
        comment="managed policies attached to groups",
    )
    op.create_index("ix_group_policy_policy_name", "group_policy", [_POLICY])


def _inline_policies() -> None:
    op.create_table(
        "principal_inline_policy",
        _required(_PRINCIPAL, _Id),
        _required("name", _Bytewise),
        _required("document", sa.Text()),
        _required("updated_at", sa.Double()),
        _of_principal("principal_inline_policy"),
        _key("principal_inline_policy", _PRINCIPAL, "name"),
    )
    op.create_table(
        "group_inline_policy",
        _required(_GROUP, _Bytewise),
        _required("name", _Bytewise),
        _required("document", sa.Text()),
        _required("updated_at", sa.Double()),
        _of_group("group_inline_policy"),
        _key("group_inline_policy", _GROUP, "name"),
    )


def _resource_policies() -> None:
    op.create_table(
        "repository_policy",
        _required("repository_id", _Id),
        _required("document", sa.Text()),
        _required("updated_at", sa.Double()),
        _points("repository_policy", "repository_id", "repository.id"),
        _key("repository_policy", "repository_id"),
    )
    op.create_table(
        "registry_policy",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        _required("document", sa.Text()),
        _required("updated_at", sa.Double()),
        _key("registry_policy", "id"),
    )


def _generation() -> None:
    op.create_table(
        "generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        _required("value", sa.BigInteger()),
        _key("generation", "id"),
        comment="grows with every change of who may do what",
    )
