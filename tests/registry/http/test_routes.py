"""Rows become routes."""

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from auth.actions import Action
from registry.http.routes import PUBLIC, ROUTE, Route, add_routes

READ = (Action.BATCH_GET_IMAGE,)


async def show(request: web.Request) -> web.Response:
    return web.Response(text=f"shown {request.path}")


async def change(_request: web.Request) -> web.Response:
    return web.Response(text="changed")


async def only_head(_request: web.Request) -> web.Response:
    return web.Response(headers={"X-Own": "yes"})


def test_row_is_found_by_its_handler() -> None:
    """So the middleware knows which actions a request needs."""
    app = web.Application()
    add_routes(app, [Route("GET", "/a", show, READ), Route("PUT", "/a", change, PUBLIC)])

    assert app[ROUTE][show].actions == READ
    assert app[ROUTE][change].actions == PUBLIC


def test_several_doors_share_one_table() -> None:
    """Each adds its rows."""
    app = web.Application()
    add_routes(app, [Route("GET", "/a", show, READ)])
    add_routes(app, [Route("PUT", "/b", change, READ)])

    assert app[ROUTE].keys() == {show, change}


def test_handler_may_serve_several_paths_with_the_same_actions() -> None:
    """The first row is kept."""
    app = web.Application()
    add_routes(app, [Route("GET", "/a", show, READ), Route("GET", "/b", show, READ)])

    assert app[ROUTE][show].path == "/a"


def test_handler_never_serves_two_sets_of_actions() -> None:
    """Which of them counts would be chance."""
    with pytest.raises(ValueError, match="show is routed with two sets of actions"):
        add_routes(web.Application(), [Route("GET", "/a", show, READ), Route("GET", "/b", show, PUBLIC)])


async def test_head_is_answered_wherever_get_is(aiohttp_client: AiohttpClient) -> None:
    """RFC 9110 section 9.1: the same head, no body."""
    app = web.Application()
    add_routes(app, [Route("GET", "/a", show, READ)])
    client = await aiohttp_client(app)

    answer = await client.head("/a")

    assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, "8", b"")


async def test_row_for_head_is_not_overruled(aiohttp_client: AiohttpClient) -> None:
    """A blob's HEAD does something of its own."""
    app = web.Application()
    add_routes(app, [Route("GET", "/a", show, READ), Route("HEAD", "/a", only_head, READ)])
    client = await aiohttp_client(app)

    assert (await client.head("/a")).headers["X-Own"] == "yes"


async def test_methods_without_a_row_are_refused(aiohttp_client: AiohttpClient) -> None:
    """405, with those that have one."""
    app = web.Application()
    add_routes(app, [Route("PUT", "/a", change, READ)])
    client = await aiohttp_client(app)

    answer = await client.get("/a")

    assert (answer.status, answer.headers["Allow"]) == (405, "PUT")
