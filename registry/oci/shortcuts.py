"""What this door answers where it arrives: manifests, small blobs, whether there is a blob, and short lists."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache, partial
from typing import Any, Final

from registry.core.blobs import Blobs
from registry.core.images import Images
from registry.core.names import RepositoryName
from registry.http.access import about_reference
from registry.http.reads import Asked, Asker, Begun, Read, Ready
from registry.http.transfers import SMALL_BYTES, Source
from registry.oci.blobs import headers_of as headers_of_blob
from registry.oci.catalog import listed_repositories
from registry.oci.manifests import headers_of as headers_of_manifest
from registry.oci.referrers import listed_referrers
from registry.oci.routes import CATALOG, LIST_TAGS, LOOK_FOR_BLOB, PULL, READ_BLOB
from registry.oci.services import Services
from registry.oci.tags import listed_tags
from storage.blobs.file_reader import FileReader
from storage.blobs.interface import Span
from storage.digest import Digest
from storage.metadata.blobs import StoredBlob

_MOST_KNOWN: Final = 4096
_digest = lru_cache(_MOST_KNOWN)(Digest.parse)


def reads(services: Services) -> tuple[Read, ...]:
    """The rows of this door's table that are asked most, as shortcuts take them."""
    images, blobs, repositories = services.images, services.blobs, services.repositories
    pull, ask = partial(_manifest, images, whole=True), partial(_manifest, images, whole=False)
    return (
        Read("GET", "manifests", PULL, pull, about_reference, is_pull=True),
        Read("HEAD", "manifests", PULL, ask, about_reference),
        Read("GET", "blobs", READ_BLOB, _Blobs(services).read, is_pull=True),
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


class _Blobs:
    """Pulls of blobs: short ones are answered on the event loop, long ones sent by threads."""

    def __init__(self, services: Services) -> None:
        self._blobs = services.blobs
        self._sender = services.sender

    async def read(self, asked: Asked, asker: Asker) -> Ready | Begun | None:
        """The answer to a plain pull of a blob."""
        digest = _digest(asked.reference)
        found = await self._blobs.find_while(asked.name, digest, asker.generation)
        if found is None:
            return None
        if found.size <= SMALL_BYTES:
            content = await self._blobs.content_now(found)
            return None if content is None else Ready(headers_of_blob(digest), found.size, content, asked.reference)
        if not asker.takes_long:
            return None
        reader = await self._blobs.reader_now(found)
        if reader is None:
            return None
        source = Source(reader, reader.file if isinstance(reader, FileReader) else None)
        send = partial(self._send, asked.name, found, source)
        return Begun(headers_of_blob(digest), found.size, asked.reference, send)

    async def _send(
        self, repository: RepositoryName, found: StoredBlob, source: Source, transport: asyncio.Transport, head: bytes
    ) -> None:
        async with self._blobs.reading(repository, found, source.reader):
            await self._sender.answer(transport, head, source, Span(0, found.size))
