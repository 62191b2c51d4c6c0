"""Paging of lists: `n`, `last`, and the Link header that leads on (RFC 8288)."""

from urllib.parse import urlencode

from multidict import MultiMapping

from registry.core.errors import PageInvalid
from registry.core.repositories import Page
from registry.http.reads import Asked

_MAX_DIGITS = 20


def page_of(query: MultiMapping[str]) -> Page:
    """The page that a query asks for; raises PageInvalid."""
    asked = query.get("n")
    # No entry holds a NUL, so the same entries follow; PostgreSQL cannot be asked for one.
    last = query.get("last", "").partition("\0")[0]
    if asked is None:
        return Page(last)
    if not (asked.isascii() and asked.isdigit()) or len(asked) > _MAX_DIGITS:
        raise PageInvalid
    return Page(last, int(asked))


def page_headers(asked: Asked, media_type: str, last: str | None, *, size: int) -> dict[str, str]:
    """The headers of a page of so many entries; `last` is the last of them where more follow, else None."""
    headers = {"Content-Type": media_type}
    if last is not None:
        headers["Link"] = link_to_next(asked.path, asked.query, last, size=size)
    return headers


def link_to_next(path: str, query: MultiMapping[str], last: str, *, size: int) -> str:
    """The Link header of the page after `last`, with as many entries as this one."""
    pairs = [(name, value) for name, value in query.items() if name not in {"n", "last"}]
    pairs += [("n", str(size)), ("last", last)]
    return f'<{path}?{urlencode(pairs)}>; rel="next"'
