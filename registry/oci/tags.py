"""Listing tags (specification, end-8)."""

import orjson
from aiohttp import web

from registry.http.access import REPOSITORY
from registry.http.pages import link_to_next, page_of
from registry.oci.services import SERVICES


async def list_tags(request: web.Request) -> web.Response:
    """Tags of a repository by bytes, whole or by pages."""
    listing = await request.app[SERVICES].images.tags(request[REPOSITORY], page_of(request))
    response = web.Response(
        body=orjson.dumps({"name": request[REPOSITORY].text, "tags": listing.entries}),
        content_type="application/json",
    )
    if listing.more and listing.entries:
        response.headers["Link"] = link_to_next(request, listing.entries[-1], size=len(listing.entries))
    return response
