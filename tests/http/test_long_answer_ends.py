"""How long answers end that are begun where the request arrives, and what is told of them."""

import asyncio
import gc
import json
import socket
import ssl
from typing import Any

import pytest
import trustme

from registry.core import audit
from registry.http.auditing import Pulls
from tests.http.client import Registry, Start
from tests.http.documents import sha256
from tests.http.kept_connection import LAYER, TAGGED, Kept, kept
from tests.http.kinds_of_content import plain, plain_and_sealed, sealed
from tests.http.long_answers import (
    LONG,
    VERY_LONG,
    Stalled,
    ask,
    ask_deaf,
    copy_of,
    full,
    open_copies,
    pushed,
    read_on,
    spoil,
)
from tests.http.people import PULL, administered, allow
from tests.http.reading import until_reset
from tests.http.test_metrics import numbers, requests
from tests.http.trail import Event, noted, recorded
from tests.registry.http.body_server import until

LOGGED = {"access": True, "level": "info", "format": "json"}


@pytest.fixture(autouse=True)
def trail_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted is written soon."""
    monkeypatch.setattr(audit, "_LATE_SECONDS", 0.01)


async def pulls(registry: Registry, count: int) -> list[Event]:
    """The pulls of the trail, without what differs from one to the next."""
    events = await noted(registry, count, "pull")
    for event in events:
        del event["id"], event["time"], event["request_id"]
    return events


def logged(capfd: pytest.CaptureFixture[str], path: str) -> list[dict[str, Any]]:
    """The lines about a path, without what differs from one to the next."""
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if f'"{path}"' in line]
    return [
        {name: value for name, value in line.items() if name not in {"time", "request_id", "milliseconds"}}
        for line in lines
    ]


async def counts(registry: Registry) -> dict[Any, float]:
    """The numbers about pulls of blobs, without how long they took."""
    found = await numbers(registry)
    return {
        key: value
        for key, value in found.items()
        if ("action", "ecr:GetDownloadUrlForLayer") in key[1] and "seconds" not in key[0]
    }


async def gone(connection: Kept) -> None:
    """The server has done with all connections, and with what was sent over them."""
    await until(lambda: not connection.registry.server.connections and not open_copies(connection.registry))


@plain_and_sealed(log=LOGGED)
async def test_whole_answers_are_told_of_alike(
    registry: Registry, connection: Kept, capfd: pytest.CaptureFixture[str], mode: str
) -> None:
    path = await pushed(connection, LONG)
    before = await counts(registry)
    async with connection.another() as fresh:
        await fresh.ask("GET", path)
        await fresh.rested()
    between = await counts(registry)

    assert (await connection.took("GET", path))[1]

    await connection.rested()
    after = await counts(registry)
    assert {key: after[key] - between[key] for key in after} == {key: between[key] - before[key] for key in before}
    *_, ordinary, long = logged(capfd, path)
    assert ordinary == long
    assert (long["status"], long["sent_bytes"]) == (200, len(LONG))
    _, ordinary, long = await pulls(registry, 3)
    assert ordinary == long
    assert long["details"]["bytes"] == len(LONG)


@plain_and_sealed(log=LOGGED)
async def test_answers_broken_off_are_told_of_alike(
    registry: Registry, connection: Kept, stalled: Stalled, capfd: pytest.CaptureFixture[str], mode: str
) -> None:
    """The client went away in the middle: nobody knows how much it got, and it is no error of the server."""
    path = await pushed(connection, VERY_LONG)
    fresh = Kept(registry, connection.authorization)
    await fresh.open()
    for each in (fresh, connection):
        await ask_deaf(each, path, stalled)
        each.writer.transport.abort()
        await until(lambda: not open_copies(registry))

    _, *events = await pulls(registry, 3)
    _, *lines = logged(capfd, path)
    assert events[0] == events[1]
    assert (events[1]["details"]["status"], "bytes" in events[1]["details"]) == (499, False)
    assert lines[0] == lines[1]
    assert (lines[1]["status"], lines[1]["sent_bytes"], lines[1]["level"]) == (499, 0, "info")
    found = await numbers(registry)
    assert found[requests("GET", "ecr:GetDownloadUrlForLayer", 499)] == 2


@sealed
async def test_answers_broken_off_by_damage_are_told_of_alike(
    registry: Registry, connection: Kept, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the cause in the log, once, and under the same request."""
    unexpected = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    fresh = Kept(registry, connection.authorization)
    await fresh.open()
    for each in (fresh, connection):
        path = await pushed(connection, LONG)
        spoil(copy_of(registry), 2_000_000)
        ask(each, path)
        await until_reset(each.reader)
        await until(lambda: not open_copies(registry))

    assert callable(connection.shortcuts[-1])
    _, ordinary, _, long = await noted(registry, 4, "pull")
    events = ordinary, long
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if "answer broken off" in line]
    assert [line.rpartition("request_id=")[2] for line in lines] == [event["request_id"] for event in events]
    assert [event["details"]["status"] for event in events] == [499, 499]
    assert (await numbers(registry))[requests("GET", "ecr:GetDownloadUrlForLayer", 499)] == 2
    gc.collect()
    assert unexpected == []


async def test_answer_that_the_trail_does_not_take_is_counted(
    registry: Registry, connection: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of the one, the others hear of it."""
    path = await pushed(connection, LONG)

    async def fail(*_: object) -> None:
        raise ConnectionAbortedError

    monkeypatch.setattr(Pulls, "note_ended", fail)

    assert (await connection.took("GET", path))[0].body == LONG

    await gone(connection)
    assert (await numbers(registry))[requests("GET", "ecr:GetDownloadUrlForLayer", 200)] == 2


@sealed
async def test_requests_sent_ahead_of_damage_are_not_handled(
    registry: Registry, connection: Kept, stalled: Stalled
) -> None:
    """Nobody could be answered."""
    path = await pushed(connection, LONG)
    spoil(copy_of(registry), 2_000_000)
    stalled.may.clear()
    stalled.in_thread.clear()
    ask(connection, path)
    await stalled.in_thread.wait()
    ask(connection, f"/v2/team/app/blobs/{sha256(LAYER)}")
    side = connection.side
    await until(lambda: bool(side._ahead))

    stalled.may.set()
    await until_reset(connection.reader)

    await gone(connection)
    events = await noted(registry, 2, "pull")
    assert [event["details"]["status"] for event in events] == [200, 499]


@plain_and_sealed()
async def test_client_that_is_gone_before_a_thread_begins_ends_the_answer(
    registry: Registry, connection: Kept, stalled: Stalled, capfd: pytest.CaptureFixture[str], mode: str
) -> None:
    path = await pushed(connection, VERY_LONG)
    stalled.may.clear()
    stalled.in_thread.clear()
    ask(connection, path)
    await stalled.in_thread.wait()
    side = connection.side

    connection.writer.transport.abort()
    await until(lambda: side.transport is None)
    stalled.may.set()

    await gone(connection)
    events = await noted(registry, 2, "pull")
    assert [event["details"]["status"] for event in events] == [200, 499]
    assert "".join(capfd.readouterr()) == ""


async def test_head_without_room_never_falls_out_of_an_answer(
    connection: Kept,
    stalled: Stalled,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A client that closes its side just then gets no content in its place."""
    path = await pushed(connection, VERY_LONG)
    monkeypatch.setattr(socket, "socket", full(10))
    stalled.may.clear()
    stalled.in_thread.clear()
    ask(connection, path)
    await stalled.in_thread.wait()
    side = connection.side
    connection.writer.write_eof()
    await until(lambda: side.transport is None)
    stalled.may.set()

    assert await connection.reader.read() == b"HTTP/1.1 2"
    await gone(connection)
    assert "".join(capfd.readouterr()) == ""


@plain_and_sealed()
async def test_client_that_closes_its_side_gets_the_rest(
    registry: Registry, connection: Kept, stalled: Stalled, mode: str
) -> None:
    """And the server waits for that when it stops."""
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)
    side = connection.side
    connection.writer.write_eof()
    await until(lambda: side.transport is None)
    registry.server.pre_shutdown()
    stopping = asyncio.ensure_future(registry.server.shutdown(10))
    await asyncio.sleep(0.01)
    assert not stopping.done()

    read_on(connection)

    assert (await connection.reply()).body == VERY_LONG
    await stopping
    assert open_copies(registry) == 0


@plain_and_sealed(limits={"body_idle": 0.2})
async def test_client_that_reads_nothing_is_cut_off(
    registry: Registry, connection: Kept, stalled: Stalled, mode: str
) -> None:
    """After the time for bodies that stand still."""
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)

    await gone(connection)

    events = await noted(registry, 2, "pull")
    assert [event["details"]["status"] for event in events] == [200, 499]


async def test_clients_that_read_nothing_hold_no_threads(connection: Kept, stalled: Stalled) -> None:
    """There are more of them than threads, and another is served meanwhile."""
    path = await pushed(connection, VERY_LONG)
    others = []
    for _ in range(20):
        other = Kept(connection.registry, connection.authorization)
        await other.open()
        await other.ask("GET", TAGGED)
        await other.rested()
        await ask_deaf(other, path, stalled)
        others.append(other)

    assert (await connection.took("GET", path))[0].body == VERY_LONG

    for other in others:
        other.writer.transport.abort()
    await until(lambda: len(connection.registry.server.connections) == 1)


@plain_and_sealed()
async def test_stopping_server_ends_the_answer_first(
    registry: Registry, connection: Kept, stalled: Stalled, mode: str
) -> None:
    """Then it closes the connection."""
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)
    registry.server.pre_shutdown()
    stopping = asyncio.ensure_future(registry.server.shutdown(10))

    read_on(connection)

    assert (await connection.reply()).body == VERY_LONG
    assert await connection.reader.read() == b""
    await stopping


async def test_stopping_server_tells_of_answers_it_breaks_off(start: Start, stalled: Stalled) -> None:
    """The trail has them when the server has stopped."""
    async with start() as registry:
        await registry.push_image("team/app", "latest", LAYER)
        token = await registry.token("repository:team/app:pull,push")
        connection = Kept(registry, token)
        await connection.open()
        await ask_deaf(connection, await pushed(connection, VERY_LONG), stalled)
    connection.writer.transport.abort()

    events = await recorded(registry.root, "pull")
    assert [event["details"]["status"] for event in events] == [200, 499]
    assert open_copies(registry) == 0


async def test_narrowed_policy_bites_at_the_next_long_pull(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is allowed again is answered again."""
    await registry.push_image("team/app", "latest", LAYER)
    path = f"/v2/team/app/blobs/{await registry.push_blob('team/app', LONG)}"
    async with administered(registry.root) as people:
        alice = await people.add("alice", allow(*PULL))
        token = await registry.token("repository:team/app:pull", authorization=alice)
        async with kept(registry, token, monkeypatch) as alices:
            assert (await alices.ask("GET", path)).status == 200
            await alices.rested()
            assert (await alices.took("GET", path))[1]
            await people.give("alice", allow("ecr:PutImage"))
            assert (await alices.ask("GET", path)).status == 403

            await people.give("alice", allow(*PULL))
            await alices.rested()

            assert (await alices.took("GET", path))[0].body == LONG


async def test_content_over_tls_goes_the_ordinary_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short answers do not: it is threads that cannot send there."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with start(tls=context) as registry:
        await registry.push_image("team/app", "latest", LAYER)
        path = f"/v2/team/app/blobs/{await registry.push_blob('team/app', LONG)}"
        token = await registry.token("repository:team/app:pull")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with kept(registry, token, monkeypatch) as connection:
            connection.writer.close()
            connection.reader, connection.writer = await asyncio.open_connection(
                "127.0.0.1", registry.port, ssl=trusting
            )
            for _ in range(2):
                reply, took = await connection.took("GET", path)
                assert (reply.body == LONG, took) == (True, False)
                await connection.rested()
            assert (await connection.took("GET", TAGGED))[1]


@plain
async def test_head_leaves_with_what_the_kernel_sends(connection: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that more comes, and nothing of that is read before."""
    assert await begun(connection, monkeypatch, len(LONG)) == [(socket.MSG_MORE, 0)]


@sealed
async def test_head_leaves_with_the_first_segments(connection: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is told that more comes only where it does: it would hold the end back for a while."""
    assert await begun(connection, monkeypatch, len(LONG)) == [(socket.MSG_MORE, 1 << 20)]
    assert await begun(connection, monkeypatch, 100_000) == [(0, 100_000)]


async def begun(connection: Kept, monkeypatch: pytest.MonkeyPatch, size: int) -> list[tuple[int, int]]:
    """The flags that a long answer is begun with, and how much of the content."""
    path, found = await pushed(connection, LONG[:size]), []

    class Watched(socket.socket):
        def sendmsg(self, buffers: Any, ancillary: Any = (), flags: int = 0, *_: Any) -> int:
            _, content = buffers
            found.append((flags, len(content)))
            return super().sendmsg(buffers, ancillary, flags)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", Watched)
        assert (await connection.took("GET", path))[0].body == LONG[:size]
    return found
