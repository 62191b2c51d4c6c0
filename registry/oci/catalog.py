"""Listing repositories, as Docker's registry API has it (`_catalog`)."""

import orjson
from aiohttp import web

from registry.http.access import ACCESS
from registry.http.pages import link_to_next, page_of
from registry.oci.services import SERVICES


async def list_repositories(request: web.Request) -> web.Response:
    """Names of the repositories that the caller may know of, by bytes, by pages."""
    visible = request.app[ACCESS].sees(request)
    listing = await request.app[SERVICES].repositories.catalog(page_of(request), visible)
    response = web.Response(body=orjson.dumps({"repositories": listing.entries}), content_type="application/json")
    if listing.more and listing.entries:
        response.headers["Link"] = link_to_next(request, listing.entries[-1], size=len(listing.entries))
    return response
