"""Reads as plain questions and answers, apart from the requests and responses that carry them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from multidict import MultiMapping

from auth.authorizer import NO_FACTS, Facts
from registry.core.names import RepositoryName
from registry.http.access import ACCESS, REPOSITORY

Sees = Callable[[Sequence[str]], Awaitable[list[str]]]
"""Which of some repositories the caller may know of."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: `repository` is None for the registry, `reference` empty where the path has none."""

    path: str
    repository: RepositoryName | None
    reference: str
    query: MultiMapping[str]
    query_text: str
    """The query as it was sent."""

    @property
    def name(self) -> RepositoryName:
        """The repository, for what is never asked of the registry."""
        if self.repository is None:
            raise ValueError(self.path)
        return self.repository


@dataclass(slots=True)  # one is made with each read, and a frozen one takes three times as long
class Ready:
    """A whole answer: what HEAD is told the length of, and GET gets the bytes of; `digest` is theirs, where known."""

    headers: Mapping[str, str]
    length: int
    body: bytes = b""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A long answer that threads send: what GET is told, and what sends a head and then the content.

    `send` is awaited once, and sends over plain TCP. It raises NotBegun where nothing could be sent; later
    ConnectionError where the client is gone, and what reading the content raises.
    """

    headers: Mapping[str, str]
    length: int
    digest: str
    send: Callable[[asyncio.Transport, bytes], Awaitable[None]]


class Asker(Protocol):
    """Who asks, as far as it decides what there is to see."""

    takes_long: bool
    """Whether a long answer can be sent to it by threads."""

    @property
    def generation(self) -> int:
        """The generation that it was decided in that the read is allowed."""

    async def is_current(self) -> bool:
        """Whether nothing about who may do what has changed since."""

    @property
    def sees(self) -> Sees:
        """What the caller may know of."""


@dataclass(frozen=True, slots=True)
class Read:
    """A row of what can be read: `/v2/NAME/KIND/REFERENCE` with a method, or `/v2/KIND`; who may, and how it is found.

    `find` gives the answer if nothing about who may do what has changed meanwhile; None otherwise, and where the
    ordinary way is the better one.
    """

    method: str
    kind: str
    actions: tuple[str, ...]
    find: Callable[[Asked, Asker], Coroutine[Any, Any, Ready | Begun | None]]
    about: Callable[[str], Facts] = lambda _: NO_FACTS
    """What conditions can ask of the reference."""
    is_pull: bool = False
    """Whether it is an event of the audit trail."""


def asked_by(request: web.Request, reference: str = "") -> Asked:
    """What a request asks for."""
    url = request.rel_url
    return Asked(url.raw_path, request.get(REPOSITORY), reference, request.query, url.raw_query_string)


def seen_by(request: web.Request) -> Sees:
    """What the caller of a request may know of."""
    return request.app[ACCESS].sees(request)


def response(ready: Ready) -> web.Response:
    """An answer as the ordinary way sends it."""
    return web.Response(body=ready.body, headers=ready.headers)
