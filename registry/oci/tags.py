"""Listing tags (specification, end-8)."""

import orjson
from aiohttp import web

from registry.core.images import Images
from registry.http.pages import page_headers, page_of
from registry.http.reads import Asked, Ready, asked_by, response
from registry.oci.services import SERVICES


async def list_tags(request: web.Request) -> web.Response:
    """Tags of a repository by bytes, whole or by pages."""
    return response(await listed_tags(request.app[SERVICES].images, asked_by(request)))


async def listed_tags(images: Images, asked: Asked) -> Ready:
    """The list that is asked for."""
    listing = await images.tags(asked.name, page_of(asked.query))
    body = orjson.dumps({"name": asked.name.text, "tags": listing.entries})
    last = listing.entries[-1] if listing.more and listing.entries else None
    return Ready(page_headers(asked, "application/json", last, size=len(listing.entries)), len(body), body)
