"""Failed logins, the last use of credentials, and the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables of what is remembered about requests."""
    op.create_table(
        "login_failure",
        sa.Column("id", sa.String(), nullable=False, comment="a digest of who tried and from where"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="wrong passwords since then"),
        sa.Column(
            "checking", sa.Integer(), nullable=False, comment="passwords being checked, which may turn out wrong"
        ),
        sa.Column("began_at", sa.Double(), nullable=False, comment="of the first; all are forgotten together"),
        sa.PrimaryKeyConstraint("id", name="pk_login_failure"),
    )
    op.create_index("ix_login_failure_began_at", "login_failure", ["began_at"])
    op.create_table(
        "last_use",
        sa.Column("credential", _Bytewise, nullable=False, comment="the id of an access key or a stored token"),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("credential", name="pk_last_use"),
    )
    _audit_events()


def _audit_events() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.String(), nullable=False, comment="authenticate, refuse, pull, push, delete or change"),
        sa.Column("principal", _Bytewise, nullable=False),
        sa.Column("source", sa.String(), nullable=False, comment="the address of the client"),
        sa.Column("action", _Bytewise, nullable=False),
        sa.Column("resource", _Bytewise, nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("statement", sa.Text(), comment="JSON object: the policy, sid and index of what decided"),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column("chain", sa.LargeBinary(), nullable=False, comment="its seal, which ties it to the event before it"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
        comment="who did what, in the order of happening; only ever added to, and cut off at the old end",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_event_at", "audit_event", ["at"])
    for column in ("principal", "resource", "event"):
        op.create_index(f"ix_audit_event_{column}", "audit_event", [column, "at"])
