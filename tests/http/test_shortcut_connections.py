"""What else comes over a connection is none of a shortcut's business."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.http.access import Access
from registry.http.connection import Connection
from tests.http.client import USER, Registry
from tests.http.documents import image, sha256
from tests.http.kept_connection import LAYER, TAGGED, Kept, settle


@pytest.mark.parametrize(
    "line",
    [
        'If-None-Match: "sha256:0"',
        "Range: bytes=0-1",
        "Connection: close",
        "Content-Length: 0",
        "Expect: 100-continue",
        "X-Anything: at all",
    ],
)
async def test_unusual_headers_go_the_ordinary_way(connection: Kept, line: str) -> None:
    """Before and after, for the first as for the second."""
    await settle(connection)

    reply, took = await connection.took("GET", TAGGED, line)

    assert (reply.status, took) == (200, False)


async def test_requests_sent_ahead_are_answered_in_order(connection: Kept) -> None:
    """Two in one piece, and one more while they are handled."""
    await settle(connection)
    head = connection.registry.request_head("GET", TAGGED, authorization=connection.authorization)
    other = head.replace(b"latest", b"absent")

    connection.send(head + other)
    connection.send(head)

    assert [(await connection.reply()).status for _ in range(3)] == [200, 404, 200]


async def test_head_in_pieces_is_put_together(connection: Kept) -> None:
    """Wherever it was cut; the second part alone may look like a whole one."""
    await settle(connection)
    head = connection.registry.request_head("GET", TAGGED, authorization=connection.authorization)
    for cut in (1, 10, len(head) // 2, len(head) - 2):
        connection.send(head[:cut])
        await asyncio.sleep(0.02)
        connection.send(head[cut:])
        assert (await connection.reply()).status == 200


async def test_unfinished_head_is_not_overtaken(connection: Kept) -> None:
    """What looks like a request in the value of a header is none."""
    await settle(connection)
    head = connection.registry.request_head("GET", TAGGED, authorization=connection.authorization)
    before = len(connection.shortcuts)
    connection.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Inside: ")
    await asyncio.sleep(0.02)

    connection.send(head)

    assert (await connection.reply()).status in {400, 401}
    assert len(connection.shortcuts) == before


async def test_request_in_a_body_is_none(connection: Kept) -> None:
    """However much it looks like one."""
    await settle(connection)
    head = connection.registry.request_head("GET", TAGGED, authorization=connection.authorization)
    before = len(connection.shortcuts)
    line = f"Content-Length: {2 * len(head)}"
    connection.send(
        connection.registry.request_head(
            "POST", "/v2/team/app/blobs/uploads/", line, authorization=connection.authorization
        )
    )
    await asyncio.sleep(0.02)
    connection.send(head)
    await asyncio.sleep(0.02)
    connection.send(head)

    assert (await connection.reply()).status == 202
    assert len(connection.shortcuts) == before


async def test_headers_speak_for_their_own_request_alone(
    registry: Registry, connection: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that comes while another one is handled does not lend its headers to that one's rights."""
    stranger = await registry.token("repository:team/app:pull", authorization=USER)
    by_stranger = registry.request_head("GET", TAGGED, authorization=stranger)
    gate, check = asyncio.Event(), Access.check

    async def held(access: Access, request: web.Request) -> None:
        await gate.wait()
        await check(access, request)

    monkeypatch.setattr(Access, "check", held)
    connection.send(registry.request_head("GET", TAGGED, authorization=connection.authorization))
    await asyncio.sleep(0.05)
    connection.send(by_stranger)
    await asyncio.sleep(0.05)
    gate.set()
    assert [(await connection.reply()).status for _ in range(2)] == [200, 403]

    connection.send(by_stranger)

    assert (await connection.reply()).status == 403


async def test_draining_connection_says_that_it_closes(registry: Registry, connection: Kept) -> None:
    """So the last answer is an ordinary one."""
    await settle(connection)
    for each in registry.server.connections:
        assert isinstance(each, Connection)
        each.drain()

    reply, took = await connection.took("GET", TAGGED)

    assert (reply.headers["connection"], took) == ("close", False)


async def test_client_that_reads_nothing_holds_no_memory(registry: Registry, connection: Kept) -> None:
    """Answers wait for room as all others do."""
    await settle(connection)
    head = connection.registry.request_head("GET", TAGGED, authorization=connection.authorization)
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport: Any = connection.writer.transport
    transport.pause_reading()
    (opened,) = [each for each in registry.server.connections if isinstance(each, Connection)]
    for _ in range(20_000):
        connection.send(head)
        if connection.writer.transport.get_write_buffer_size() > 1 << 20:
            break
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)

    assert opened.transport is not None
    assert opened.transport.get_write_buffer_size() < 1 << 18
    transport.abort()


NAMES = st.sampled_from(["team/app", "team/other", "Team/app", "team", "team/app/manifests", "a%2Fb", ".."])
KINDS = st.sampled_from(["manifests", "blobs", "tags", "referrers", "blobs/uploads", ""])
REFERENCES = st.sampled_from(
    ["latest", "absent", sha256(image((LAYER,))), sha256(LAYER), "sha256:0", "list", "a?tag=b", "%6Catest", "", "."]
)
LINES = st.lists(
    st.sampled_from(
        [
            "Accept: */*",
            "accept: text/plain",
            "If-None-Match: *",
            "Range: bytes=0-0",
            "User-Agent: docker",
            "Authorization: Bearer x",
            "X-A: b",
        ]
    ),
    max_size=2,
    unique=True,
)
QUERIES = st.sampled_from(
    (
        "",
        "?",
        "?n=1",
        "?n=1&last=latest",
        "?n=0",
        "?n=x",
        "?last=a",
        "?n=2&x=y",
        "?n=1&n=2",
        "?&n=1",
        "?n=",
        "?n==1",
        "?x",
        "?artifactType=a/b",
        "?n=1+1",
        "?last=%61",
        "?n=1;last=a",
        "?digest=sha256:0",
        "?ns=docker.io",
        "?n=1#x",
    )
)
PLAIN = (
    ("GET", "team/app", "manifests", "latest"),
    ("HEAD", "team/app", "manifests", sha256(image((LAYER,)))),
    ("GET", "team/app", "tags", "list"),
    ("GET", "team/app", "referrers", sha256(image((LAYER,)))),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.sampled_from(PLAIN) | st.tuples(st.sampled_from(["GET", "HEAD", "OPTIONS"]), NAMES, KINDS, REFERENCES),
    query=QUERIES,
    lines=LINES,
)
async def test_shortcut_never_answers_otherwise(
    connection: Kept, target: tuple[str, str, str, str], query: str, lines: list[str]
) -> None:
    """Whatever is asked, the second time on a connection as the first time on a fresh one."""
    method, name, kind, reference = target
    path = f"/v2/{name}/{kind}/{reference}{query}"
    async with connection.another() as fresh:
        expected = await fresh.ask(method, path, *lines)

    kept_open = [await connection.ask(method, path, *lines) for _ in range(2)]

    assert kept_open == [expected, expected]
