"""Paging of lists: `n`, `last`, and the Link header that leads on (RFC 8288)."""

from urllib.parse import urlencode

from aiohttp import web

from registry.core.errors import PageInvalid
from registry.core.repositories import Page

_MAX_DIGITS = 20


def page_of(request: web.Request) -> Page:
    """The page that a request asks for; raises PageInvalid."""
    asked = request.query.get("n")
    # No entry holds a NUL, so the same entries follow; PostgreSQL cannot be asked for one.
    last = request.query.get("last", "").partition("\0")[0]
    if asked is None:
        return Page(last)
    if not (asked.isascii() and asked.isdigit()) or len(asked) > _MAX_DIGITS:
        raise PageInvalid
    return Page(last, int(asked))


def link_to_next(request: web.Request, last: str, *, size: int) -> str:
    """The Link header of the page after `last`, with as many entries as this one."""
    query = [(name, value) for name, value in request.query.items() if name not in {"n", "last"}]
    query += [("n", str(size)), ("last", last)]
    return f'<{request.rel_url.raw_path}?{urlencode(query)}>; rel="next"'
