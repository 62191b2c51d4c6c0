"""The admin API as commands call it: in the data directory, or of a server with `--server`."""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from registry.admin.operation import AnyOperation

Json = Any
"""What a document is once it was read."""


class Api(Protocol):
    """Does operations of the admin API, whoever answers them."""

    async def call(
        self,
        operation: AnyOperation,
        names: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Json:
        """The answer as JSON, None where there is none; raises a fact, or Refused in a server's words."""


class Refused(Exception):
    """A server did not do what was asked, or cannot be reached; the text says why and what to do."""


def body_text(body: Mapping[str, object] | None) -> bytes:
    """A document as it is sent; raises Refused for what a terminal took for text and is none."""
    try:
        return orjson.dumps(body or {})
    except TypeError as error:
        raise Refused("what was given is not UTF-8 text: give it in other characters") from error


def query_text(query: Mapping[str, object]) -> dict[str, str]:
    """A query as a URL carries it."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}


async def pages(api: Api, operation: AnyOperation, names: Mapping[str, str] | None = None) -> list[Json]:
    """Every item of a list, page after page."""
    items: list[Json] = []
    after = ""
    while True:
        page = await api.call(operation, names, query={"limit": 1000, "after": after})
        items += page["items"]
        if page["next"] is None:
            return items
        after = page["next"]
