"""The tables of what changes with every request: written without waiting for the disk, apart from the registry's.

They may lose their last seconds in a power cut. Times are seconds since the epoch; sizes are bytes.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from storage.metadata.columns import NAMES, Bytewise, Id

ACTIVITY_REVISION = "0004"
"""The migration that this code's activity schema is at."""

ACTIVITY = MetaData(naming_convention=NAMES)

upload = Table(
    "upload",
    ACTIVITY,
    Column("id", String, primary_key=True),
    Column("repository", Bytewise, nullable=False),
    Column("principal", String, nullable=False, index=True),
    Column("algorithm", String, nullable=False),
    Column("committed", BigInteger, nullable=False, comment="bytes staged and promised to the client"),
    Column("started_at", Double, nullable=False),
    Column("touched_at", Double, nullable=False, index=True),
)

staging = Table(
    "staging",
    ACTIVITY,
    Column("id", Bytewise, primary_key=True, comment="the id of the upload whose bytes are staged"),
    Column("process", String, index=True, comment="the process of the writer that holds it"),
    Column("writer", String, comment="the writer that holds it; nobody does where it is missing"),
    Column("held_until", Double, nullable=False, comment="until when, unless the process says that it lives"),
    Column("state", Text, comment="JSON object of the store, with the keys and parts of what is staged"),
    Column("size", BigInteger, nullable=False, comment="bytes staged"),
    Column("touched_at", Double, nullable=False),
    comment="what is staged in a store without files, and who writes it",
)

sealed_upload = Table(
    "sealed_upload",
    ACTIVITY,
    Column("upload_id", Bytewise, primary_key=True),
    Column("mark", String, nullable=False, comment="of the sealing writer: drawn anew by each"),
    Column("header", LargeBinary(128), comment="of the sealed object; none before the first whole segment"),
    Column("is_open", Boolean, nullable=False, comment="a writer is at it, or was killed"),
    Column("is_cut", Boolean, nullable=False, comment="it was cut off where its last writer began"),
    Column("offset", BigInteger, nullable=False, comment="plain bytes kept"),
    Column("inner_mark", String, nullable=False, comment="of the store below, at this offset"),
    Column("tail", LargeBinary, comment="sealed: what is less than a segment"),
    Column("earlier_offset", BigInteger, comment="plain bytes kept where the last writer began"),
    Column("earlier_tail", LargeBinary, comment="the tail there"),
    Column("touched_at", Double, nullable=False, index=True),
    comment="how far uploads that are sealed have come",
)

login_failure = Table(
    "login_failure",
    ACTIVITY,
    Column("id", String, primary_key=True, comment="a digest of who tried and from where"),
    Column("failures", Integer, nullable=False, comment="wrong passwords since then"),
    Column("checking", Integer, nullable=False, comment="passwords being checked, which may turn out wrong"),
    Column("began_at", Double, nullable=False, index=True, comment="of the first; all are forgotten together"),
)

last_use = Table(
    "last_use",
    ACTIVITY,
    Column("credential", Bytewise, primary_key=True, comment="the id of an access key or a stored token"),
    Column("used_at", Double, nullable=False),
    Column("source", String, nullable=False),
)

audit_event = Table(
    "audit_event",
    ACTIVITY,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("event", String, nullable=False, comment="authenticate, refuse, pull, push, delete or change"),
    Column("principal", Bytewise, nullable=False),
    Column("source", String, nullable=False, comment="the address of the client"),
    Column("action", Bytewise, nullable=False),
    Column("resource", Bytewise, nullable=False),
    Column("decision", String, nullable=False),
    Column("statement", Text, comment="JSON object: the policy, sid and index of what decided"),
    Column("request_id", String, nullable=False),
    Column("details", Text, nullable=False, comment="JSON object"),
    Column("chain", LargeBinary, nullable=False, comment="its seal, which ties it to the event before it"),
    Index("ix_audit_event_principal", "principal", "at"),
    Index("ix_audit_event_resource", "resource", "at"),
    Index("ix_audit_event_event", "event", "at"),
    comment="who did what, in the order of happening; only ever added to, and cut off at the old end",
    # No event gets the id of one that was cut off.
    sqlite_autoincrement=True,
)
