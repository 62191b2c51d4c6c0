"""Long blobs that are begun where the request arrives: the same answers, in order, and nothing that is wrong."""

import errno
import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

import pytest

from registry.http import transfers
from registry.http.transfers import Source
from storage.blobs.blocking import run_to_end
from storage.blobs.encrypted import reading
from storage.blobs.encrypted.reading import SealedFile
from storage.errors import StoreUnavailable
from tests.http.client import Registry
from tests.http.documents import sha256
from tests.http.kept_connection import LAYER, Kept
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
from tests.http.reading import until_reset
from tests.http.trail import recorded
from tests.registry.http.body_server import until


@plain_and_sealed()
@pytest.mark.parametrize("size", [64 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 1 << 20, (1 << 20) + 1, len(LONG)])
async def test_answer_is_the_ordinary_one(connection: Kept, size: int, mode: str) -> None:
    """Head and content, time after time on one connection."""
    path = await pushed(connection, LONG[:size])
    async with connection.another() as fresh:
        ordinary = await fresh.ask("GET", path)

    assert [await connection.took("GET", path) for _ in range(2)] == [(ordinary, True)] * 2
    await until(lambda: not open_copies(connection.registry))


@plain_and_sealed()
async def test_blob_is_long_where_it_is_more_than_a_short_answer_holds(connection: Kept, mode: str) -> None:
    """Shorter ones are read at once, and closed."""
    for size, kind in ((64 * 1024, bytes), (64 * 1024 + 1, partial)):
        path = await pushed(connection, LONG[:size])
        assert (await connection.ask("GET", path)).body == LONG[:size]
        assert isinstance(connection.shortcuts[-1], kind)
        await until(lambda: not open_copies(connection.registry))


@plain_and_sealed()
@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_answer_longer_than_a_visit_of_a_thread_goes_on(
    connection: Kept, monkeypatch: pytest.MonkeyPatch, more: int, mode: str
) -> None:
    """However fast the client: threads are shared."""
    visits, send = [], Source.send_some

    def watched(source: Source, to: int, offset: int, end: int, *more: Any) -> int:
        visits.append(end - offset)
        return send(source, to, offset, end, *more)

    monkeypatch.setattr(transfers, "_BYTES_AT_ONCE", 500_000)
    path = await pushed(connection, LONG[: 1_500_000 + more])
    monkeypatch.setattr(Source, "send_some", watched)

    reply, took = await connection.took("GET", path)

    assert (reply.body == LONG[: 1_500_000 + more], took) == (True, True)
    assert (len(visits) >= 2, max(visits) <= 500_000) == (True, True)


@plain_and_sealed()
async def test_slow_client_gets_every_byte(connection: Kept, stalled: Stalled, mode: str) -> None:
    """What did not fit into the socket is read again from there."""
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)

    read_on(connection)

    assert (await connection.reply()).body == VERY_LONG
    assert (await connection.took("GET", path))[1]


@plain_and_sealed()
@pytest.mark.parametrize("room", [0, 1, 100, 2000])
async def test_head_that_does_not_fit_into_the_socket_comes_first(
    connection: Kept, monkeypatch: pytest.MonkeyPatch, room: int, mode: str
) -> None:
    """All of it, or what is left of it."""
    path = await pushed(connection, LONG)
    async with connection.another() as fresh:
        ordinary = await fresh.ask("GET", path)
    monkeypatch.setattr(socket, "socket", full(room))

    assert await connection.took("GET", path) == (ordinary, True)


@plain_and_sealed()
async def test_answer_is_sent_in_one_visit_of_a_thread(
    connection: Kept, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """As long as the socket takes it; and what was read for its beginning is not read again."""
    path, visits, reads = await pushed(connection, LONG[:100_000]), [], []
    read = SealedFile.read

    async def visited(threads: Executor, call: Callable[..., Any], *arguments: Any) -> Any:
        visits.append(call)
        return await run_to_end(threads, call, *arguments)

    def watched(file: SealedFile, offset: int, end: int) -> memoryview:
        reads.append((offset, end))
        return read(file, offset, end)

    monkeypatch.setattr(transfers, "_PATIENCE_MILLISECONDS", 10_000)
    monkeypatch.setattr(transfers, "run_to_end", visited)
    monkeypatch.setattr(SealedFile, "read", watched)
    monkeypatch.setattr(socket, "socket", full(2000))

    assert (await connection.took("GET", path))[0].body == LONG[:100_000]
    assert len(visits) == 1
    assert reads == ([] if mode == "plain" else [(0, 100_000)])


@plain_and_sealed()
async def test_requests_sent_ahead_are_answered_in_order(connection: Kept, stalled: Stalled, mode: str) -> None:
    """Of long blobs, of short ones and of none."""
    path, other = await pushed(connection, VERY_LONG), await pushed(connection, LONG)
    await ask_deaf(connection, path, stalled)
    for each in (f"/v2/team/app/blobs/{sha256(LAYER)}", other, "/v2/team/app/tags/absent", path):
        ask(connection, each)
    read_on(connection)

    replies = [await connection.reply() for _ in range(5)]

    assert [reply.body for reply in replies[:3]] == [VERY_LONG, LAYER, LONG]
    assert (replies[3].status, replies[4].body) == (404, VERY_LONG)


@plain_and_sealed()
async def test_blob_that_is_deleted_in_mid_pull_comes_whole(
    registry: Registry, connection: Kept, stalled: Stalled, mode: str
) -> None:
    """And is unknown at the next request."""
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)
    assert (await registry.delete("/admin/v1/repositories/team%2Fapp?force=true")).status < 300

    read_on(connection)

    assert (await connection.reply()).body == VERY_LONG
    assert (await connection.ask("GET", path)).status == 404


@sealed
async def test_damage_at_the_beginning_is_a_404(registry: Registry, connection: Kept) -> None:
    """The copy is quarantined, the connection goes on, and a push repairs it."""
    path = await pushed(connection, LONG)
    spoil(copy_of(registry), 10_000)

    reply = await connection.ask("GET", path)

    assert (reply.status, json.loads(reply.body)["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
    (event,) = await recorded(registry.root, "damage")
    assert event["details"]["digest"] == sha256(LONG)
    assert (await connection.ask("GET", path)).status == 404
    await registry.push_blob("team/app", LONG)
    assert (await connection.ask("GET", path)).body == LONG
    assert len(await recorded(registry.root, "damage")) == 1


@sealed
async def test_damage_further_on_resets_the_connection(
    registry: Registry, connection: Kept, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was right before may come; the copy is quarantined, and told of, once."""
    path = await pushed(connection, LONG)
    spoil(copy_of(registry), 2_000_000)
    ask(connection, path)

    received = await until_reset(connection.reader)

    _, _, body = received.partition(b"\r\n\r\n")
    assert LONG.startswith(body)
    assert len(body) < 2_000_000
    assert (await registry.get(path)).status == 404
    assert len(await recorded(registry.root, "damage")) == 1
    assert "".join(capfd.readouterr()).count("answer broken off") == 1
    await until(lambda: not open_copies(registry))


@plain_and_sealed()
@pytest.mark.parametrize("left", [0, 100_000])
async def test_copy_shorter_than_it_was_is_a_404(registry: Registry, connection: Kept, left: int, mode: str) -> None:
    """Where it is seen before anything is sent."""
    path = await pushed(connection, LONG)
    os.truncate(copy_of(registry), left)

    assert (await connection.ask("GET", path)).status == 404
    assert len(await recorded(registry.root, "damage")) == 1
    assert (await connection.ask("GET", f"/v2/team/app/blobs/{sha256(LAYER)}")).body == LAYER


@plain_and_sealed()
async def test_copy_that_grows_shorter_in_mid_pull_resets_the_connection(
    registry: Registry, connection: Kept, stalled: Stalled, mode: str
) -> None:
    path = await pushed(connection, VERY_LONG)
    await ask_deaf(connection, path, stalled)
    os.truncate(copy_of(registry), len(VERY_LONG) - 1_000_000)

    read_on(connection)
    received = await until_reset(connection.reader)

    assert len(received) < len(VERY_LONG)
    assert (await registry.get(path)).status == 404
    assert len(await recorded(registry.root, "damage")) == 1


@sealed
async def test_disk_that_does_not_give_the_first_bytes_is_told(
    registry: Registry, connection: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the status that any request gets then, on a connection that goes on; nothing is quarantined."""
    path = await pushed(connection, LONG)
    with monkeypatch.context() as patched:
        for name in ("_fill", "_fill_now"):
            patched.setattr(reading, name, _failing)
        assert (await connection.ask("GET", path)).status == 503

    assert (await connection.ask("GET", path)).body == LONG
    assert await recorded(registry.root, "damage") == []


@plain
async def test_disk_that_fails_in_mid_pull_resets_the_connection(
    registry: Registry, connection: Kept, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The copy may be as it was: nothing is quarantined."""
    path = await pushed(connection, LONG)
    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", _broken)
        ask(connection, path)
        received = await until_reset(connection.reader)

    assert received.count(b"\r\n\r\n") <= 1
    assert (await registry.get(path)).body == LONG
    assert "".join(capfd.readouterr()).count("answer broken off") == 1


def _failing(*_: Any) -> int:
    raise StoreUnavailable("the disk does not answer")


def _broken(*_: Any) -> int:
    raise OSError(errno.EIO, "Input/output error")
