"""What this door answers where it arrives: manifests, small blobs, whether there is a blob, and short lists."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache, partial
from typing import Any, Final

from registry.core.blobs import Blobs
from registry.core.images import Images
from registry.http.access import about_reference
from registry.http.reads import Asked, Asker, Read, Ready
from registry.http.transfers import SMALL_BYTES, Source
from registry.oci.blobs import headers_of as headers_of_blob
from registry.oci.catalog import listed_repositories
from registry.oci.manifests import headers_of as headers_of_manifest
from registry.oci.referrers import listed_referrers
from registry.oci.routes import CATALOG, LIST_TAGS, LOOK_FOR_BLOB, PULL, READ_BLOB
from registry.oci.services import Services
from registry.oci.tags import listed_tags
from storage.blobs.interface import Span
from storage.digest import Digest

_MOST_KNOWN: Final = 4096
_digest = lru_cache(_MOST_KNOWN)(Digest.parse)


def reads(services: Services) -> tuple[Read, ...]:
    """The rows of this door's table that are asked most, as shortcuts take them."""
    images, blobs, repositories = services.images, services.blobs, services.repositories
    pull, ask = partial(_manifest, images, whole=True), partial(_manifest, images, whole=False)
    return (
        Read("GET", "manifests", PULL, pull, about_reference, is_pull=True),
        Read("HEAD", "manifests", PULL, ask, about_reference),
        Read("GET", "blobs", READ_BLOB, _SmallBlobs(blobs).read, is_pull=True),
        Read("HEAD", "blobs", LOOK_FOR_BLOB, partial(_look_for_blob, blobs)),
        Read("GET", "tags", LIST_TAGS, _list(lambda asked, _: listed_tags(images, asked), "list")),
        Read("GET", "referrers", PULL, _list(lambda asked, _: listed_referrers(images, asked))),
        Read(
            "GET", "_catalog", CATALOG, _list(lambda asked, asker: listed_repositories(repositories, asked, asker.sees))
        ),
    )


def _list(
    answer: Callable[[Asked, Asker], Awaitable[Ready]], reference: str | None = None
) -> Callable[[Asked, Asker], Coroutine[Any, Any, Ready | None]]:
    """A list that is read after it was seen that whoever asks still may; with one reference only, if one is given."""

    async def find(asked: Asked, asker: Asker) -> Ready | None:
        if reference not in {None, asked.reference} or not await asker.is_current():
            return None
        return await answer(asked, asker)

    return find


async def _manifest(images: Images, asked: Asked, asker: Asker, *, whole: bool) -> Ready | None:
    found = await images.find_while(asked.name, asked.reference, asker.generation)
    if found is None or len(found.payload) > SMALL_BYTES:
        return None
    body = found.payload if whole else b""
    return Ready(headers_of_manifest(found), len(found.payload), body, found.digest)


async def _look_for_blob(blobs: Blobs, asked: Asked, asker: Asker) -> Ready | None:
    digest = _digest(asked.reference)
    found = await blobs.find_while(asked.name, digest, asker.generation)
    if found is None or not blobs.vouch_now(found):
        return None
    return Ready(headers_of_blob(digest), found.size)


class _SmallBlobs:
    """Blobs that are read on the event loop; large ones are known by their digests, so that nobody looks in vain."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._large: dict[str, None] = {}

    async def read(self, asked: Asked, asker: Asker) -> Ready | None:
        """The answer to a plain pull of a blob."""
        if asked.reference in self._large:
            return None
        digest = _digest(asked.reference)
        found = await self._blobs.find_while(asked.name, digest, asker.generation)
        if found is not None and found.size > SMALL_BYTES:
            self._remember(asked.reference)
            return None
        reader = None if found is None else await self._blobs.reader_now(found)
        if found is None or reader is None:
            return None
        try:
            content = Source(reader).whole(Span(0, found.size))
        finally:
            reader.close()
        return Ready(headers_of_blob(digest), found.size, content, asked.reference)

    def _remember(self, reference: str) -> None:
        if len(self._large) >= _MOST_KNOWN:
            self._large.clear()
        self._large[reference] = None
