"""Guessing passwords over HTTP: when it is slowed down, and whom that leaves alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest
from sqlalchemy import update

from storage.metadata.activity_schema import login_failure
from storage.metadata.sqlite import SqliteDatabase
from tests.http.client import ADMIN, USER, USER_PASSWORD, Answer, Registry, Start, basic
from tests.http.people import administered

WRONG = basic("bob", "wrong")
PROXIED = {"server": {"trusted_proxies": ["127.0.0.1"]}}


async def fail(registry: Registry, times: int, path: str = "/v2/", authorization: str = WRONG) -> None:
    for _ in range(times):
        assert (await registry.get(path, authorization=authorization)).refusal == (401, "UNAUTHORIZED")


async def is_blocked(registry: Registry, authorization: str = USER) -> bool:
    answer = await registry.get("/v2/", authorization=authorization)
    if answer.status == 200:
        return False
    assert answer.refusal == (429, "TOOMANYREQUESTS")
    return True


async def let_time_pass(registry: Registry, seconds: float) -> None:
    """Make every wrong password so much older, as another process would."""
    activity = SqliteDatabase(registry.root / "activity.db", durable=False)
    older = update(login_failure).values(began_at=login_failure.c.began_at - seconds)
    await activity.write(lambda connection: connection.execute(older).rowcount)
    await activity.close()


@pytest.mark.parametrize("path", ["/v2/", "/v2/alpha/manifests/latest", "/auth/token", "/auth/token?scope=x"])
async def test_ten_wrong_passwords_a_minute_are_answered(registry: Registry, path: str) -> None:
    """The eleventh is told when to come back, at every door; a right one has to wait, too."""
    await fail(registry, 10, path)

    for authorization in (WRONG, USER):
        answer = await registry.get(path, authorization=authorization)
        assert answer.refusal == (429, "TOOMANYREQUESTS")
        assert 50 <= int(answer.headers["Retry-After"]) <= 60
        assert "WWW-Authenticate" not in answer.headers


async def test_doors_count_together(registry: Registry) -> None:
    """Nobody gets ten tries at each of them."""
    await fail(registry, 4, "/v2/")
    await fail(registry, 3, "/auth/token")
    form = urlencode({"grant_type": "password", "username": "bob", "password": "wrong", "service": "lading"})
    for _ in range(3):
        assert (await registry.post("/auth/token", form.encode(), authorization=None)).status == 401

    assert (await registry.post("/auth/token", form.encode(), authorization=None)).status == 429
    assert await is_blocked(registry)


async def test_unknown_user_is_blocked_like_a_known_one(registry: Registry) -> None:
    """That somebody has to wait does not tell that he exists."""
    await fail(registry, 10)
    await fail(registry, 10, authorization=basic("nobody", "wrong"))

    known = await registry.get("/v2/", authorization=WRONG)
    unknown = await registry.get("/v2/", authorization=basic("nobody", "wrong"))

    assert (known.status, known.headers.keys()) == (unknown.status, unknown.headers.keys())
    assert [known.document["errors"][0].keys(), known.codes] == [
        unknown.document["errors"][0].keys(),
        unknown.codes,
    ]


async def test_another_user_at_the_same_client_goes_on(registry: Registry) -> None:
    await fail(registry, 10)

    assert await is_blocked(registry)
    assert not await is_blocked(registry, ADMIN)


async def test_block_ends_after_a_minute(registry: Registry) -> None:
    await fail(registry, 10)
    assert await is_blocked(registry)

    await let_time_pass(registry, 60)

    assert not await is_blocked(registry)


@pytest.mark.settings(limits={"login_attempts": 2})
async def test_bound_is_a_setting(registry: Registry) -> None:
    await fail(registry, 2)

    assert await is_blocked(registry)


@pytest.mark.settings(**PROXIED)
async def test_same_user_at_another_client_goes_on(registry: Registry) -> None:
    """Guessing locks the guesser out, not the user; behind a proxy that is trusted, clients are told apart."""

    async def ask(address: str, authorization: str) -> Answer:
        return await registry.get("/v2/", headers=(("X-Forwarded-For", address),), authorization=authorization)

    for number in range(10):
        assert (await ask(f"2001:db8::{number}", WRONG)).status == 401

    assert (await ask("2001:db8::aaaa", USER)).status == 429
    assert (await ask("192.0.2.8", USER)).status == 200
    assert (await ask("2001:db8:0:1::1", USER)).status == 200


async def test_forwarded_address_is_not_believed_from_anybody(registry: Registry) -> None:
    """Who is no trusted proxy does not become another client by saying so."""
    for number in range(10):
        header = (("X-Forwarded-For", f"192.0.2.{number}"),)
        assert (await registry.get("/v2/", headers=header, authorization=WRONG)).status == 401

    header = (("X-Forwarded-For", "192.0.2.99"),)
    assert (await registry.get("/v2/", headers=header, authorization=USER)).status == 429


async def test_block_survives_a_restart(start: Start) -> None:
    async with start() as registry:
        await fail(registry, 10)

    async with start() as registry:
        assert await is_blocked(registry)
        assert not await is_blocked(registry, ADMIN)


@asynccontextmanager
async def two_workers(start: Start) -> AsyncIterator[tuple[Registry, Registry]]:
    async with start() as one, start() as other:
        yield one, other


async def test_workers_count_together(start: Start) -> None:
    """Asking them in turn gets nobody more tries."""
    async with two_workers(start) as (one, other):
        for registry in (one, other) * 5:
            await fail(registry, 1)

        assert await is_blocked(one)
        assert await is_blocked(other)


async def test_tokens_go_on_while_their_user_is_blocked(registry: Registry) -> None:
    """Whoever is logged in already is not logged out by a stranger behind the same address."""
    token = await registry.token(authorization=USER)
    await fail(registry, 10)

    assert await is_blocked(registry)
    assert not await is_blocked(registry, token)


async def test_bad_tokens_never_count(registry: Registry) -> None:
    """They cannot be guessed, and clients send expired ones all day."""
    for _ in range(15):
        assert (await registry.get("/v2/", authorization="Bearer a.b.c")).status == 401
        assert (await registry.get("/auth/token", authorization="Bearer a.b.c")).status == 401

    assert not await is_blocked(registry)


async def test_requests_without_credentials_never_count(registry: Registry) -> None:
    """Every client begins with one."""
    for _ in range(15):
        assert (await registry.get("/v2/", authorization=None)).status == 401

    assert not await is_blocked(registry)


async def test_unreadable_credentials_never_count(registry: Registry) -> None:
    for _ in range(15):
        assert (await registry.get("/v2/", authorization="Basic !")).status == 401

    assert not await is_blocked(registry)


async def test_wrong_secrets_of_an_access_key_count(registry: Registry) -> None:
    """For the key alone: its user's password is another login."""
    async with administered(registry.root) as people:
        key = await people.keys.create("bob")
    await fail(registry, 10, authorization=basic(key.id, "wrong"))

    assert await is_blocked(registry, basic(key.id, key.secret))
    assert not await is_blocked(registry)


async def test_logins_go_on_while_the_activity_database_is_away(registry: Registry) -> None:
    """A worker counts by itself then: who pulls has to log in first, and who guesses has to wait all the same."""
    (registry.root / "activity.db").rename(registry.root / "elsewhere.db")

    assert (await registry.get("/auth/token", authorization=USER)).status == 200
    await fail(registry, 10)

    assert await is_blocked(registry)


SAME = [("bob", "wrong"), ("nobody", "wrong"), ("nobody", USER_PASSWORD), ("robot", ""), ("carol", "wrong")]


@pytest.mark.parametrize("way", ["/v2/", "/auth/token", "/auth/token?account=x&service=lading", "form"])
async def test_nobody_learns_which_users_there_are(registry: Registry, way: str) -> None:
    """Wrong password, unknown user, no password, disabled user with the right one: the same answer to the byte."""
    async with administered(registry.root) as people:
        await people.accounts.create_user("robot", None)
        await people.accounts.create_user("carol", "right")
        await people.accounts.update_user("carol", disabled=True)

    answers = []
    for name, password in (*SAME, ("carol", "right")):
        if way == "form":
            form = urlencode({"grant_type": "password", "username": name, "password": password})
            answer = await registry.post("/auth/token", form.encode(), authorization=None)
        else:
            answer = await registry.get(way, authorization=basic(name, password))
        headers = sorted((key, value) for key, value in answer.headers.items() if key != "Date")
        answers.append((answer.status, answer.body, headers))

    assert answers[0][0] == 401
    assert answers == answers[:1] * len(answers)
