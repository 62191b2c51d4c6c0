"""What the operations of the admin API work with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from auth.access_keys import AccessKeys
from auth.accounts import Accounts
from auth.authorizer import Authorizer
from auth.identity_providers import IdentityProviders
from auth.last_use import LastUse
from auth.passwords import Passwords
from auth.policy_documents import PolicyDocuments
from auth.revocations import Revocations
from auth.role_sessions import RoleSessions
from auth.roles import Roles
from auth.signing_keys import SigningKeys
from auth.stored_tokens import StoredTokens
from auth.tokens import TokenIssuer
from registry.core.audit_history import AuditHistory
from registry.core.domains import EncryptionDomains
from registry.core.repositories import Repositories
from registry.core.root_rotation import RootRotation, Turn
from storage.metadata.database import Database
from storage.metadata.last_use import LastUsed
from storage.roots.interface import RootKeys


@dataclass(frozen=True)
class Services:
    """The registry as an administrator sees it, in a server or in a command."""

    account_id: str
    secrets_key: bytes
    database: Database
    activity: Database
    passwords: Passwords
    authorizer: Authorizer
    issuer: TokenIssuer
    role_sessions: RoleSessions
    audit_history: AuditHistory
    settings: Sequence[Mapping[str, object]]
    now: Callable[[], float]
    page: int
    refresh_ttl_seconds: int
    registry_id: str
    roots: RootKeys
    turn: Turn
    encrypts: bool

    def on(self, database: Database) -> "Services":
        """The same, with every change made through another database."""
        return replace(self, database=database)

    async def last_uses(self, credentials: Sequence[str]) -> dict[str, LastUsed]:
        """When credentials were used last, and from where; those that never were are left out."""
        return await LastUse(self.activity, self.now).of(credentials)

    @cached_property
    def accounts(self) -> Accounts:
        """Users, groups and roles."""
        return Accounts(self.database, self.account_id, self.passwords, self.now)

    @cached_property
    def access_keys(self) -> AccessKeys:
        """Access keys."""
        return AccessKeys(self.database, self.secrets_key, self.now)

    @cached_property
    def stored_tokens(self) -> StoredTokens:
        """Service tokens."""
        return StoredTokens(self.database, self.refresh_ttl_seconds, self.now)

    @cached_property
    def revocations(self) -> Revocations:
        """Signed tokens that were taken back."""
        return Revocations(self.database, self.now)

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """The keys that sign tokens."""
        return SigningKeys(self.database, self.secrets_key, self.now)

    @cached_property
    def domains(self) -> EncryptionDomains:
        """Encryption domains."""
        return EncryptionDomains(self.database, self.roots, self.registry_id, self.now, seals=self.encrypts)

    @cached_property
    def root_rotation(self) -> RootRotation:
        """The root key taking turns."""
        return RootRotation(self.database, self.roots, self.registry_id)

    @cached_property
    def policies(self) -> PolicyDocuments:
        """Policies of all kinds."""
        return PolicyDocuments(self.database, self.now)

    @cached_property
    def roles(self) -> Roles:
        """What can be changed about roles."""
        return Roles(self.database, self.now)

    @cached_property
    def identity_providers(self) -> IdentityProviders:
        """Issuers of identity tokens."""
        return IdentityProviders(self.database, self.now)

    @cached_property
    def repositories(self) -> Repositories:
        """Repositories."""
        return Repositories(self.database, most=self.page)
