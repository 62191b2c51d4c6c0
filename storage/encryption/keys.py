"""The keys of encryption domains, as who seals and opens sees them."""

from dataclasses import dataclass, field
from typing import Final, Protocol

_ID_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_VERSIONS: Final = range(1, 1 << 32)


@dataclass(frozen=True, slots=True)
class DomainKey:
    """One version of a domain's key: `id` has 16 bytes, `secret` 32, versions count from 1; else ValueError."""

    domain: str
    id: bytes
    version: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        # A header would cut or fill an id of another length, and keys are derived from secrets of any: of none, too.
        if len(self.id) != _ID_BYTES or len(self.secret) != _SECRET_BYTES or self.version not in _VERSIONS:
            raise ValueError(f"not a key of an encryption domain: version {self.version} of {self.domain}")


class DomainKeys(Protocol):
    """The keys of all domains.

    Both methods raise KeyUnavailable while a key cannot be had, and DomainUnusable for a domain whose keys are being
    destroyed, or were.
    """

    async def current(self, domain: str) -> DomainKey:
        """The key to seal with in a domain."""

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        """The key that an object was sealed with; raises WrongKey where there is none such."""
