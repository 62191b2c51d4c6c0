"""Manifests as they lie in the database: sealed in the domain of their repository, their annotations too.

What is sealed is bound to its manifest: the payload by its digest in the trailer, the annotations by the digest that
they begin with. So nothing opens in another one's place.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from registry.core.names import RepositoryName
from registry.core.places import DomainOf
from storage.digest import Digest
from storage.encryption.keys import DomainKey, DomainKeys
from storage.encryption.whole import key_of, open_whole, seal_whole
from storage.errors import SealBroken
from storage.metadata.manifests import NewManifest
from storage.metadata.reencryption import Resealed, StaleManifest

Result = TypeVar("Result")

# Measured: sealing or opening and hashing 256 KiB takes 0.3 ms.
_ON_LOOP_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ManifestSeals:
    """Seals and opens manifests; without `keys` nothing is sealed, and nothing sealed is there."""

    keys: DomainKeys | None = None
    domains: DomainOf | None = None

    async def seal(self, repository: RepositoryName, new: NewManifest) -> NewManifest:
        """A manifest as it is to be recorded; raises KeyUnavailable or DomainUnusable."""
        domain = "" if self.domains is None else await self.domains.of(repository)
        if self.keys is None or not domain:
            return new
        key = await self.keys.current(domain)
        payload, annotations = await _run(
            len(new.payload), lambda: _sealed(key, new.digest, new.payload, new.annotations)
        )
        return replace(new, payload=payload, annotations=annotations, domain=key.domain, key_version=key.version)

    async def payload(self, digest: str, payload: bytes, domain: str) -> bytes:
        """The bytes of a manifest; raises SealBroken, WrongKey, KeyUnavailable or DomainUnusable."""
        if self.keys is None or not domain:
            return payload
        key = await self._key(payload, domain)
        return await _run(len(payload), lambda: open_whole(key, payload, Digest.parse(digest)))

    async def annotations(self, digest: str, annotations: str | None, domain: str) -> str | None:
        """The annotations of a manifest, a JSON object; raises what `payload` raises."""
        if self.keys is None or not domain or annotations is None:
            return annotations
        sealed = _decoded(annotations)
        key = await self._key(sealed, domain)
        bound, newline, plain = (await _run(len(sealed), lambda: open_whole(key, sealed))).partition(b"\n")
        if not newline or bound != digest.encode():
            raise SealBroken("its annotations are another manifest's")
        return plain.decode()

    async def again(self, found: StaleManifest) -> Resealed:
        """A manifest as it is to be stored where it belongs; raises DigestInvalid, and what `seal` and `payload` raise.

        Bytes that are not what their digest names are not sealed as if they were: SealBroken.
        """
        digest = Digest.parse(found.place.digest)
        payload = await self.payload(str(digest), found.payload, found.domain)
        annotations = await self.annotations(str(digest), found.annotations, found.domain)
        if not await _run(len(payload), lambda: digest.matches(payload)):
            raise SealBroken("its bytes are not what its digest names")
        if self.keys is None or not found.target:
            return Resealed(payload, annotations)
        key = await self.keys.current(found.target)
        sealed = await _run(len(payload), lambda: _sealed(key, str(digest), payload, annotations))
        return Resealed(*sealed, key.domain, key.version)

    async def require_key(self, domain: str) -> None:
        """Return if the key to seal with in a domain can be had; raises KeyUnavailable or DomainUnusable."""
        if self.keys is not None:
            await self.keys.current(domain)

    async def require_key_of(self, sealed: bytes, domain: str) -> None:
        """Return if the key that a manifest was sealed with may be used; raises as `payload` does of keys."""
        if self.keys is not None and domain:
            await self._key(sealed, domain)

    async def require_key_of_annotations(self, annotations: str | None, domain: str) -> None:
        """The same for annotations."""
        if self.keys is not None and domain and annotations is not None:
            await self._key(_decoded(annotations), domain)

    async def _key(self, sealed: bytes, domain: str) -> DomainKey:
        if self.keys is None:
            raise AssertionError  # who has no keys opens nothing
        key = await key_of(self.keys, sealed)
        if key.domain != domain:
            raise SealBroken("it is sealed in another domain")
        return key


def _decoded(annotations: str) -> bytes:
    try:
        return base64.b64decode(annotations, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealBroken("its annotations are damaged") from error


def _sealed(key: DomainKey, digest: str, payload: bytes, annotations: str | None) -> tuple[bytes, str | None]:
    if annotations is not None:
        bound = f"{digest}\n{annotations}".encode()
        annotations = base64.b64encode(seal_whole(key, bound)).decode()
    return seal_whole(key, payload, Digest.parse(digest)), annotations


async def _run(size: int, work: Callable[[], Result]) -> Result:
    """Do it here, or on a thread where it would take long."""
    return work() if size <= _ON_LOOP_BYTES else await asyncio.to_thread(work)
