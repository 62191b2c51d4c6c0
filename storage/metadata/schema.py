"""The tables of the registry, for SQLite and PostgreSQL alike.

- Times are seconds since the epoch; sizes are bytes; digests are written `algorithm:hex`.
- Text that is sorted or paged sorts by bytes on both databases.
- What is here must survive anything; what changes with every request is in `activity_schema`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from storage.metadata.columns import NAMES, Bytewise, Id

REGISTRY_REVISION = "0004"
"""The migration that this code's registry schema is at."""

USERS = "kind <> 'role'"
"""Which principals log in by name: written out, for a partial index answers only for its own words."""

REGISTRY = MetaData(naming_convention=NAMES)


def _digest(name: str, *, nullable: bool = False, primary_key: bool = False) -> "Column[str]":
    return Column(name, Bytewise, nullable=nullable, primary_key=primary_key)


def _repository(*, primary_key: bool = True) -> "Column[int]":
    return Column(
        "repository_id", Id, ForeignKey("repository.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False
    )


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _principal() -> "Column[int]":
    return Column("principal_id", Id, ForeignKey("principal.id", ondelete="CASCADE"), primary_key=True)


def _seal() -> "tuple[Column[str], Column[int]]":
    return (
        Column("domain", String, nullable=False, server_default=text("''"), comment="it is sealed in; none: plain"),
        Column("key_version", Integer, nullable=False, server_default="0", comment="of the domain's key"),
    )


def _group() -> "Column[str]":
    return Column("group_name", Bytewise, ForeignKey("user_group.name", ondelete="CASCADE"), primary_key=True)


def _policy(*, index: bool = False) -> "Column[str]":
    return Column("policy_name", Bytewise, ForeignKey("policy.name", ondelete="CASCADE"), primary_key=True, index=index)


account = Table(
    "account",
    REGISTRY,
    Column("id", String, primary_key=True),
    Column("created_at", Double, nullable=False),
    comment="the owner of everything: a 12-digit id",
)

registry_setting = Table(
    "registry_setting",
    REGISTRY,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    comment="facts about this registry that were drawn once, such as its id",
)

repository = Table(
    "repository",
    REGISTRY,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("account_id", String, ForeignKey("account.id"), nullable=False),
    Column("name", Bytewise, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("tags", Text, nullable=False, server_default="{}", comment="JSON object, for conditions of policies"),
    Column("domain", String, nullable=False, server_default="AES256", comment="what is pushed there is sealed in it"),
)

encryption_domain = Table(
    "encryption_domain",
    REGISTRY,
    Column("name", Bytewise, primary_key=True, comment="AES256, or the id of a KMS key as repositories give it"),
    Column("id", LargeBinary, nullable=False, unique=True, comment="16 random bytes, in the header of what is sealed"),
    Column("kms_key", String, comment="what wraps its keys; none: the registry's root key"),
    Column("created_at", Double, nullable=False),
    Column("destroy_at", Double, comment="from when on its keys may be destroyed; none while it is in use"),
    Column("destroyed_at", Double, comment="when its keys were destroyed"),
    Column("reencrypt_to", Integer, comment="somebody wants all sealed with this version of its key, or a later one"),
    comment="what repositories that share stored bytes have in common",
)

domain_key = Table(
    "domain_key",
    REGISTRY,
    Column("domain", Bytewise, ForeignKey("encryption_domain.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="from 1; the highest seals"),
    Column("root", String, nullable=False, comment="the name of what wraps it"),
    Column("wrapped", LargeBinary, comment="none once it is destroyed"),
    Column("created_at", Double, nullable=False),
    comment="the keys of domains, each readable with its root key alone",
)

blob = Table(
    "blob",
    REGISTRY,
    Column("id", Id, primary_key=True, autoincrement=True),
    _digest("digest"),
    Column("size", BigInteger, nullable=False),
    Column("storage_key", String, nullable=False, unique=True),
    Column("state", String, nullable=False),
    Column("created_at", Double, nullable=False),
    *_seal(),
    # One copy of a digest is served in a domain; copies on their way out stand beside it under keys of their own.
    _partial("uq_blob_stored_digest", "digest", "domain", where="state = 'stored'", unique=True),
    Index("ix_blob_digest", "digest"),
    # Asked for every few seconds, and mostly there are none.
    _partial("ix_blob_deleting", "id", where="state = 'deleting'"),
    comment="a stored copy; state is stored, quarantined or deleting",
)

repository_blob = Table(
    "repository_blob",
    REGISTRY,
    _repository(),
    _digest("digest", primary_key=True),
    Column("blob_id", Id, ForeignKey("blob.id"), nullable=False, index=True),
    Column("linked_at", Double, nullable=False),
    comment="which repository may read which copy",
)

manifest = Table(
    "manifest",
    REGISTRY,
    _repository(),
    _digest("digest", primary_key=True),
    Column("media_type", String, nullable=False),
    Column("artifact_type", String, comment="as a referrers list shows it: the config's media type where none is set"),
    _digest("subject", nullable=True),
    _digest("config_digest", nullable=True),
    Column("size", BigInteger, nullable=False, comment="bytes of the manifest itself"),
    Column("total_size", BigInteger, nullable=False, comment="bytes of the config and layers it names"),
    Column("pushed_at", Double, nullable=False),
    Column("annotations", Text, comment="JSON object, kept apart so that a referrers list reads no payload"),
    Column("payload", LargeBinary, nullable=False, comment="the exact bytes received"),
    *_seal(),
    _partial("ix_manifest_subject", "repository_id", "subject", "digest", where="subject IS NOT NULL"),
)

manifest_child = Table(
    "manifest_child",
    REGISTRY,
    _repository(),
    _digest("parent", primary_key=True),
    _digest("child", primary_key=True),
    Index("ix_manifest_child_child", "repository_id", "child"),
    comment="the manifests that an index names, whether they are there or not",
)

manifest_blob = Table(
    "manifest_blob",
    REGISTRY,
    _repository(),
    _digest("manifest", primary_key=True),
    _digest("digest", primary_key=True),
    Index("ix_manifest_blob_digest", "repository_id", "digest"),
    comment="the blobs that a manifest names, whether they are there or not",
)

tag = Table(
    "tag",
    REGISTRY,
    _repository(),
    Column("name", Bytewise, primary_key=True),
    _digest("digest"),
    Column("updated_at", Double, nullable=False),
    Index("ix_tag_digest", "repository_id", "digest"),
)

gc_candidate = Table(
    "gc_candidate",
    REGISTRY,
    Column("blob_id", Id, ForeignKey("blob.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_id", Id, primary_key=True, comment="0: no repository may read the copy any more"),
    Column("since", Double, nullable=False, index=True),
    comment="content that may be collected once it has stood here for the grace time",
)

lease = Table(
    "lease",
    REGISTRY,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", Double, nullable=False),
    comment="which worker does a piece of background work",
)

principal = Table(
    "principal",
    REGISTRY,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("account_id", String, ForeignKey("account.id"), nullable=False),
    Column("name", Bytewise, nullable=False),
    Column("kind", String, nullable=False, comment="root, user or role"),
    Column("password_hash", Text, comment="argon2id in PHC form"),
    Column("created_at", Double, nullable=False),
    Column("is_disabled", Boolean, nullable=False, server_default=false()),
    Column("valid_after", Double, nullable=False, server_default="0", comment="tokens from before are refused"),
    Column("tags", Text, nullable=False, server_default="{}", comment="JSON object"),
    Column("boundary", Bytewise, ForeignKey("policy.name"), index=True, comment="the managed policy that limits it"),
    Column("trust_policy", Text, comment="who may assume the role"),
    Column("max_session_seconds", Integer, nullable=False, server_default="3600", comment="of a role's sessions"),
    UniqueConstraint("kind", "name"),
    # The root user and the users share their names; a role may have the name of a user.
    _partial("uq_principal_user_name", "name", where=USERS, unique=True),
    # No principal gets the id of one that was deleted.
    sqlite_autoincrement=True,
)

access_key = Table(
    "access_key",
    REGISTRY,
    Column("id", Bytewise, primary_key=True),
    Column("principal_id", Id, ForeignKey("principal.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

user_group = Table(
    "user_group",
    REGISTRY,
    Column("name", Bytewise, primary_key=True),
    Column("created_at", Double, nullable=False),
)

group_member = Table(
    "group_member",
    REGISTRY,
    _principal(),
    _group(),
    Index("ix_group_member_group_name", "group_name"),
)

policy = Table(
    "policy",
    REGISTRY,
    Column("name", Bytewise, primary_key=True),
    Column("default_version", Integer, nullable=False, comment="the version that counts"),
    Column("created_at", Double, nullable=False),
    comment="managed policies: written once, attached to many",
)

policy_version = Table(
    "policy_version",
    REGISTRY,
    _policy(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

principal_policy = Table(
    "principal_policy",
    REGISTRY,
    _principal(),
    _policy(index=True),
    comment="managed policies attached to users and roles",
)

group_policy = Table(
    "group_policy",
    REGISTRY,
    _group(),
    _policy(index=True),
    comment="managed policies attached to groups",
)

principal_inline_policy = Table(
    "principal_inline_policy",
    REGISTRY,
    _principal(),
    Column("name", Bytewise, primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

group_inline_policy = Table(
    "group_inline_policy",
    REGISTRY,
    _group(),
    Column("name", Bytewise, primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

repository_policy = Table(
    "repository_policy",
    REGISTRY,
    _repository(),
    Column("document", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

registry_policy = Table(
    "registry_policy",
    REGISTRY,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("document", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

generation = Table(
    "generation",
    REGISTRY,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("value", BigInteger, nullable=False),
    comment="grows with every change of who may do what",
)

signing_key = Table(
    "signing_key",
    REGISTRY,
    Column("kid", String, primary_key=True),
    Column("algorithm", String, nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("signs_from", Double, nullable=False, server_default="0", comment="published before, for others to fetch"),
    Column("retires_at", Double, comment="from when on what it signed is refused; none for the key that signs"),
)

stored_token = Table(
    "stored_token",
    REGISTRY,
    Column("id", Bytewise, primary_key=True),
    Column("principal_id", Id, ForeignKey("principal.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False, comment="refresh or service"),
    Column("name", Bytewise, comment="of a service token"),
    Column("secret_hash", LargeBinary, nullable=False, comment="SHA-256 of a random secret"),
    Column("policy", Text, comment="what it may do at most: a session policy"),
    Column("access_key_id", Bytewise, ForeignKey("access_key.id", ondelete="CASCADE"), index=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, index=True),
    Index("ix_stored_token_principal_id", "principal_id", "kind", "created_at"),
    UniqueConstraint("principal_id", "name"),
    comment="tokens that are valid only while they stand here",
)

revoked_token = Table(
    "revoked_token",
    REGISTRY,
    Column("id", String, primary_key=True, comment="jti"),
    Column("revoked_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True, comment="from when on the token is refused anyway"),
    comment="signed tokens that were taken back one by one",
)

identity_provider = Table(
    "identity_provider",
    REGISTRY,
    Column("name", Bytewise, primary_key=True, comment="host and path of the issuer, as IAM names it"),
    Column("issuer", String, nullable=False, unique=True),
    Column("audiences", Text, nullable=False, comment="JSON list"),
    Column("jwks_url", String, comment="where discovery is not to be asked"),
    Column("allow_private", Boolean, nullable=False, server_default=false(), comment="may be on a private network"),
    Column("created_at", Double, nullable=False),
    comment="issuers of identity tokens that trust policies of roles may name",
)
