"""Policies as documents: managed ones with versions, inline ones, and those of repositories and the registry.

- Storage never looks into a document; whoever writes one has checked it.
- A managed policy that limits somebody as a boundary cannot be deleted: that would lift the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    bindparam,
    delete,
    exists,
    literal_column,
    select,
    union,
    union_all,
    update,
)

from storage.metadata.database import insert
from storage.metadata.generation import touch_generation, touch_if_changed
from storage.metadata.groups import is_group
from storage.metadata.schema import (
    group_inline_policy,
    group_member,
    group_policy,
    policy,
    policy_version,
    principal,
    principal_inline_policy,
    principal_policy,
    registry_policy,
    repository,
    repository_policy,
)

_MOST_VERSIONS = 5
_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """A policy document and what it is called."""

    name: str
    document: str


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a managed policy, without its document."""

    version: int
    is_default: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class RepositoryRules:
    """What decides about a repository: its policy, None where it has none, and its tags, a JSON object."""

    document: str | None
    tags: str


@dataclass(frozen=True, slots=True)
class _Owner:
    """Where the policies of a user, role or group stand: the tables, their column that names it, and its key."""

    attached: Table
    inline: Table
    column: str
    key: int | str


# Asked by requests: built once, for building a statement costs more than running it.
_PRINCIPAL_ID = bindparam("principal_id", type_=BigInteger)
_COUNTS = (policy_version.c.policy_name == policy.c.name) & (policy_version.c.version == policy.c.default_version)
_ATTACHED = union(
    select(principal_policy.c.policy_name).where(principal_policy.c.principal_id == _PRINCIPAL_ID),
    select(group_policy.c.policy_name)
    .join(group_member, group_member.c.group_name == group_policy.c.group_name)
    .where(group_member.c.principal_id == _PRINCIPAL_ID),
)
_POLICIES = union_all(
    select(principal.c.kind, principal.c.name, principal_inline_policy.c.name, principal_inline_policy.c.document)
    .join(principal, principal.c.id == principal_inline_policy.c.principal_id)
    .where(principal_inline_policy.c.principal_id == _PRINCIPAL_ID),
    select(
        literal_column("'group'"),
        group_inline_policy.c.group_name,
        group_inline_policy.c.name,
        group_inline_policy.c.document,
    )
    .join(group_member, group_member.c.group_name == group_inline_policy.c.group_name)
    .where(group_member.c.principal_id == _PRINCIPAL_ID),
    select(literal_column("'policy'"), literal_column("''"), policy.c.name, policy_version.c.document)
    .join(policy_version, _COUNTS)
    .where(policy.c.name.in_(_ATTACHED)),
)
_BOUNDARY = (
    select(policy.c.name, policy_version.c.document)
    .select_from(principal)
    .join(policy, policy.c.name == principal.c.boundary)
    .join(policy_version, _COUNTS)
    .where(principal.c.id == _PRINCIPAL_ID)
)
_REPOSITORY_POLICY = (
    select(repository_policy.c.document)
    .join(repository, repository.c.id == repository_policy.c.repository_id)
    .where(repository.c.name == bindparam("repository"))
)
_REPOSITORY_RULES = (
    select(repository.c.name, repository_policy.c.document, repository.c.tags)
    .outerjoin(repository_policy, repository_policy.c.repository_id == repository.c.id)
    .where(repository.c.name.in_(bindparam("repositories", expanding=True)))
)
_REGISTRY_POLICY = select(registry_policy.c.document).where(registry_policy.c.id == 1)


def put_policy(connection: Connection, name: str, document: str, now: float) -> int:
    """Write a managed policy or its next version, which is the one that counts from then; returns the version.

    Of more than five versions the oldest is dropped (IAM has the same quota).
    """
    # The row is held until the transaction ends: versions of one policy are numbered one after another.
    connection.execute(
        insert(connection, policy)
        .values(name=name, default_version=1, created_at=now)
        .on_conflict_do_update(index_elements=["name"], set_={"name": name})
    )
    versions = connection.execute(
        select(policy_version.c.version).where(policy_version.c.policy_name == name).order_by(policy_version.c.version)
    ).scalars()
    kept = list(versions)
    version: int = kept[-1] + 1 if kept else 1
    connection.execute(
        insert(connection, policy_version).values(policy_name=name, version=version, document=document, created_at=now)
    )
    connection.execute(update(policy).where(policy.c.name == name).values(default_version=version))
    if len(kept) >= _MOST_VERSIONS:
        oldest = policy_version.c.version <= kept[-_MOST_VERSIONS]
        connection.execute(delete(policy_version).where(policy_version.c.policy_name == name, oldest))
    touch_generation(connection)
    return version


def find_policy(connection: Connection, name: str, version: int | None = None) -> str | None:
    """The document of a managed policy, in a version or in the one that counts, or None."""
    wanted = _COUNTS if version is None else policy_version.c.version == version
    query = (
        select(policy_version.c.document)
        .join(policy, policy.c.name == policy_version.c.policy_name)
        .where(policy.c.name == name, wanted)
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def list_policies(connection: Connection, *, after: str = "", limit: int | None = None) -> list[str]:
    """The names of managed policies that sort after `after` by bytes, at most `limit`, in order."""
    names = select(policy.c.name).where(policy.c.name > after).order_by(policy.c.name).limit(limit)
    return list(connection.execute(names).scalars())


def list_versions(connection: Connection, name: str) -> list[PolicyVersion]:
    """The versions of a managed policy that are kept, oldest first; none when it is not there."""
    rows = connection.execute(
        select(
            policy_version.c.version,
            policy_version.c.version == policy.c.default_version,
            policy_version.c.created_at,
        )
        .join(policy, policy.c.name == policy_version.c.policy_name)
        .where(policy.c.name == name)
        .order_by(policy_version.c.version)
    )
    return [PolicyVersion(*row) for row in rows]


def set_default_version(connection: Connection, name: str, version: int) -> bool:
    """Let another version of a managed policy count; False when there is no such version."""
    # The policy is held first: a writer of its next version may be dropping this one.
    connection.execute(select(policy.c.name).where(policy.c.name == name).with_for_update())
    is_kept = exists().where(policy_version.c.policy_name == name, policy_version.c.version == version)
    changed = connection.execute(update(policy).where(policy.c.name == name, is_kept).values(default_version=version))
    return touch_if_changed(connection, changed)


def delete_version(connection: Connection, name: str, version: int) -> bool:
    """Remove a version that does not count; False when there is no such version, or it is the one that counts."""
    counts = select(policy.c.default_version).where(policy.c.name == name).with_for_update()
    if connection.execute(counts).scalar_one_or_none() == version:
        return False
    removed = connection.execute(
        delete(policy_version).where(policy_version.c.policy_name == name, policy_version.c.version == version)
    )
    return touch_if_changed(connection, removed)


def is_boundary(connection: Connection, name: str) -> bool:
    """Whether a managed policy limits some user or role."""
    return connection.execute(select(principal.c.id).where(principal.c.boundary == name).limit(1)).first() is not None


def delete_policy(connection: Connection, name: str) -> bool:
    """Remove a managed policy from wherever it is attached; False when it is not there, or is somebody's boundary."""
    limits = exists().where(principal.c.boundary == name)
    return touch_if_changed(connection, connection.execute(delete(policy).where(policy.c.name == name, ~limits)))


def attach(
    connection: Connection,
    policy: str,
    *,
    user: str | None = None,
    role: str | None = None,
    group: str | None = None,
) -> bool:
    """Attach a managed policy to one owner; False when it was attached, or when either is not there."""
    owner = _one_owner(connection, user=user, role=role, group=group)
    if owner is None or find_policy(connection, policy) is None:
        return False
    added = connection.execute(
        insert(connection, owner.attached)
        .values({owner.column: owner.key, "policy_name": policy})
        .on_conflict_do_nothing()
    )
    return touch_if_changed(connection, added)


def detach(
    connection: Connection,
    policy: str,
    *,
    user: str | None = None,
    role: str | None = None,
    group: str | None = None,
) -> bool:
    """Take a managed policy from one owner; False when it was not attached."""
    owner = _one_owner(connection, user=user, role=role, group=group)
    if owner is None:
        return False
    columns = owner.attached.c
    removed = connection.execute(
        delete(owner.attached).where(columns[owner.column] == owner.key, columns.policy_name == policy)
    )
    return touch_if_changed(connection, removed)


def attached_to(
    connection: Connection, *, user: str | None = None, role: str | None = None, group: str | None = None
) -> list[str]:
    """The names of the managed policies that are attached to one owner itself, in order."""
    owner = _one_owner(connection, user=user, role=role, group=group)
    if owner is None:
        return []
    columns = owner.attached.c
    names = select(columns.policy_name).where(columns[owner.column] == owner.key).order_by(columns.policy_name)
    return list(connection.execute(names).scalars())


def put_inline(connection: Connection, owner_kind: str, owner_name: str, name: str, document: str, now: float) -> bool:
    """Write an inline policy in place of one of this name; False when its owner is not there."""
    owner = _owner(connection, owner_kind, owner_name)
    if owner is None:
        return False
    put = connection.execute(
        insert(connection, owner.inline)
        .values({owner.column: owner.key, "name": name, "document": document, "updated_at": now})
        .on_conflict_do_update(index_elements=[owner.column, "name"], set_={"document": document, "updated_at": now})
    )
    return touch_if_changed(connection, put)


def delete_inline(connection: Connection, owner_kind: str, owner_name: str, name: str) -> bool:
    """Remove an inline policy; False when it is not there."""
    owner = _owner(connection, owner_kind, owner_name)
    if owner is None:
        return False
    columns = owner.inline.c
    removed = connection.execute(delete(owner.inline).where(columns[owner.column] == owner.key, columns.name == name))
    return touch_if_changed(connection, removed)


def list_inline(connection: Connection, owner_kind: str, owner_name: str) -> list[NamedDocument]:
    """The inline policies of one owner itself under their own names, in order."""
    owner = _owner(connection, owner_kind, owner_name)
    if owner is None:
        return []
    columns = owner.inline.c
    rows = connection.execute(
        select(columns.name, columns.document).where(columns[owner.column] == owner.key).order_by(columns.name)
    )
    return [NamedDocument(*row) for row in rows]


def policies_of(connection: Connection, principal_id: int) -> list[NamedDocument]:
    """Every policy that applies to a principal, its groups' included and each once, under its full name, in order.

    Full names are `user/NAME/inline/POLICY` (or `role/`, `group/`) and `policy/POLICY`.
    """
    rows = connection.execute(_POLICIES, {"principal_id": principal_id})
    named = (
        NamedDocument(f"{kind}/{name}" if kind == "policy" else f"{kind}/{owner}/inline/{name}", document)
        for kind, owner, name, document in rows
    )
    return sorted(named, key=lambda each: each.name)


def boundary_of(connection: Connection, principal_id: int) -> NamedDocument | None:
    """The managed policy that limits a principal under its full name, or None."""
    row = connection.execute(_BOUNDARY, {"principal_id": principal_id}).one_or_none()
    return None if row is None else NamedDocument(f"policy/{row[0]}", row[1])


def put_repository_policy(connection: Connection, repository_name: str, document: str, now: float) -> bool:
    """Write the policy of a repository; False when there is no such repository."""
    repository_id = connection.execute(
        select(repository.c.id).where(repository.c.name == repository_name)
    ).scalar_one_or_none()
    if repository_id is None:
        return False
    put = connection.execute(
        insert(connection, repository_policy)
        .values(repository_id=repository_id, document=document, updated_at=now)
        .on_conflict_do_update(index_elements=["repository_id"], set_={"document": document, "updated_at": now})
    )
    return touch_if_changed(connection, put)


def find_repository_policy(connection: Connection, repository_name: str) -> str | None:
    """The policy of a repository; None where it has none, or is not there."""
    found: str | None = connection.execute(_REPOSITORY_POLICY, {"repository": repository_name}).scalar_one_or_none()
    return found


def find_repository_rules(connection: Connection, names: Sequence[str]) -> dict[str, RepositoryRules]:
    """The policies and tags of those of these repositories that are there."""
    found: dict[str, RepositoryRules] = {}
    for start in range(0, len(names), _IN_ONE_QUERY):
        rows = connection.execute(_REPOSITORY_RULES, {"repositories": names[start : start + _IN_ONE_QUERY]})
        found.update((name, RepositoryRules(document, tags)) for name, document, tags in rows)
    return found


def delete_repository_policy(connection: Connection, repository_name: str) -> bool:
    """Remove the policy of a repository; False when it has none."""
    repository_id = select(repository.c.id).where(repository.c.name == repository_name).scalar_subquery()
    removed = connection.execute(delete(repository_policy).where(repository_policy.c.repository_id == repository_id))
    return touch_if_changed(connection, removed)


def put_registry_policy(connection: Connection, document: str, now: float) -> bool:
    """Write the policy of the registry with all its repositories."""
    put = connection.execute(
        insert(connection, registry_policy)
        .values(id=1, document=document, updated_at=now)
        .on_conflict_do_update(index_elements=["id"], set_={"document": document, "updated_at": now})
    )
    return touch_if_changed(connection, put)


def find_registry_policy(connection: Connection) -> str | None:
    """The policy of the registry, or None."""
    found: str | None = connection.execute(_REGISTRY_POLICY).scalar_one_or_none()
    return found


def delete_registry_policy(connection: Connection) -> bool:
    """Remove the policy of the registry; False when it has none."""
    return touch_if_changed(connection, connection.execute(delete(registry_policy).where(registry_policy.c.id == 1)))


def _one_owner(connection: Connection, **names: str | None) -> _Owner | None:
    ((kind, name),) = ((kind, name) for kind, name in names.items() if name is not None)
    return _owner(connection, kind, name)


def _owner(connection: Connection, kind: str, name: str) -> _Owner | None:
    if kind == "group":
        return _Owner(group_policy, group_inline_policy, "group_name", name) if is_group(connection, name) else None
    is_it = (principal.c.kind == kind) & (principal.c.name == name)
    principal_id = connection.execute(select(principal.c.id).where(is_it)).scalar_one_or_none()
    if principal_id is None:
        return None
    return _Owner(principal_policy, principal_inline_policy, "principal_id", principal_id)
