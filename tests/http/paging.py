"""Following the pages of a list."""

import re
from collections.abc import AsyncIterator

from tests.http.client import Answer, Registry


def next_of(answer: Answer) -> str | None:
    """Where the Link header leads (RFC 8288)."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    match = re.fullmatch(r'<([^<>\s]+)>; rel="next"', link)
    assert match is not None
    return match[1]


async def pages(registry: Registry, path: str) -> AsyncIterator[Answer]:
    """The page under this path and all that follow."""
    following: str | None = path
    while following is not None:
        answer = await registry.get(following)
        assert answer.status == 200
        yield answer
        following = next_of(answer)
