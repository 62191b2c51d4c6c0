"""Where the bytes of a registry are kept: sealed in the domain of their repository, or plain."""

from dataclasses import dataclass
from typing import Protocol

from registry.core.names import RepositoryName
from storage.blobs.interface import BlobStore, Domains


class SealingStore(BlobStore, Domains, Protocol):
    """A store that seals what is staged in a domain, and reads what is sealed in any."""


class DomainOf(Protocol):
    """Who knows the encryption domain that new content of a repository belongs to."""

    async def of(self, repository: RepositoryName) -> str:
        """The domain; `""` where nothing is sealed."""


@dataclass(frozen=True, slots=True)
class Places:
    """The stores of a registry: one for plain bytes and, around it, one for those that are sealed."""

    plain: BlobStore
    sealed: SealingStore | None = None
    domains: DomainOf | None = None

    @property
    def every(self) -> BlobStore:
        """The store that finds whatever is staged or stored."""
        return self.sealed or self.plain

    def holding(self, domain: str) -> BlobStore:
        """The store that reads the copies of a domain."""
        return self.sealed if domain and self.sealed is not None else self.plain

    def staging(self, domain: str) -> BlobStore:
        """The store whose staged bytes become copies of a domain."""
        return self.plain if self.sealed is None else self.sealed.within(domain)

    async def domain_of(self, repository: RepositoryName) -> str:
        """The domain that new content of a repository belongs to."""
        return "" if self.domains is None or self.sealed is None else await self.domains.of(repository)
