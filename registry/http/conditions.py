"""Conditional requests (RFC 9110 section 13): has the client got this already."""

from aiohttp import web

from registry.core.condition import ANY, Condition


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether If-None-Match, on as many lines as it came, names this entity tag or any."""
    unwanted = unwanted_tags(request)
    return "*" in unwanted or etag in unwanted


def condition_of(request: web.Request) -> Condition:
    """What a request that changes something expects of the digest there, whose entity tag is its own in quotes."""
    wanted = _digests(wanted_tags(request)) if "If-Match" in request.headers else None
    return Condition(wanted, _digests(unwanted_tags(request)))


def require_wanted(request: web.Request, reference: str, digest: str) -> None:
    """Return if If-Match names this digest, or is not there; raises ConditionFailed."""
    if "If-Match" in request.headers:
        Condition(_digests(wanted_tags(request))).check(reference, digest)


def _digests(tags: frozenset[str]) -> frozenset[str]:
    """What entity tags name; one without quotes is none."""
    return frozenset(tag if tag == ANY else tag[1:-1] for tag in tags if tag == ANY or tag[:1] == tag[-1:] == '"')


def wanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-Match; a weak one is kept as it is, and so equals none."""
    return _tags(request, "If-Match")


def unwanted_tags(request: web.Request) -> frozenset[str]:
    """The entity tags of If-None-Match, which are compared weakly."""
    return frozenset(tag.removeprefix("W/") for tag in _tags(request, "If-None-Match"))


def _tags(request: web.Request, header: str) -> frozenset[str]:
    """What a header names, on as many lines as it came; an empty header names nothing and so finds nothing."""
    return frozenset(tag.strip() for line in request.headers.getall(header, []) for tag in line.split(","))
