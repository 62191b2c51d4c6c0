"""Policy documents: written, attached and taken away again, each checked by the grammar before it is stored.

- An inline policy belongs to one user, role or group and goes with it; a managed one is attached to any of them.
- A permissions boundary is a managed policy that limits a user or role.
- The root user has no policies: it may do everything that no repository's policy denies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from auth.accounts import check_name
from auth.errors import AlreadyThere, NotThere, PolicyInUse, RootProtected, VersionInUse
from auth.policy.document import PolicyKind
from auth.policy.parsing import parse_policy
from auth.principals import PrincipalKind
from storage.metadata import groups, policies, principals
from storage.metadata.database import Database
from storage.metadata.policies import NamedDocument

if TYPE_CHECKING:
    from sqlalchemy import Connection


class OwnerKind(StrEnum):
    """What policies can belong to."""

    USER = "user"
    ROLE = "role"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Owner:
    """A user, role or group that has policies."""

    kind: OwnerKind
    name: str

    def __str__(self) -> str:
        """The owner as a sentence names it."""
        return f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class OwnedPolicies:
    """The policies of one owner: its inline documents, and the names of the managed policies attached to it."""

    inline: list[NamedDocument]
    attached: list[str]
    boundary: str | None


class PolicyDocuments:
    """Every policy of one account."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def create_managed(self, name: str, document: str) -> int:
        """Write the first version of a managed policy; raises PolicyInvalid or AlreadyThere."""
        parse_policy(document, PolicyKind.IDENTITY)
        check_name(name)
        now = self._now()

        def change(connection: "Connection") -> int:
            if policies.find_policy(connection, name) is not None:
                raise AlreadyThere("policy", name)
            return policies.put_policy(connection, name, document, now)

        return await self._database.write(change)

    async def put_managed(self, name: str, document: str) -> int:
        """Write a managed policy, or its next version, which is the one that counts; returns the version.

        Raises PolicyInvalid.
        """
        parse_policy(document, PolicyKind.IDENTITY)
        check_name(name)
        now = self._now()
        return await self._database.write(lambda c: policies.put_policy(c, name, document, now))

    async def put_inline(self, owner: Owner, name: str, document: str) -> None:
        """Write an inline policy in place of one of this name; raises PolicyInvalid, NotThere or RootProtected."""
        parse_policy(document, PolicyKind.IDENTITY)
        check_name(name)
        now = self._now()

        def change(connection: "Connection") -> None:
            _require(connection, owner)
            policies.put_inline(connection, owner.kind.value, owner.name, name, document, now)

        await self._database.write(change)

    async def delete_managed(self, name: str) -> None:
        """Remove a managed policy from wherever it is attached; raises NotThere, or PolicyInUse for a boundary."""

        def change(connection: "Connection") -> None:
            if policies.is_boundary(connection, name):
                raise PolicyInUse(name)
            if not policies.delete_policy(connection, name):
                raise NotThere("policy", name)

        await self._database.write(change)

    async def delete_inline(self, owner: Owner, name: str) -> None:
        """Remove an inline policy; raises NotThere."""

        def change(connection: "Connection") -> None:
            _require(connection, owner)
            if not policies.delete_inline(connection, owner.kind.value, owner.name, name):
                raise NotThere("policy", name)

        await self._database.write(change)

    async def attach(self, name: str, owner: Owner) -> None:
        """Attach a managed policy, which may be attached already; raises NotThere or RootProtected."""

        def change(connection: "Connection") -> None:
            _require(connection, owner)
            require_managed(connection, name)
            policies.attach(connection, name, **{owner.kind.value: owner.name})

        await self._database.write(change)

    async def detach(self, name: str, owner: Owner) -> None:
        """Take a managed policy from an owner; raises NotThere if it was not attached."""

        def change(connection: "Connection") -> None:
            _require(connection, owner)
            if not policies.detach(connection, name, **{owner.kind.value: owner.name}):
                raise NotThere("policy", name)

        await self._database.write(change)

    async def set_boundary(self, owner: Owner, name: str | None) -> None:
        """Limit a user or role to what a managed policy allows, or lift the limit; raises NotThere or RootProtected."""

        def change(connection: "Connection") -> None:
            _require(connection, owner)
            if name is not None:
                require_managed(connection, name)
            principals.change_principal(connection, owner.name, owner.kind.value, boundary=name)

        await self._database.write(change)

    async def find_version(self, name: str, version: int) -> str:
        """The document of one version of a managed policy; raises NotThere."""
        found = await self._database.read(lambda c: policies.find_policy(c, name, version))
        if found is None:
            raise NotThere("policy version", f"{version} of {name}")
        return found

    async def set_default_version(self, name: str, version: int) -> None:
        """Let another version of a managed policy count wherever it is attached; raises NotThere."""
        if not await self._database.write(lambda c: policies.set_default_version(c, name, version)):
            raise NotThere("policy version", f"{version} of {name}")

    async def delete_version(self, name: str, version: int) -> None:
        """Remove a version that does not count; raises NotThere, or VersionInUse for the one that counts."""

        def change(connection: "Connection") -> None:
            if policies.delete_version(connection, name, version):
                return
            if policies.find_policy(connection, name, version) is not None:
                raise VersionInUse(name, version)
            raise NotThere("policy version", f"{version} of {name}")

        await self._database.write(change)

    async def put_of_repository(self, repository: str, document: str) -> None:
        """Write the policy of a repository; raises PolicyInvalid, or NotThere."""
        parse_policy(document, PolicyKind.RESOURCE)
        now = self._now()
        if not await self._database.write(lambda c: policies.put_repository_policy(c, repository, document, now)):
            raise NotThere("repository", repository)

    async def delete_of_repository(self, repository: str) -> None:
        """Remove the policy of a repository; raises NotThere."""
        if not await self._database.write(lambda c: policies.delete_repository_policy(c, repository)):
            raise NotThere("repository policy of", repository)

    async def put_of_registry(self, document: str) -> None:
        """Write the policy of the registry with all its repositories; raises PolicyInvalid."""
        parse_policy(document, PolicyKind.REGISTRY)
        now = self._now()
        await self._database.write(lambda c: policies.put_registry_policy(c, document, now))

    async def delete_of_registry(self) -> None:
        """Remove the policy of the registry; raises NotThere."""
        if not await self._database.write(policies.delete_registry_policy):
            raise NotThere("policy of", "the registry")


def owned_by(connection: "Connection", owner: Owner) -> OwnedPolicies:
    """What belongs to an owner itself, as it is in this transaction; raises NotThere."""
    boundary = _require(connection, owner, to_change=False)
    return OwnedPolicies(
        policies.list_inline(connection, owner.kind.value, owner.name),
        policies.attached_to(connection, **{owner.kind.value: owner.name}),
        boundary,
    )


def _require(connection: "Connection", owner: Owner, *, to_change: bool = True) -> str | None:
    """Make sure that an owner is there; returns the name of its boundary."""
    if owner.kind is OwnerKind.GROUP:
        if not groups.is_group(connection, owner.name):
            raise NotThere("group", owner.name)
        return None
    look_up = principals.find_principal if owner.kind is OwnerKind.USER else principals.find_role
    found = look_up(connection, owner.name)
    if found is None:
        raise NotThere(owner.kind.value, owner.name)
    if to_change and found.kind == PrincipalKind.ROOT.value:
        raise RootProtected(owner.name)
    return found.boundary


def require_managed(connection: "Connection", name: str) -> str:
    """The document of a managed policy that counts in this transaction; raises NotThere."""
    found = policies.find_policy(connection, name)
    if found is None:
        raise NotThere("policy", name)
    return found
