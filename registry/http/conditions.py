"""Conditional requests (RFC 9110 section 13): has the client got this already."""

from aiohttp import web

from registry.core.condition import Condition


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether If-None-Match, on as many lines as it came, names this entity tag or any."""
    return Condition(unwanted=_unwanted_tags(request)).broken_by(etag) is not None


def condition_of(request: web.Request) -> Condition:
    """What a request that changes something expects to find."""
    return Condition(_wanted_tags(request), _unwanted_tags(request))


def require_wanted(request: web.Request, reference: str, digest: str) -> None:
    """Return if If-Match names what is read, or is not there; raises ConditionFailed."""
    Condition(_wanted_tags(request)).check(reference, digest)


def _wanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-Match; a weak one is kept as it is, and so equals none."""
    return _tags(request, "If-Match")


def _unwanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-None-Match, which are compared weakly."""
    return frozenset(tag.removeprefix("W/") for tag in _tags(request, "If-None-Match"))


def _tags(request: web.Request, header: str) -> frozenset[str]:
    """What a header names, on as many lines as it came; an empty header names nothing and so finds nothing."""
    return frozenset(tag.strip() for line in request.headers.getall(header, []) for tag in line.split(","))
