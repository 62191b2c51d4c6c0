"""A route is a row: method, path, handler, and the actions that let a caller through."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from auth.actions import Resource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Named = Callable[[web.Request], Awaitable[Resource]]

PUBLIC: tuple[str, ...] = ()
"""What everybody may ask, who they are being known or not. Only for what tells nothing about content."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a door's table: a caller who may do any one of `actions` gets through.

    What they are done to is the repository that the path calls `name`, else the registry, or what `resource` finds; it
    is asked only where the caller is known.
    """

    method: str
    path: str
    handler: Handler
    actions: tuple[str, ...]
    resource: Named | None = None


ROUTE: web.AppKey[dict[Handler, Route]] = web.AppKey("routes", dict)
"""The row of every handler, for the middleware that decides access."""


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Put a door's rows into the application; a handler serves one row of actions, however many paths it has.

    HEAD is answered wherever GET is (RFC 9110 section 9.1), by the same handler unless a row says otherwise.
    """
    rows = app[ROUTE] if ROUTE in app else app.setdefault(ROUTE, {})
    routes = tuple(routes)
    with_head = {route.path for route in routes if route.method == "HEAD"}
    for route in routes:
        known = rows.setdefault(route.handler, route)
        if known.actions != route.actions:
            message = f"{route.handler.__name__} is routed with two sets of actions"
            raise ValueError(message)
        methods = ("GET", "HEAD") if route.method == "GET" and route.path not in with_head else (route.method,)
        for method in methods:
            app.router.add_route(method, route.path, route.handler, expect_handler=_continue_later)


async def _continue_later(_request: web.Request) -> None:
    """Answer `Expect: 100-continue` only when the body is read: who may not push is told so before sending it."""
