"""Conditional requests (RFC 9110 section 13): has the client got this already."""

from aiohttp import web


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether If-None-Match, on as many lines as it came, names this entity tag or any."""
    asked = {
        tag.strip().removeprefix("W/")
        for line in request.headers.getall("If-None-Match", [])
        for tag in line.split(",")
    }
    return "*" in asked or etag in asked
