"""What this door answers where it arrives: manifests, small blobs, and whether there is a blob."""

from functools import lru_cache, partial
from typing import Final

from registry.core.blobs import Blobs
from registry.core.images import Images
from registry.core.names import RepositoryName
from registry.http.access import about_reference
from registry.http.shortcuts import Read, Ready
from registry.http.transfers import SMALL_BYTES, Source
from registry.oci.blobs import headers_of as headers_of_blob
from registry.oci.manifests import headers_of as headers_of_manifest
from registry.oci.routes import LOOK_FOR_BLOB, PULL, READ_BLOB
from registry.oci.services import Services
from storage.blobs.interface import Span
from storage.digest import Digest

_MOST_KNOWN: Final = 4096
_digest = lru_cache(_MOST_KNOWN)(Digest.parse)


def reads(services: Services) -> tuple[Read, ...]:
    """The rows of this door's table that are asked most, as shortcuts take them."""
    pull, ask = partial(_manifest, services.images, whole=True), partial(_manifest, services.images, whole=False)
    return (
        Read("GET", "manifests", PULL, pull, about_reference),
        Read("HEAD", "manifests", PULL, ask, about_reference),
        Read("GET", "blobs", READ_BLOB, _SmallBlobs(services.blobs).read),
        Read("HEAD", "blobs", LOOK_FOR_BLOB, partial(_look_for_blob, services.blobs)),
    )


async def _manifest(
    images: Images, repository: RepositoryName, reference: str, generation: int, *, whole: bool
) -> Ready | None:
    found = await images.find_while(repository, reference, generation)
    if found is None or len(found.payload) > SMALL_BYTES:
        return None
    return Ready(headers_of_manifest(found), found.digest, len(found.payload), found.payload if whole else b"")


async def _look_for_blob(blobs: Blobs, repository: RepositoryName, reference: str, generation: int) -> Ready | None:
    digest = _digest(reference)
    found = await blobs.find_while(repository, digest, generation)
    if found is None or not blobs.vouch_now(found):
        return None
    return Ready(headers_of_blob(digest), reference, found.size)


class _SmallBlobs:
    """Blobs that are read on the event loop; large ones are known by their digests, so that nobody looks in vain."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._large: dict[str, None] = {}

    async def read(self, repository: RepositoryName, reference: str, generation: int) -> Ready | None:
        """The answer to a plain pull of a blob."""
        if reference in self._large:
            return None
        digest = _digest(reference)
        found = await self._blobs.find_while(repository, digest, generation)
        if found is not None and found.size > SMALL_BYTES:
            self._remember(reference)
            return None
        reader = None if found is None else await self._blobs.reader_now(found)
        if found is None or reader is None:
            return None
        try:
            content = Source(reader).whole(Span(0, found.size))
        finally:
            reader.close()
        return Ready(headers_of_blob(digest), reference, found.size, content)

    def _remember(self, reference: str) -> None:
        if len(self._large) >= _MOST_KNOWN:
            self._large.clear()
        self._large[reference] = None
