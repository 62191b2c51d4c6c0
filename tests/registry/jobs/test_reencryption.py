"""The job that re-encrypts what somebody asked for, and removes what was replaced."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest
import structlog
from sqlalchemy import Connection

from registry.jobs.reencryption import Reencrypting
from storage.digest import Digest
from storage.errors import DatabaseUnavailable
from storage.metadata.database import Database
from storage.metadata.domain_keys import plan_destruction
from storage.metadata.reencryption import Request, list_requests
from tests.contracts.database_places import Place, template_place
from tests.registry.core.sealing import GAMMA, TEAM, SealingCore, SteppingDatabase, open_sealing_core
from tests.registry.core.services import ALPHA, Clock

T = TypeVar("T")
CONTENT = b"a layer"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with template_place("sqlite", tmp_path_factory.mktemp("template")) as place:
        yield place


@pytest.fixture
async def core(template: Place, tmp_path: Any) -> AsyncIterator[SealingCore]:
    """Plain content in two domains, to be sealed."""
    async with template.copied(tmp_path) as place, open_sealing_core(place, Clock()) as core:
        await core.push_to(CONTENT, ALPHA, GAMMA)
        core.turn(seals=True)
        yield core


class Watched:
    """A database of which every question is counted."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.asked: list[str] = []

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.asked.append("read")
        return await self._inner.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        self.asked.append("scan")
        return await self._inner.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        self.asked.append("write")
        return await self._inner.write(change)

    async def close(self) -> None:
        """Leave it open."""


def job(core: SealingCore, database: Database | None = None, *, encrypts: bool = True) -> Reencrypting:
    return Reencrypting(database or core.database, core.places, core.seals, core.clock, encrypts=encrypts)


async def requests(core: SealingCore) -> list[Request]:
    return await core.database.read(list_requests)


async def test_an_idle_registry_is_asked_one_question(core: SealingCore) -> None:
    """And nothing is written."""
    watched = Watched(core.database)

    await job(core, watched).run()

    assert watched.asked == ["read"]


async def test_what_was_asked_for_is_done_once(core: SealingCore) -> None:
    await core.domains.rotate("AES256", reencrypt=True)

    with structlog.testing.capture_logs() as logs:
        await job(core).run()

    assert await core.served() == [("", 0), ("AES256", 2)]
    assert await requests(core) == []
    assert logs == [
        {
            "event": "an encryption domain was re-encrypted",
            "log_level": "info",
            "domain": "AES256",
            "rewritten": 1,
            "failed": 0,
            "total": 1,
        }
    ]


async def test_what_was_replaced_is_removed_when_its_grace_is_over(core: SealingCore) -> None:
    """A memory store is asked for one part after another, as a bucket is."""
    await core.convert()
    await job(core).run()
    assert "deleting" in {state for *_, state in await core.rows()}

    core.clock.time += 3601
    await job(core).run()

    assert {state for *_, state in await core.rows()} == {"stored"}
    await core.assert_nothing_else_is_stored()


async def test_a_long_run_is_told_of(core: SealingCore) -> None:
    for number in range(4):
        await core.push_to(b"%d" % number, ALPHA)
    await core.domains.rotate("AES256", reencrypt=True)

    async def a_minute(step: str) -> None:
        core.clock.time += 60 if step == "after a scan" else 0

    core.step = a_minute
    with structlog.testing.capture_logs() as logs:
        await job(core, SteppingDatabase(core.database, core)).run()

    told = [log for log in logs if log["event"] == "an encryption domain is being re-encrypted"]
    assert len(told) >= 2
    assert (told[0]["domain"], told[0]["rewritten"], told[0]["total"]) == ("AES256", 1, 5)


async def test_a_failing_domain_is_told_tried_again_and_keeps_no_other_from_it(core: SealingCore) -> None:
    await core.domains.rotate("AES256", reencrypt=True)
    await core.domains.rotate(TEAM, reencrypt=True)
    core.roots.is_away = True
    with structlog.testing.capture_logs() as logs:
        await job(core).run()
    assert len(await requests(core)) == 2

    core.roots.is_away = False
    core.clock.time += 6
    await job(core).run()

    assert [(log["log_level"], log["domain"], log["error"]) for log in logs] == [
        ("warning", domain, "the key management service does not answer") for domain in ("AES256", TEAM)
    ]
    assert await requests(core) == []
    assert await core.served() == [("AES256", 2), (TEAM, 2)]


async def test_a_domain_that_is_destroyed_is_told_once(core: SealingCore) -> None:
    await core.domains.rotate(TEAM, reencrypt=True)
    await core.database.write(lambda c: plan_destruction(c, TEAM, 9e9))

    with structlog.testing.capture_logs() as logs:
        await job(core).run()

    assert [log["event"] for log in logs] == ["an encryption domain is not re-encrypted"]
    assert await requests(core) == []


async def test_a_bad_object_is_told_and_not_tried_for_ever(core: SealingCore) -> None:
    core.store._contents.copies.clear()  # type: ignore[attr-defined]
    await core.domains.rotate("AES256", reencrypt=True)

    with structlog.testing.capture_logs() as logs:
        await job(core).run()

    assert (logs[0]["digest"], logs[0]["problem"]) == (str(Digest.of(CONTENT)), "its bytes are missing")
    assert (logs[1]["rewritten"], logs[1]["failed"]) == (0, 1)
    assert await requests(core) == []


async def test_a_rotation_during_a_run_is_not_forgotten(core: SealingCore) -> None:
    await core.domains.rotate("AES256", reencrypt=True)
    rotated = False

    async def rotate(step: str) -> None:
        nonlocal rotated
        if step == "before a change" and not rotated:
            rotated = True
            await core.domains.rotate("AES256", reencrypt=True)

    core.step = rotate
    await job(core, SteppingDatabase(core.database, core)).run()

    assert await requests(core) == [Request("AES256", 3)]
    await job(core).run()
    assert await requests(core) == []


async def test_where_nothing_is_encrypted_what_was_asked_for_waits(core: SealingCore) -> None:
    await core.domains.rotate("AES256", reencrypt=True)

    await job(core, encrypts=False).run()

    assert await requests(core) == [Request("AES256", 2)]
    assert await core.served() == [("", 0)]


async def test_a_database_that_is_away_keeps_the_request(core: SealingCore) -> None:
    await core.domains.rotate("AES256", reencrypt=True)

    async def fail(step: str) -> None:
        if step == "before a change":
            raise DatabaseUnavailable("it is locked")

    core.step = fail
    with structlog.testing.capture_logs() as logs:
        await job(core, SteppingDatabase(core.database, core)).run()

    assert [log["error"] for log in logs] == ["it is locked"]
    assert await requests(core) == [Request("AES256", 2)]
    assert await core.read(Digest.of(CONTENT)) == CONTENT
