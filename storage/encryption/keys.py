"""The keys of encryption domains, as who seals and opens sees them."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DomainKey:
    """One version of a domain's key: `id` has 16 bytes, `secret` 32."""

    domain: str
    id: bytes
    version: int
    secret: bytes = field(repr=False)


class DomainKeys(Protocol):
    """The keys of all domains.

    Both methods raise KeyUnavailable while a key cannot be had, and DomainUnusable for a domain whose keys are being
    destroyed, or were.
    """

    async def current(self, domain: str) -> DomainKey:
        """The key to seal with in a domain."""

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        """The key that an object was sealed with; raises WrongKey where there is none such."""
