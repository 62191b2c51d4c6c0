"""Conditional requests (RFC 9110 section 13): has the client got this already."""

from aiohttp import web


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether If-None-Match, on as many lines as it came, names this entity tag or any."""
    unwanted = unwanted_tags(request)
    return "*" in unwanted or etag in unwanted


def wanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-Match; a weak one is kept as it is, and so equals none."""
    return _tags(request, "If-Match")


def unwanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-None-Match, which are compared weakly."""
    return frozenset(tag.removeprefix("W/") for tag in _tags(request, "If-None-Match"))


def _tags(request: web.Request, header: str) -> frozenset[str]:
    """What a header names, on as many lines as it came; an empty header names nothing and so finds nothing."""
    return frozenset(tag.strip() for line in request.headers.getall(header, []) for tag in line.split(","))
