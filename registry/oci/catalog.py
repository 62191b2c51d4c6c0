"""Listing repositories, as Docker's registry API has it (`_catalog`)."""

import orjson
from aiohttp import web

from registry.core.repositories import Repositories
from registry.http.pages import page_headers, page_of
from registry.http.reads import Asked, Ready, Sees, asked_by, response, seen_by
from registry.oci.services import SERVICES


async def list_repositories(request: web.Request) -> web.Response:
    """Names of the repositories that the caller may know of, by bytes, by pages."""
    repositories = request.app[SERVICES].repositories
    return response(await listed_repositories(repositories, asked_by(request), seen_by(request)))


async def listed_repositories(repositories: Repositories, asked: Asked, sees: Sees) -> Ready:
    """The list that is asked for."""
    listing = await repositories.catalog(page_of(asked.query), sees)
    body = orjson.dumps({"repositories": listing.entries})
    last = listing.entries[-1] if listing.more and listing.entries else None
    return Ready(page_headers(asked, "application/json", last, size=len(listing.entries)), len(body), body)
