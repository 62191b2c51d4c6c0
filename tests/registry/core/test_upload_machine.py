"""Uploads in any order, against a model: sessions and blobs as plain bytes."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from registry.core.errors import SizeInvalid, TooManyUploads, UploadBusy, UploadOutOfOrder, UploadUnknown
from registry.core.incoming import Chunk
from registry.core.upload_hints import UploadHint
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch
from tests.contracts.blob_access import at
from tests.contracts.database_places import Place
from tests.registry.core.services import ALICE, LIMITS, NOTHING, Body, Broken, Clock, Core, chunk, open_core

CONTENT = st.binary(max_size=6)
UNKNOWN = "ffffffff-0000-4000-8000-000000000000"


class UploadMachine(RuleBasedStateMachine):
    """Drives the uploads and a model of them: what each session was promised, and what is readable."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.opened = open_core(place, self.clock)
        self.core: Core = self.runner.run(self.opened.__aenter__())
        self.sessions: dict[str, bytes] = {}
        self.touched: dict[str, float] = {}
        self.hints: dict[str, UploadHint] = {}
        self.blobs: set[bytes] = set()

    def teardown(self) -> None:
        for content in self.blobs:
            assert self.runner.run(self.core.read(Digest.of(content))) == content
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()

    def choose(self, draw: st.DataObject) -> str:
        return draw.draw(st.sampled_from(sorted(self.sessions)))

    def touch(self, upload_id: str, content: bytes) -> None:
        """The session was promised more bytes; even a body without a byte tells that the client is there."""
        self.sessions[upload_id] += content
        self.touched[upload_id] = self.clock.time

    def forget(self, upload_id: str) -> None:
        del self.sessions[upload_id], self.touched[upload_id]
        self.hints.pop(upload_id, None)

    @rule()
    def wait(self) -> None:
        self.clock.time += 10

    @rule()
    def start(self) -> None:
        attempt = self.core.uploads.start(ALICE, Algorithm.SHA256, create=True)
        if len(self.sessions) == LIMITS.sessions:
            with pytest.raises(TooManyUploads):
                self.runner.run(attempt)
        else:
            upload_id = self.runner.run(attempt).upload_id
            self.sessions[upload_id] = b""
            self.touched[upload_id] = self.clock.time

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), content=CONTENT, says_where=st.booleans())
    def append(self, draw: st.DataObject, content: bytes, *, says_where: bool) -> None:
        upload_id = self.choose(draw)
        start = len(self.sessions[upload_id]) if says_where else None
        progress = self.runner.run(self.core.uploads.append(ALICE, upload_id, chunk(content, start)))
        self.touch(upload_id, content)
        assert progress.offset == len(self.sessions[upload_id])
        if progress.hint is not None:
            assert progress.hint == UploadHint(progress.offset, Digest.of(self.sessions[upload_id]))
            self.hints[upload_id] = progress.hint

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), content=CONTENT, start=st.integers(0, 20))
    def append_out_of_order(self, draw: st.DataObject, content: bytes, start: int) -> None:
        upload_id = self.choose(draw)
        if start == len(self.sessions[upload_id]):
            return
        with pytest.raises(UploadOutOfOrder) as caught:
            self.runner.run(self.core.uploads.append(ALICE, upload_id, chunk(content, start)))
        assert caught.value.offset == len(self.sessions[upload_id])

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), content=CONTENT, is_last=st.booleans())
    def break_off(self, draw: st.DataObject, content: bytes, *, is_last: bool) -> None:
        upload_id = self.choose(draw)
        body = Chunk(Body([content], Broken()))
        attempt: Awaitable[object] = (
            self.core.uploads.finish(ALICE, upload_id, Digest.of(b""), body, hint=None, create=True)
            if is_last
            else self.core.uploads.append(ALICE, upload_id, body)
        )
        with pytest.raises(Broken):
            self.runner.run(_awaited(attempt))
        self.touch(upload_id, content)

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), content=CONTENT)
    def announce_wrongly(self, draw: st.DataObject, content: bytes) -> None:
        upload_id = self.choose(draw)
        start = len(self.sessions[upload_id])
        with pytest.raises(SizeInvalid):
            self.runner.run(self.core.uploads.append(ALICE, upload_id, Chunk(Body([content]), start, len(content) + 1)))

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), content=CONTENT)
    def write_twice_at_once(self, draw: st.DataObject, content: bytes) -> None:
        upload_id = self.choose(draw)

        async def meanwhile() -> None:
            with pytest.raises(UploadBusy):
                await self.core.uploads.append(ALICE, upload_id, chunk(b"other"))

        self.runner.run(self.core.uploads.append(ALICE, upload_id, Chunk(Body([content], meanwhile=meanwhile))))
        self.touch(upload_id, content)

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), unpromised=st.binary(min_size=1, max_size=4))
    def die_in_a_chunk(self, draw: st.DataObject, unpromised: bytes) -> None:
        """A server dies with bytes that nobody was told of."""
        upload_id = self.choose(draw)

        async def die() -> None:
            offset = at(len(self.sessions[upload_id]))
            async with self.core.store.stage(upload_id, Algorithm.SHA256, offset) as writer:
                await writer.write([unpromised])

        self.runner.run(die())

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), last=CONTENT, uses_hint=st.booleans())
    def finish(self, draw: st.DataObject, last: bytes, *, uses_hint: bool) -> None:
        upload_id = self.choose(draw)
        content = self.sessions[upload_id] + last
        hint = self.hints.get(upload_id) if uses_hint else None
        self.runner.run(
            self.core.uploads.finish(ALICE, upload_id, Digest.of(content), chunk(last), hint=hint, create=True)
        )
        self.blobs.add(content)
        self.forget(upload_id)

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data(), uses_hint=st.booleans())
    def finish_wrongly(self, draw: st.DataObject, *, uses_hint: bool) -> None:
        upload_id = self.choose(draw)
        digest = Digest.of(self.sessions[upload_id] + b"!")
        hint = self.hints.get(upload_id) if uses_hint else None
        with pytest.raises(DigestMismatch):
            self.runner.run(self.core.uploads.finish(ALICE, upload_id, digest, NOTHING, hint=hint, create=True))
        self.forget(upload_id)

    @precondition(lambda self: self.sessions)
    @rule(draw=st.data())
    def cancel(self, draw: st.DataObject) -> None:
        upload_id = self.choose(draw)
        self.runner.run(self.core.uploads.cancel(ALICE, upload_id))
        self.forget(upload_id)

    @rule(age=st.sampled_from([5, 15, 25]))
    def sweep(self, age: float) -> None:
        since = self.clock.time - age
        idle = [upload_id for upload_id, touched in self.touched.items() if touched < since]
        assert self.runner.run(self.core.uploads.sweep(idle_since=since)) == len(idle)
        for upload_id in idle:
            self.forget(upload_id)

    @invariant()
    def sessions_stand_where_they_were_promised(self) -> None:
        for upload_id, content in self.sessions.items():
            assert self.runner.run(self.core.uploads.status(ALICE, upload_id)).offset == len(content)
        with pytest.raises(UploadUnknown):
            self.runner.run(self.core.uploads.status(ALICE, UNKNOWN))

    @invariant()
    def the_store_holds_no_more_than_the_model(self) -> None:
        found = self.runner.run(self.core.stored())
        assert {upload_id for upload_id, _ in found if upload_id} <= self.sessions.keys()
        assert sorted(size for upload_id, size in found if not upload_id) == sorted({len(b) for b in self.blobs})


async def _awaited(attempt: Awaitable[object]) -> object:
    return await attempt


def test_no_order_of_requests_loses_or_adds_a_byte(template: Place, tmp_path: Path) -> None:
    """Whatever clients do, a session stands where its client was told, and a blob is what its digest says."""
    numbers = itertools.count()

    def machine() -> UploadMachine:
        folder = tmp_path / str(next(numbers))
        return UploadMachine(_copy(template, folder))

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # documented: a factory is as good as a class
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def _copy(template: Place, folder: Path) -> Place:
    copied = template.copied(folder)
    return asyncio.run(_entered(copied.__aenter__))


async def _entered(enter: Callable[[], Awaitable[Place]]) -> Place:
    return await enter()
