"""Who there is and which policies apply to them: read from the database, compiled, and kept by this process.

- What is kept is valid only while the database's generation has not moved; every request asks for it first, once.
- What is read after a change was seen is never kept as what was there before it.
- A stored policy that cannot be read stops whatever it bears on: a Deny that it may hold must not be lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, TypeVar

from auth.errors import StoredPolicyInvalid
from auth.identity_providers import IdentityProvider
from auth.key_ring import KeyRing
from auth.policy.document import Policy, PolicyKind
from auth.policy.evaluation import NamedPolicy
from auth.policy.findings import PolicyInvalid
from auth.policy.parsing import parse_policy
from auth.principals import Principal, PrincipalKind, Session
from auth.sealing import Seal
from auth.tags import read_tags
from storage.metadata.access_keys import StoredAccessKey, find_access_key
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.identity_providers import find_provider_of
from storage.metadata.policies import (
    NamedDocument,
    RepositoryRules,
    boundary_of,
    find_registry_policy,
    find_repository_rules,
    policies_of,
)
from storage.metadata.principals import StoredPrincipal, find_principal, find_role
from storage.metadata.remembered import Remembered
from storage.metadata.revoked_tokens import is_token_revoked
from storage.metadata.stored_tokens import StoredToken, find_stored_token
from storage.names import is_repository_name

if TYPE_CHECKING:
    from sqlalchemy import Connection

    FindPrincipal = Callable[[Connection, str], StoredPrincipal | None]

ACCESS_KEYS: Final = "access-key"
"""What the secrets of access keys are sealed for."""

_TYPES: Final = {
    PrincipalKind.ROOT: "Account",
    PrincipalKind.USER: "User",
    PrincipalKind.ROLE: "AssumedRole",
}
"""The values of `aws:PrincipalType` (IAM User Guide, "AWS global condition context keys")."""

TRUST_POLICY_OF: Final = "trust/"
"""How the name of a role's trust policy begins."""

T = TypeVar("T")

_COMPILED_POLICIES = 4096
_MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class User:
    """A user, the root user or a role, with everything that decides what it may do.

    Its tokens dated before `valid_after`, in seconds since the epoch, were revoked; `facts` are the condition keys that
    tell of it. A role has a trust policy, and is assumed for `max_session_seconds` at most.
    """

    principal: Principal
    password_hash: str | None = field(repr=False)
    is_disabled: bool
    valid_after: float
    facts: dict[str, str]
    policies: tuple[NamedPolicy, ...]
    boundary: NamedPolicy | None
    trust_policy: str | None
    max_session_seconds: int


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key, its secret opened."""

    id: str
    user: str
    secret: bytes = field(repr=False)
    is_active: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about a repository: its policy, None where it has none, and the condition keys that tell of it."""

    policy: NamedPolicy | None
    facts: Mapping[str, str]

    def __bool__(self) -> bool:
        """Whether there is anything that could decide."""
        return self.policy is not None or bool(self.facts)


NO_RULES: Final = Rules(None, {})


@dataclass(slots=True)
class _Kept:
    """What was read while the database was at one generation."""

    generation: int
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, User] = field(default_factory=dict)
    access_keys: dict[str, AccessKey] = field(default_factory=dict)
    stored_tokens: dict[str, StoredToken] = field(default_factory=dict)
    revoked: dict[str, bool] = field(default_factory=dict)
    repositories: dict[str, Rules] = field(default_factory=dict)
    registry: tuple[NamedPolicy | None] | None = None
    providers: dict[str, IdentityProvider] = field(default_factory=dict)


class Directory:
    """Principals and policies as of the newest generation that this process has heard of."""

    def __init__(self, database: Database, secrets_key: bytes, ring: KeyRing | None = None) -> None:
        self.database = database
        self._generation = Remembered[None, int](database, lambda connection, _: current_generation(connection))
        self._secrets_key = secrets_key
        self._ring = ring
        self._seal = Seal(secrets_key, ACCESS_KEYS)
        self._kept = _Kept(-1)
        # The text of most policies outlives a generation, and reading one costs more than all else here.
        self._compile: Callable[[str, PolicyKind], Policy] = lru_cache(_COMPILED_POLICIES)(parse_policy)

    async def refresh(self) -> None:
        """Forget everything if anything has changed; whoever decides a request calls this first.

        The signing keys are read again before this returns: a token is verified by the newest keys.
        """
        generation = await self._generation.read(None)
        if generation != self._kept.generation:
            if self._ring is not None:
                await self._ring.reload(self.database, self._secrets_key)
            self._kept = _Kept(generation)

    async def is_current(self) -> bool:
        """Whether nothing has changed since `refresh`."""
        return await self._generation.read(None) == self._kept.generation

    @property
    def generation(self) -> int:
        """The generation that everything here is of."""
        return self._kept.generation

    @property
    def edition(self) -> object:
        """Another object after anything has changed, the same as long as nothing has."""
        return self._kept

    async def user(self, name: str) -> User | None:
        """The user of this name, the root user included."""
        return await self._known(self._kept.users, find_principal, name)

    async def role(self, name: str) -> User | None:
        """The role of this name."""
        return await self._known(self._kept.roles, find_role, name)

    async def access_key(self, key_id: str) -> AccessKey | None:
        """The access key of this id, whatever its state."""
        kept = self._kept
        known = kept.access_keys.get(key_id)
        if known is None:
            found = await self.database.read(partial(find_access_key, id=key_id))
            if found is None:
                return None
            known = self._access_key(found)
            _keep(kept.access_keys, key_id, known)
        return known

    async def stored_token(self, token_id: str) -> StoredToken | None:
        """The refresh or service token of this id, expired or not."""
        kept = self._kept
        known = kept.stored_tokens.get(token_id)
        if known is None:
            known = await self.database.read(partial(find_stored_token, id=token_id))
            if known is not None:
                _keep(kept.stored_tokens, token_id, known)
        return known

    async def is_revoked(self, token_id: str) -> bool:
        """Whether the signed token of this id was taken back."""
        kept = self._kept
        known = kept.revoked.get(token_id)
        if known is None:
            known = await self.database.read(partial(is_token_revoked, id=token_id))
            _keep(kept.revoked, token_id, known)
        return known

    async def repository(self, name: str) -> Rules:
        """The policy and the facts of a repository; neither where it is not there."""
        kept = self._kept.repositories
        if name in kept:
            return kept[name]
        # A path names anything, at any length, and is decided on before it is read.
        return (await self.repositories((name,)))[name] if is_repository_name(name) else NO_RULES

    async def repositories(self, names: Sequence[str]) -> dict[str, Rules]:
        """The policies and facts of several repositories, read with one query."""
        kept = self._kept.repositories
        rules = {name: kept[name] for name in names if name in kept}
        missing = [name for name in names if name not in rules]
        if not missing:
            return rules
        found = await self.database.read(partial(find_repository_rules, names=missing))
        for name in missing:
            rules[name] = self._rules(name, found.get(name))
            _keep(kept, name, rules[name])
        return rules

    async def registry_policy(self) -> NamedPolicy | None:
        """The policy of the registry with all its repositories."""
        kept = self._kept
        if kept.registry is None:
            document = await self.database.read(find_registry_policy)
            kept.registry = (self._named("registry", document, PolicyKind.REGISTRY),)
        return kept.registry[0]

    async def identity_provider(self, issuer: str) -> IdentityProvider | None:
        """The identity provider whose tokens name this issuer."""
        kept = self._kept.providers
        known = kept.get(issuer)
        if known is None:
            found = await self.database.read(partial(find_provider_of, issuer=issuer))
            if found is None:
                return None
            known = IdentityProvider.of_row(found)
            _keep(kept, issuer, known)
        return known

    def trust_policy(self, role: User) -> NamedPolicy | None:
        """Who may assume a role; None for what is no role, which nobody may."""
        name = role.principal.name
        return self._named(f"{TRUST_POLICY_OF}{name}", role.trust_policy, PolicyKind.TRUST)

    def session_policies(self, session: Session | None) -> tuple[NamedPolicy, ...]:
        """The policies that limit a session, ready to be asked."""
        if session is None:
            return ()
        named = (self._named("session", document, PolicyKind.IDENTITY) for document in session.policies)
        return tuple(filter(None, named))

    async def _known(self, kept: dict[str, User], find: "FindPrincipal", name: str) -> User | None:
        known = kept.get(name)
        if known is None:
            found = await self.database.read(partial(_read_user, find=find, name=name))
            if found is None:
                return None
            known = self._user(*found)
            _keep(kept, name, known)
        return known

    def _user(
        self, stored: StoredPrincipal, documents: Iterable[NamedDocument], boundary: NamedDocument | None
    ) -> User:
        named = (self._named(each.name, each.document, PolicyKind.IDENTITY) for each in documents)
        principal = Principal(stored.account_id, stored.name, PrincipalKind(stored.kind))
        return User(
            principal=principal,
            password_hash=stored.password_hash,
            is_disabled=stored.is_disabled,
            valid_after=stored.valid_after,
            facts=principal_facts(principal, read_tags(stored.tags)),
            policies=tuple(filter(None, named)),
            boundary=None if boundary is None else self._named(boundary.name, boundary.document, PolicyKind.IDENTITY),
            trust_policy=stored.trust_policy,
            max_session_seconds=stored.max_session_seconds,
        )

    def _rules(self, name: str, stored: RepositoryRules | None) -> Rules:
        if stored is None:
            return NO_RULES
        facts = {
            f"{service}:ResourceTag/{key}": value
            for key, value in read_tags(stored.tags).items()
            for service in ("aws", "ecr")
        }
        return Rules(self._named(f"repository/{name}", stored.document, PolicyKind.RESOURCE), facts)

    def _access_key(self, stored: StoredAccessKey) -> AccessKey:
        secret = self._seal.open(stored.id, stored.sealed_secret)
        return AccessKey(stored.id, stored.principal, secret, stored.is_active)

    def _named(self, name: str, document: str | None, kind: PolicyKind) -> NamedPolicy | None:
        if document is None:
            return None
        try:
            return NamedPolicy(name, self._compile(document, kind))
        except PolicyInvalid as error:
            raise StoredPolicyInvalid(name) from error


def principal_facts(principal: Principal, tags: Mapping[str, str]) -> dict[str, str]:
    """The condition keys that tell of a principal in every request it makes."""
    is_role = principal.kind is PrincipalKind.ROLE
    arn = principal.role_arn if is_role else principal.arn
    facts = {
        "aws:PrincipalArn": arn,
        "aws:PrincipalAccount": principal.account_id,
        "aws:PrincipalType": _TYPES[principal.kind],
    }
    if principal.kind is PrincipalKind.USER:
        facts["aws:username"] = principal.name
    return facts | {f"aws:PrincipalTag/{name}": value for name, value in tags.items()}


def _read_user(
    connection: "Connection", find: "FindPrincipal", name: str
) -> tuple[StoredPrincipal, list[NamedDocument], NamedDocument | None] | None:
    stored = find(connection, name)
    if stored is None:
        return None
    return stored, policies_of(connection, stored.id), boundary_of(connection, stored.id)


def _keep(kept: dict[str, T], name: str, value: T) -> None:
    """Keep within a bound: names of repositories come from outside."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[name] = value
