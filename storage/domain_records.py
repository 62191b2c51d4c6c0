"""What is recorded of the keys of encryption domains, and where whoever unwraps them looks it up."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from storage.errors import DomainUnusable

DEFAULT_DOMAIN: Final = "AES256"
"""The domain of repositories that name none; its keys are wrapped by the root key."""
MANAGED_DOMAIN: Final = "alias/aws/ecr"
"""The domain of repositories that want a KMS key and name none, called as ECR's own is; wrapped by the root key."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One version of a domain's key, and what becomes of the domain; times are in seconds since the epoch.

    `domain_id` is what headers of sealed objects name the domain by; `root` names what wraps the key; `wrapped` is None
    once it was destroyed.
    """

    domain: str
    domain_id: bytes
    version: int
    root: str
    wrapped: bytes | None = field(repr=False)
    created_at: float
    kms_key: str | None = None
    destroy_at: float | None = None
    destroyed_at: float | None = None


def is_usable(key: StoredKey) -> bool:
    """Whether the domain of a key is in use."""
    return key.wrapped is not None and key.destroy_at is None and key.destroyed_at is None


def require_usable(key: StoredKey) -> bytes:
    """The wrapped key of a domain that is in use; raises DomainUnusable."""
    if key.destroyed_at is not None or key.wrapped is None:
        raise DomainUnusable(key.domain, "were destroyed: what it held cannot be read any more")
    if key.destroy_at is not None:
        raise DomainUnusable(key.domain, "wait for their destruction: whoever runs the registry can still cancel that")
    return key.wrapped


class KeyRecords(Protocol):
    """The keys of all domains as they are recorded at the moment of asking."""

    async def newest(self, domain: str) -> StoredKey | None:
        """The highest version of a domain's key, None for a domain that there is not."""

    async def find(self, domain_id: bytes, version: int) -> StoredKey | None:
        """A version of a domain's key, None where there is none such."""
