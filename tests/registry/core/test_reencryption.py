"""Bringing everything that is stored to how it is wanted, while it is served, pushed and deleted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from sqlalchemy import select, update

from registry.core.errors import BlobUnknown
from registry.core.names import RepositoryName, Tag
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import Span
from storage.digest import Digest
from storage.errors import KeyUnavailable, NoSpace, StoreUnavailable
from storage.metadata import schema
from storage.metadata.blobs import quarantine
from storage.metadata.domain_keys import plan_destruction
from tests.contracts.database_places import Place
from tests.registry.core.sealing import GAMMA, TEAM, SealingCore, at_step, nothing, open_sealing_core
from tests.registry.core.services import ALPHA, BETA, Clock

LARGE = b"layer " * 10_000
"""Several segments."""


@pytest.fixture
async def core(place: Place, clock: Clock) -> AsyncIterator[SealingCore]:
    async with open_sealing_core(place, clock) as core:
        yield core


@pytest.fixture
async def filled(core: SealingCore) -> SealingCore:
    """Plain content in both domains, and nothing but it from then on being sealed."""
    await core.push_to(LARGE, ALPHA, BETA, GAMMA)
    await core.push_to(b"", ALPHA)
    await core.push_image("app")
    core.turn(seals=True)
    return core


async def test_plain_content_is_sealed_where_it_is(filled: SealingCore) -> None:
    """Once for each domain that reads it; nothing plain is left."""
    done = await filled.convert()
    await filled.settle()

    assert [each.problem for each in done] == [""] * 3
    assert await filled.served() == [("AES256", 1), ("AES256", 1), (TEAM, 1)]
    assert await filled.manifests() == [("AES256", 1)]
    assert await filled.work().count() == 0
    for repository in (ALPHA, BETA, GAMMA):
        assert await filled.read(Digest.of(LARGE), repository) == LARGE
    assert LARGE[:64] not in b"".join(content for content, _ in filled.store._contents.copies.values())  # type: ignore[attr-defined]
    await filled.assert_nothing_else_is_stored()


async def test_a_sealed_manifest_is_what_was_pushed(filled: SealingCore) -> None:
    """With its annotations."""
    payload = await filled.push_image("app")
    core = filled

    await core.convert()
    await core.domains.rotate("AES256")
    await core.convert()

    assert (await core.images.find(ALPHA, Tag("app"))).payload == payload
    assert await core.manifests() == [("AES256", 2)]


async def test_what_an_earlier_key_seals_is_sealed_with_the_newest(filled: SealingCore) -> None:
    await filled.convert()
    await filled.domains.rotate("AES256")

    done = await filled.convert("AES256")
    await filled.settle()

    assert len(done) == 3
    assert await filled.served() == [("AES256", 2), ("AES256", 2), (TEAM, 1)]
    assert await filled.read(Digest.of(LARGE), BETA) == LARGE
    assert await filled.convert() == []


async def test_one_domain_is_brought_up_alone(filled: SealingCore) -> None:
    """The plain copy stays for those of others."""
    await filled.convert(TEAM)

    assert await filled.served() == [("", 0), ("", 0), (TEAM, 1)]
    assert await filled.manifests() == [("", 0)]


async def test_everything_is_plain_again_when_nothing_is_sealed(filled: SealingCore) -> None:
    await filled.convert()
    filled.turn(seals=False)

    await filled.convert()
    await filled.settle()

    assert await filled.served() == [("", 0), ("", 0)]
    assert await filled.manifests() == [("", 0)]
    assert await filled.read(Digest.of(LARGE), GAMMA) == LARGE
    await filled.assert_nothing_else_is_stored()


async def test_what_nobody_reads_is_removed_instead(filled: SealingCore) -> None:
    await filled.blobs.delete(ALPHA, Digest.of(b""))

    await filled.convert()
    await filled.settle()

    assert len(await filled.rows()) == 2
    await filled.assert_nothing_else_is_stored()


async def test_who_is_reading_goes_on_reading(filled: SealingCore) -> None:
    """Before, during and after; ranges too."""
    async with filled.blobs.open(ALPHA, Digest.of(LARGE)) as early:
        await filled.convert()
        async with filled.blobs.open(ALPHA, Digest.of(LARGE)) as late:
            for opened in (early, late):
                assert b"".join([part async for part in opened.read(Span(20_000, 9))]) == LARGE[20_000:20_009]

    await filled.settle()
    assert await filled.read(Digest.of(LARGE)) == LARGE


async def test_replaced_bytes_are_removed_while_the_run_goes_on(filled: SealingCore) -> None:
    """A registry is encrypted where it is, on a disk that does not hold it twice."""

    async def an_hour(step: str) -> None:
        filled.clock.time += 60 if step == "after a commit" else 0

    for number in range(9):
        await filled.push_to(b"more %d" % number, ALPHA)
    filled.turn(seals=False)
    for number in range(9):
        await filled.push_to(b"plain %d" % number, ALPHA)
    filled.turn(seals=True)
    filled.step = an_hour

    await filled.convert()

    assert sum(state == "deleting" for *_, state in await filled.rows()) < 9


@pytest.mark.parametrize("at_once", [True, False], ids=["at the step", "in the step after it"])
async def test_a_run_can_be_stopped_anywhere(core: SealingCore, *, at_once: bool) -> None:
    """What was stored is served at once, nothing is left behind, and another run goes on from there."""
    await core.push_to(LARGE, ALPHA, GAMMA)
    payload = await core.push_image("app")
    at, is_over = 0, False
    while not is_over:
        at += 1
        core.turn(seals=not core.encrypts)
        run = asyncio.ensure_future(core.convert())

        async def stop(run: asyncio.Task[object] = run) -> None:
            run.cancel()
            if at_once:
                await asyncio.sleep(0)

        core.step = at_step(at, stop)
        await asyncio.wait([run])
        core.step = nothing
        is_over = not run.cancelled()

        for repository in (ALPHA, GAMMA):
            assert await core.read(Digest.of(LARGE), repository) == LARGE
        assert (await core.images.find(ALPHA, Tag("app"))).payload == payload
        await core.assert_nothing_else_is_stored()
        await core.convert()
        assert await core.work().count() == 0
    assert at > 10


async def _push(core: SealingCore) -> None:
    await core.push_to(LARGE, ALPHA, BETA, GAMMA)


async def _delete(core: SealingCore) -> None:
    await core.blobs.delete(ALPHA, Digest.of(LARGE))


async def _mount(core: SealingCore) -> None:
    for repository in (BETA, GAMMA):
        assert await core.blobs.mount(repository, Digest.of(LARGE), source=ALPHA, choose=_first, create=False)


async def _first(names: Sequence[RepositoryName]) -> RepositoryName:
    return names[0]


async def _repair(core: SealingCore) -> None:
    """All copies are found bad, and pushed again."""
    for blob_id, key in await core.database.read(
        lambda c: list(c.execute(select(schema.blob.c.id, schema.blob.c.storage_key)))
    ):
        await core.database.write(lambda c, blob_id=blob_id, key=key: quarantine(c, blob_id, key))  # type: ignore[misc]  # mypy cannot infer it
    await core.push_to(LARGE, ALPHA, GAMMA)


async def _run_too(core: SealingCore) -> None:
    await core.convert()


async def _reads(core: SealingCore, repository: RepositoryName) -> bytes | None:
    try:
        return await core.read(Digest.of(LARGE), repository)
    except BlobUnknown:
        return None


@pytest.mark.parametrize(
    ("event", "readers"),
    [
        (_push, {ALPHA, BETA, GAMMA}),
        (_delete, {GAMMA}),
        (_mount, {ALPHA, BETA, GAMMA}),
        (_repair, {ALPHA, GAMMA}),
        (_run_too, {ALPHA, GAMMA}),
    ],
)
async def test_whatever_happens_at_any_step_counts(
    core: SealingCore,
    event: Callable[[SealingCore], Awaitable[None]],
    readers: set[RepositoryName],
) -> None:
    """Whoever was told that a blob is there reads it, and nothing is left behind."""
    at, is_over = -1, False
    while not is_over:
        at += 3  # at every third step, while sealing and opening in turns: each takes a while
        seals = at % 2 == 0
        core.turn(seals=not seals)
        await core.push_to(LARGE, ALPHA, GAMMA)
        await core.convert()
        core.turn(seals=seals)
        happened: list[bool] = []

        async def happen(happened: list[bool] = happened) -> None:
            happened.append(True)
            await event(core)

        core.step = at_step(at, happen)
        await core.convert()
        core.step = nothing
        is_over = not happened

        for repository in (ALPHA, BETA, GAMMA) if happened else ():
            assert await _reads(core, repository) == (LARGE if repository in readers else None)
        await core.convert()
        assert await core.work().count() == 0
        await core.settle()
        await core.assert_nothing_else_is_stored()
        for repository in {BETA} & readers if happened else ():
            await core.blobs.delete(repository, Digest.of(LARGE))
    assert at > 5


async def test_damaged_copies_are_told_and_stay(filled: SealingCore) -> None:
    contents = filled.store._contents.copies  # type: ignore[attr-defined]
    (key,) = [key for key, (content, _) in contents.items() if content]
    contents[key] = (b"x" * len(LARGE), 1.0)
    await filled.push_to(b"lost", ALPHA)
    filled.turn(seals=False)
    lost = await filled.push_to(b"gone", ALPHA)
    filled.turn(seals=True)
    del contents[(await filled.rows())[-1][0]]

    done = {each.digest: each.problem for each in await filled.convert()}

    assert done[str(Digest.of(LARGE))] == "; ".join(["its bytes are not what its digest names"] * 2)
    assert done[lost] == "its bytes are missing"
    assert done[str(Digest.of(b""))] == ""
    assert (await filled.served()).count(("", 0)) == 2


async def test_a_damaged_manifest_is_told_and_stays(filled: SealingCore) -> None:
    """It is not sealed as if it were what its digest names."""
    await filled.database.write(lambda c: c.execute(update(schema.manifest).values(payload=b"{}")))

    problems = [each.problem for each in await filled.convert() if each.problem]

    assert problems == ["it does not open: its bytes are not what its digest names"]
    assert await filled.manifests() == [("", 0)]


async def test_a_domain_that_is_being_destroyed_keeps_no_other_from_it(filled: SealingCore) -> None:
    await filled.database.write(lambda c: plan_destruction(c, TEAM, 9e9))

    problems = [each.problem for each in await filled.convert() if each.problem]

    (problem,) = problems
    assert problem.startswith(f"it cannot be opened or sealed: the keys of the encryption domain {TEAM} wait for")
    assert await filled.served() == [("", 0), ("AES256", 1), ("AES256", 1)]
    assert await filled.read(Digest.of(LARGE), ALPHA) == LARGE


@pytest.mark.parametrize(
    "error",
    [NoSpace(), StoreUnavailable("the disk is gone", is_away=True), KeyUnavailable("the service is away")],
    ids=["no space", "store away", "key away"],
)
async def test_what_concerns_all_ends_the_run_and_loses_nothing(filled: SealingCore, error: Exception) -> None:
    async def fail(step: str) -> None:
        if step == "before a commit":
            raise error

    filled.step = fail
    with pytest.raises(type(error)):
        await filled.convert()
    filled.step = nothing

    await filled.assert_nothing_else_is_stored()
    assert await filled.read(Digest.of(LARGE), BETA) == LARGE
    await filled.convert()
    assert await filled.work().count() == 0


async def test_one_copy_that_cannot_be_written_keeps_no_other_from_it(filled: SealingCore) -> None:
    failed = 0

    async def fail(step: str) -> None:
        nonlocal failed
        if step == "before a commit" and not failed:
            failed += 1
            raise StoreUnavailable("a sector is bad")

    filled.step = fail

    done = await filled.convert()

    assert [each.problem for each in done if each.problem] == ["its bytes cannot be read or written: a sector is bad"]
    assert await filled.work().count() == 1


async def test_plain_files_are_sealed_where_they_are(place: Place, clock: Clock, files: FilesystemStore) -> None:
    """Who opened a file before it was removed reads it to its end."""
    async with open_sealing_core(place, clock, store=files) as core:
        await core.push_to(LARGE, ALPHA)
        core.turn(seals=True)

        async with core.blobs.open(ALPHA, Digest.of(LARGE)) as opened:
            await core.convert()
            await core.settle()
            assert opened.reader is not None
            read = bytes(opened.reader.read(0, 6))

        assert read == LARGE[:6]
        assert await core.read(Digest.of(LARGE)) == LARGE
        await core.assert_nothing_else_is_stored()
