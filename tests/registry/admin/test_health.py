"""Health and readiness."""

import asyncio

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from registry.admin.health import READINESS, Readiness, health, ready
from storage.errors import DatabaseUnavailable, NoSpace


class Clock:
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds


class FakePart:
    """A part that works until it is told otherwise, and counts how often it was asked."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def database() -> FakePart:
    return FakePart()


@pytest.fixture
def content() -> FakePart:
    return FakePart()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(database: FakePart, content: FakePart, clock: Clock) -> web.Application:
    app = web.Application()
    app[READINESS] = Readiness({"database": database.probe, "content": content.probe}, clock.now)
    app.add_routes([web.get("/healthz", health), web.get("/readyz", ready)])
    return app


async def test_healthy_while_the_process_is_up(aiohttp_client: AiohttpClient, app: web.Application) -> None:
    """Health asks nothing else: a broken disk is no reason to restart the process."""
    client = await aiohttp_client(app)

    answer = await client.get("/healthz")

    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_ready_when_every_part_works(aiohttp_client: AiohttpClient, app: web.Application) -> None:
    """A probe write succeeded in the database and in the content store."""
    client = await aiohttp_client(app)

    answer = await client.get("/readyz")

    assert answer.status == 200
    assert await answer.json() == {"status": "ok", "parts": {"database": {"ok": True}, "content": {"ok": True}}}


async def test_unavailable_names_the_part(
    aiohttp_client: AiohttpClient, app: web.Application, content: FakePart
) -> None:
    """The operator reads which part failed, and why."""
    content.failure = NoSpace("no room")
    client = await aiohttp_client(app)

    answer = await client.get("/readyz")

    assert answer.status == 503
    assert await answer.json() == {
        "status": "unavailable",
        "parts": {"database": {"ok": True}, "content": {"ok": False, "reason": "no room"}},
    }


async def test_failure_without_words_is_explained(
    aiohttp_client: AiohttpClient, app: web.Application, database: FakePart
) -> None:
    """An error's docstring is the sentence a person reads."""
    database.failure = DatabaseUnavailable()
    client = await aiohttp_client(app)

    parts = (await (await client.get("/readyz")).json())["parts"]

    assert parts["database"]["reason"] == DatabaseUnavailable.__doc__


async def test_parts_are_asked_at_most_every_five_seconds(content: FakePart, clock: Clock) -> None:
    """Load balancers ask often; the disk is written to seldom."""
    readiness = Readiness({"content": content.probe}, clock.now)

    await readiness.parts()
    clock.seconds += 4.9
    await readiness.parts()
    assert content.asked == 1

    clock.seconds += 0.1
    await readiness.parts()
    assert content.asked == 2


async def test_concurrent_requests_share_one_probe(content: FakePart, clock: Clock) -> None:
    """Many who ask at once cause one write."""
    readiness = Readiness({"content": content.probe}, clock.now)

    await asyncio.gather(*(readiness.parts() for _ in range(10)))

    assert content.asked == 1


async def test_recovery_is_seen(content: FakePart, clock: Clock) -> None:
    """A failure is not remembered for longer than a success."""
    readiness = Readiness({"content": content.probe}, clock.now)
    content.failure = NoSpace()
    assert (await readiness.parts())["content"].reason is not None

    content.failure = None
    clock.seconds += 5

    assert (await readiness.parts())["content"].reason is None


async def test_probe_that_hangs_has_failed(clock: Clock) -> None:
    """A disk that does not answer is not ready."""

    async def hang() -> None:
        await asyncio.Event().wait()

    readiness = Readiness({"content": hang}, clock.now, deadline_seconds=0.01)

    assert (await readiness.parts())["content"].reason == "no answer within 0.01 seconds"
