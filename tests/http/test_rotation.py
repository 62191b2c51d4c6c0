"""Signing keys taking turns while two workers serve: nothing that was signed fails, whoever verifies it."""

import asyncio
import sys
from typing import Any

import jwt

from tests.http.client import Registry, Start
from tests.http.people import administered


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token.removeprefix("Bearer "))["kid"])


async def published(registry: Registry) -> list[str]:
    answer = await registry.get("/auth/jwks.json", authorization=None)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    return [key["kid"] for key in answer.document["keys"]]


async def opens(registry: Registry, token: str) -> int:
    return (await registry.get("/v2/", authorization=token)).status


async def test_rotation_is_seen_by_every_worker_at_the_next_request(start: Start) -> None:
    """A token of the next key is good on a worker that was idle meanwhile; one of the key before stays good."""
    async with start() as one, start() as idle, administered(one.root) as people:
        before = await one.token()
        for algorithm in ("EdDSA", "RS256", "ES256"):
            made = await people.signing_keys.rotate(algorithm)
            after = await one.token()

            assert kid_of(after) == made.kid
            assert [await opens(worker, token) for worker in (idle, one) for token in (after, before)] == [200] * 4
        assert await published(idle) == await published(one)
        assert len(await published(one)) == 4


async def test_next_key_is_published_before_it_signs(registry: Registry) -> None:
    """So that others who keep our keys know it in time."""
    async with administered(registry.root) as people:
        (current,) = await published(registry)
        following = await people.signing_keys.rotate("ES256", 600)

        assert await published(registry) == [current, following.kid]
        assert kid_of(await registry.token()) == current


async def test_retired_key_is_refused_on_every_worker(start: Start) -> None:
    """Its tokens are invalid at the next request, and it is published no more."""
    async with start() as one, start() as other, administered(one.root) as people:
        token = await one.token()
        assert [await opens(worker, token) for worker in (one, other)] == [200, 200]
        made = await people.signing_keys.rotate("ES256")

        await people.signing_keys.retire(kid_of(token))

        for worker in (one, other):
            answer = await worker.get("/v2/", authorization=token)
            assert answer.refusal == (401, "UNAUTHORIZED")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
            assert await published(worker) == [made.kid]


async def test_nothing_fails_while_a_command_rotates(start: Start) -> None:
    """Tokens are fetched from one worker and used on the other all the while."""
    async with start() as one, start() as other:
        first = kid_of(await one.token())
        rotating = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "registry", "signing", "rotate", "--root", str(one.root)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        waiting: asyncio.Task[Any] = asyncio.ensure_future(rotating.wait())
        seen: set[str] = set()

        while not waiting.done() or len(seen) < 2:
            token = await one.token()
            seen.add(kid_of(token))
            assert await opens(other, token) == 200

        assert waiting.result() == 0
        assert first in seen
