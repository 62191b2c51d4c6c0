"""The table of this door: health, metrics, and a route for every operation of the admin API."""

import asyncio
from functools import cache
from typing import Final

import orjson
from aiohttp import web

from registry.admin import door, health, metrics
from registry.admin.openapi import openapi_document
from registry.admin.operations import OPERATIONS
from registry.http.routes import PUBLIC, Route
from registry.release import release

PREFIX: Final = "/admin/"
"""What the paths of the admin API begin with."""


@cache
def _openapi() -> bytes:
    """Written when somebody asks: it takes 100 ms, which no start should wait for."""
    return orjson.dumps(openapi_document(OPERATIONS, release()))


async def get_openapi(_request: web.Request) -> web.Response:
    """Describe the admin API (OpenAPI 3.1)."""
    return web.Response(body=await asyncio.to_thread(_openapi), content_type="application/json")


# Load balancers and scrapers carry no credentials, and what these tell names no content.
ROUTES = (
    Route("GET", "/healthz", health.health, PUBLIC),
    Route("GET", "/readyz", health.ready, PUBLIC),
    Route("GET", "/metrics", metrics.metrics, PUBLIC),
    Route("GET", "/admin/openapi.json", get_openapi, PUBLIC),
    *door.routes(OPERATIONS),
)
