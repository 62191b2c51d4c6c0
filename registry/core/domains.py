"""Encryption domains: made when a repository first names them, with keys that take turns and can be destroyed.

- Repositories of a domain share stored bytes and keys; a repository never changes its domain.
- Every key is wrapped before it is recorded, and recorded only if the root key was not rotated in between: a rotation
  never leaves a key behind.
- Destroying takes two steps with a waiting time between; from the first on, the domain is unusable (as in AWS KMS).
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from registry.core.errors import (
    DestructionRefused,
    DestructionTooEarly,
    DomainProtected,
    DomainUnknown,
    EncryptionInvalid,
)
from registry.core.names import RepositoryName
from storage.domain_records import DEFAULT_DOMAIN, MANAGED_DOMAIN, StoredKey, require_usable
from storage.encryption.contexts import domain_key_context
from storage.errors import KeyUnavailable
from storage.metadata import domain_keys, reencryption, repositories
from storage.metadata.database import Database, Forgetful
from storage.metadata.domain_keys import NewKey, Sealed, StoredDomain
from storage.metadata.secrets_key import read_secrets_key
from storage.roots.interface import RootKeys

KEY_BYTES: Final = 32
ID_BYTES: Final = 16
DEFAULT_WAIT_SECONDS: Final = 7 * 86_400
LEAST_WAIT_SECONDS: Final = 3600
MOST_WAIT_SECONDS: Final = 30 * 86_400

_TRIES: Final = 5


class EncryptionType(StrEnum):
    """What an encryption configuration asks for, as ECR has it."""

    AES256 = "AES256"
    KMS = "KMS"


@dataclass(frozen=True, slots=True)
class Encryption:
    """The encryption configuration of a repository, which names its domain."""

    type: EncryptionType = EncryptionType.AES256
    kms_key: str | None = None

    @property
    def domain(self) -> str:
        """The domain that it names; raises EncryptionInvalid."""
        if self.type is EncryptionType.KMS:
            if self.kms_key == DEFAULT_DOMAIN:
                raise EncryptionInvalid(f"{DEFAULT_DOMAIN} is no KMS key: give the id, alias or ARN of one")
            return self.kms_key or MANAGED_DOMAIN
        if self.kms_key is not None:
            raise EncryptionInvalid("a KMS key goes with the encryption type KMS: give that, or leave the key out")
        return DEFAULT_DOMAIN

    @classmethod
    def of(cls, domain: str) -> "Encryption":
        """The configuration that names a domain."""
        return cls() if domain == DEFAULT_DOMAIN else cls(EncryptionType.KMS, domain)


class KeyState(StrEnum):
    """What a version of a domain's key is for."""

    CURRENT = "current"
    RETIRED = "retired"
    PENDING = "pending destruction"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A version of a domain's key: what it is for, and what wraps it."""

    domain: str
    version: int
    state: KeyState
    created_at: float
    root: str


class EncryptionDomains:
    """The domains of a registry; where it `seals` nothing, new content belongs to none of them."""

    def __init__(
        self,
        database: Database,
        roots: RootKeys,
        registry_id: str,
        now: Callable[[], float],
        *,
        seals: bool = True,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._roots = roots
        self._registry_id = registry_id
        self._now = now
        self._seals = seals
        self._random_bytes = random_bytes

    async def found(self) -> None:
        """Make the default domain where there is none; several processes may do so at once."""
        await self.make(Encryption())

    async def make(self, encryption: Encryption) -> str:
        """The domain that a configuration names, made with its first key where nobody named it before.

        Raises EncryptionInvalid, DomainUnusable, KeyUnavailable or KeyFileInvalid.
        """
        name = encryption.domain
        newest = await self._database.read(lambda c: domain_keys.newest_key(c, name))
        if newest is not None:
            require_usable(newest)
            return name
        kms_key = None if name in {DEFAULT_DOMAIN, MANAGED_DOMAIN} else name
        domain = StoredDomain(name, self._random_bytes(ID_BYTES), kms_key, self._now())

        def change(connection: Connection, key: NewKey) -> None:
            if domain_keys.add_domain(connection, domain):
                domain_keys.add_key(connection, key, domain.created_at)

        await self._record(domain, 1, change)
        return name

    async def of(self, repository: RepositoryName) -> str:
        """The domain that new content of a repository is sealed in: none (`""`) where the registry seals nothing.

        A repository that is not there yet would be one of the default domain.
        """
        if not self._seals:
            return ""
        return await self._database.read(lambda c: repositories.domain_of(c, repository.text)) or DEFAULT_DOMAIN

    async def rotate(self, name: str, *, reencrypt: bool = False) -> ListedKey:
        """Make a version of a domain's key that seals from the next push on; what is sealed stays readable.

        With `reencrypt`, a server is asked to rewrite what that does not seal. Raises DomainUnknown, DomainUnusable,
        KeyUnavailable, KeyFileInvalid, or EncryptionInvalid where nothing is to be encrypted.
        """
        if reencrypt and not self._seals:
            raise EncryptionInvalid("encryption.mode is off: nothing is encrypted, so there is nothing to re-encrypt")
        newest = await self._newest(name)
        require_usable(newest)
        domain = StoredDomain(name, newest.domain_id, newest.kms_key, newest.created_at)
        now = self._now()

        def change(connection: Connection, key: NewKey) -> None:
            domain_keys.find_domain(connection, name, hold=True)
            require_usable(_found(name, domain_keys.newest_key(connection, name)))
            domain_keys.add_key(connection, key, now)  # of two who rotate at once, one does for both
            if reencrypt:
                reencryption.request(connection, name)

        await self._record(domain, newest.version + 1, change)
        return (await self.keys(name))[-1]

    async def keys(self, name: str | None = None) -> list[ListedKey]:
        """Every version of every domain's key, or of one domain's, by name and version; raises DomainUnknown."""
        found = await self._database.scan(lambda c: domain_keys.list_keys(c, name))
        if name is not None and not found:
            raise DomainUnknown(name)
        return _listed(found)

    async def sealed(self, name: str) -> list[Sealed]:
        """How much is sealed with each version of a domain's key; version 0 is what is plain in its repositories."""
        return await self._database.scan(lambda c: domain_keys.count_sealed(c, name))

    async def domain(self, name: str) -> StoredDomain:
        """A domain; raises DomainUnknown."""
        return await self._database.read(lambda c: _required(c, name))

    async def destroy(self, name: str, after_seconds: float | None = None) -> StoredDomain:
        """Plan the destruction of a domain's keys or, once the waiting time is over, destroy them for ever.

        From the first step on nothing in the domain can be read or written. Raises DomainUnknown, DomainProtected, or
        DestructionRefused: for a wait of less than an hour or more than 30 days, and before its end.
        """
        wait = DEFAULT_WAIT_SECONDS if after_seconds is None else after_seconds
        if not LEAST_WAIT_SECONDS <= wait <= MOST_WAIT_SECONDS:
            raise DestructionRefused(f"keys are destroyed after {LEAST_WAIT_SECONDS} to {MOST_WAIT_SECONDS} seconds")
        now = self._now()

        def change(connection: Connection) -> StoredDomain:
            if name == DEFAULT_DOMAIN:
                raise DomainProtected(name)
            domain = _kept(connection, name)
            if domain.destroy_at is None:
                domain_keys.plan_destruction(connection, name, now + wait)
                return replace(domain, destroy_at=now + wait)
            if after_seconds is not None:
                raise DestructionRefused(
                    f"the destruction of {name} is planned already: to choose another time, call it off first with "
                    f"`lading encryption destroy {name} --cancel`"
                )
            if now < domain.destroy_at:
                raise DestructionTooEarly(name, domain.destroy_at)
            domain_keys.destroy_keys(connection, name, now)
            return replace(domain, destroyed_at=now)

        changed = await self._database.write(change)
        if changed.destroyed_at is not None and isinstance(self._database, Forgetful):
            await self._database.forget()
        return changed

    async def keep(self, name: str) -> StoredDomain:
        """Have a domain that was to be destroyed in use again; raises DomainUnknown, or DestructionRefused."""

        def change(connection: Connection) -> StoredDomain:
            domain = _kept(connection, name)
            if domain.destroy_at is not None:
                domain_keys.plan_destruction(connection, name, None)
            return replace(domain, destroy_at=None)

        return await self._database.write(change)

    async def _newest(self, name: str) -> StoredKey:
        return _found(name, await self._database.read(lambda c: domain_keys.newest_key(c, name)))

    async def _record(self, domain: StoredDomain, version: int, change: Callable[[Connection, NewKey], None]) -> None:
        """Draw a key and record it, wrapped by a root key that still counts when it is."""
        secret = self._random_bytes(KEY_BYTES)
        for _ in range(_TRIES):
            if await self._record_once(domain, version, secret, change):
                return
        raise KeyUnavailable("the root key is being rotated: try again in a moment")

    async def _record_once(
        self, domain: StoredDomain, version: int, secret: bytes, change: Callable[[Connection, NewKey], None]
    ) -> bool:
        seen = await self._database.read(read_secrets_key)
        context = domain_key_context(self._registry_id, domain.name, version)
        wrapped = await self._roots.wrap(secret, context, kms_key=domain.kms_key)

        def write(connection: Connection) -> bool:
            if read_secrets_key(connection, hold=True) != seen:
                return False
            change(connection, NewKey(domain.name, version, wrapped.root, wrapped.secret))
            return True

        return await self._database.write(write)


def _listed(keys: Iterable[StoredKey]) -> list[ListedKey]:
    found = list(keys)
    newest = {key.domain: key.version for key in found}  # they come by version
    return [
        ListedKey(key.domain, key.version, _state(key, newest[key.domain]), key.created_at, key.root) for key in found
    ]


def _state(key: StoredKey, newest: int) -> KeyState:
    if key.destroyed_at is not None:
        return KeyState.DESTROYED
    if key.destroy_at is not None:
        return KeyState.PENDING
    return KeyState.CURRENT if key.version == newest else KeyState.RETIRED


def _found(name: str, key: StoredKey | None) -> StoredKey:
    if key is None:
        raise DomainUnknown(name)
    return key


def _required(connection: Connection, name: str, *, hold: bool = False) -> StoredDomain:
    domain = domain_keys.find_domain(connection, name, hold=hold)
    if domain is None:
        raise DomainUnknown(name)
    return domain


def _kept(connection: Connection, name: str) -> StoredDomain:
    """A domain whose keys are there, held for the rest of the transaction."""
    domain = _required(connection, name, hold=True)
    if domain.destroyed_at is not None:
        raise DestructionRefused(f"the keys of the encryption domain {name} were destroyed: nothing is left to do")
    return domain
