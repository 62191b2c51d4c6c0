"""Checking everything that is stored."""

from collections.abc import AsyncGenerator, Callable

import pytest
from sqlalchemy import select, update

from registry.core.errors import BlobUnknown
from registry.core.verification import Checked
from storage.blobs.filesystem import FilesystemStore
from storage.blobs.interface import Expected, Span
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.errors import DomainUnusable, KeyUnavailable, StoreUnavailable, WrongKey
from storage.metadata import verification
from storage.metadata.schema import blob, manifest
from tests.registry.core.documents import image, parsed
from tests.registry.core.opening import DAMAGED, OpeningStore
from tests.registry.core.services import ALPHA, Core
from tests.registry.core.test_reading import seal_anew

HELLO = Digest.of(b"hello")


def damage(core: Core, content: bytes | None) -> None:
    """Replace the bytes of the one stored copy, or lose them."""
    assert isinstance(core.store, MemoryStore)
    copies = core.store._contents.copies
    [key] = copies
    copies.pop(key)
    if content is not None:
        copies[key] = (content, 0.0)


async def verify(core: Core, chosen: Callable[[str], bool] = lambda _: True) -> list[Checked]:
    return [checked async for checked in core.verification.run(chosen=chosen)]


async def test_good_content_has_no_problem(core: Core) -> None:
    await core.push_blob(b"{}")
    pushed = parsed(image())
    await core.push(pushed)

    assert await verify(core) == [
        Checked(str(Digest.of(b"{}")), 2, None),
        Checked(str(pushed.digest), len(pushed.payload), None),
    ]
    assert await core.verification.count() == 2


async def test_an_empty_registry_has_nothing_to_look_at(core: Core) -> None:
    assert await verify(core) == []
    assert await core.verification.count() == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hellO", "its bytes are not what its digest names"),
        (b"hell", "it has 4 bytes, not 5"),
        (b"hello!", "it has 6 bytes, not 5"),
        (None, "its bytes are missing"),
    ],
)
async def test_a_bad_copy_is_found(core: Core, content: bytes | None, problem: str) -> None:
    await core.push_blob(b"hello")
    damage(core, content)

    assert await verify(core) == [Checked(str(HELLO), 5, problem)]


async def test_a_bad_copy_is_not_served_again(core: Core) -> None:
    await core.push_blob(b"hello")
    damage(core, b"hellO")

    await verify(core)

    with pytest.raises(BlobUnknown):
        await core.blobs.find(ALPHA, HELLO)


async def test_a_push_repairs_a_bad_copy(core: Core) -> None:
    await core.push_blob(b"hello")
    damage(core, b"hellO")
    await verify(core)

    await core.push_blob(b"hello")

    assert await core.read(HELLO) == b"hello"
    assert await verify(core) == [Checked(str(HELLO), 5, None)]


async def test_a_bad_manifest_is_found(core: Core) -> None:
    await core.push_blob(b"{}")
    pushed = parsed(image())
    await core.push(pushed)
    await core.database.write(lambda c: c.execute(update(manifest).values(payload=b"x")).close())

    checked = await verify(core)

    assert checked[1] == Checked(str(pushed.digest), len(pushed.payload), "its bytes are not what its digest names")


async def test_only_what_was_chosen_is_looked_at(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"other")

    assert await verify(core, lambda digest: digest == str(HELLO)) == [Checked(str(HELLO), 5, None)]


async def test_more_than_a_page_is_looked_at(core: Core) -> None:
    """Copies are read from the database by the page."""
    for number in range(201):
        await core.push_blob(b"%d" % number)

    assert len(await verify(core)) == 201


async def test_a_bad_copy_is_bad_until_it_is_repaired(core: Core) -> None:
    """A second look must not call a registry well that misses content."""
    await core.push_blob(b"hello")
    damage(core, b"hellO")

    first, second = await verify(core), await verify(core)

    assert first == second == [Checked(str(HELLO), 5, "its bytes are not what its digest names")]
    assert await core.verification.count() == 1


async def test_a_bad_copy_that_nobody_reads_any_more_is_not_bad(core: Core) -> None:
    await core.push_blob(b"hello")
    damage(core, b"hellO")
    await verify(core)
    await core.push_blob(b"hello")

    assert await verify(core) == [Checked(str(HELLO), 5, None)]


async def test_a_quarantined_copy_whose_bytes_are_good_is_served_again(core: Core) -> None:
    """It was away for a while, not lost."""
    await core.push_blob(b"hello")
    damage(core, None)
    key = await core.database.read(lambda c: c.execute(select(blob.c.storage_key)).scalar_one())
    assert (await verify(core))[0].problem == "its bytes are missing"
    assert isinstance(core.store, MemoryStore)
    core.store._contents.copies[key] = (b"hello", 0.0)

    assert await verify(core) == [Checked(str(HELLO), 5, None)]

    assert await core.read(HELLO) == b"hello"


async def fill(core: Core, count: int) -> None:
    for number in range(count):
        await core.push_blob(b"%d" % number)


def lose(core: Core, count: int) -> None:
    """Lose the first copies."""
    assert isinstance(core.store, MemoryStore)
    for key in list(core.store._contents.copies)[:count]:
        core.store._contents.copies.pop(key)


async def states(core: Core) -> set[str]:
    return set(await core.database.read(lambda c: list(c.execute(select(blob.c.state)).scalars())))


async def test_a_store_that_lost_most_is_away(core: Core) -> None:
    """More than ten objects missing, and more than half of those looked at: nothing is given up."""
    await fill(core, 30)
    lose(core, 20)

    with pytest.raises(StoreUnavailable, match=r"\d+ of the first \d+ objects cannot be found"):
        await verify(core)

    assert await states(core) == {"stored"}


async def test_what_was_lost_before_says_nothing_about_the_store(core: Core) -> None:
    """A registry that lost most of its content can still be checked."""
    await fill(core, 10)
    lose(core, 10)
    await verify(core)
    await core.push_blob(b"hello")
    lose(core, 1)

    assert [checked.problem for checked in await verify(core)] == ["its bytes are missing"] * 11


async def test_ten_copies_can_be_missing(core: Core) -> None:
    """A small registry may have lost all that it had."""
    await fill(core, 10)
    lose(core, 10)

    assert {checked.problem for checked in await verify(core)} == {"its bytes are missing"}
    assert await states(core) == {"quarantined"}


class Unreadable(MemoryStore):
    """A store that fails to give one copy, or all."""

    is_away = False

    async def read(self, key: str, span: Span, *, expected: Expected | None = None) -> AsyncGenerator[bytes, None]:
        if HELLO.hex in key:
            raise StoreUnavailable("the disk failed", is_away=self.is_away)
        async for chunk in super().read(key, span, expected=expected):
            yield chunk


async def test_a_copy_that_cannot_be_read_does_not_end_the_run(core: Core) -> None:
    """It is named, and kept: the disk may give it another time."""
    await core.push_blob(b"hello")
    await core.push_blob(b"other")
    core.store.__class__ = Unreadable

    checked = await verify(core)

    assert [found.problem for found in checked] == ["its bytes cannot be read: the disk failed", None]
    assert await states(core) == {"stored"}


async def test_a_store_that_is_away_ends_the_run(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    await core.push_blob(b"gone")
    damage(core, None)
    await core.push_blob(b"hello")
    core.store.__class__ = Unreadable
    monkeypatch.setattr(Unreadable, "is_away", True)

    with pytest.raises(StoreUnavailable):
        await verify(core)

    assert await states(core) == {"stored"}


async def test_manifests_are_read_by_their_bytes(core: Core) -> None:
    """However large they are, few are in memory at once; one larger than the page comes alone."""
    await core.push_blob(b"{}")
    for number in range(3):
        await core.push(parsed(image(annotations={"n": "x" * 1000 * (number + 1)})), f"t{number}")
    every = await core.database.scan(
        lambda c: verification.list_manifests(c, after=(0, ""), limit=10, limit_bytes=10_000_000)
    )
    limit = len(every[0].payload) + 1

    after, pages = (0, ""), []
    while page := await core.database.scan(
        lambda c, after=after: verification.list_manifests(c, after=after, limit=10, limit_bytes=limit)  # type: ignore[misc]  # a default binds the loop's value
    ):
        pages.append(page)
        after = (page[-1].repository_id, page[-1].digest)

    assert [found for page in pages for found in page] == every
    assert [len(page) for page in pages] == [1, 1, 1]


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (
            DomainUnusable("AES256", "are being destroyed"),
            "it cannot be opened: the keys of the encryption domain AES256 are being destroyed",
        ),
        (WrongKey(), f"it cannot be opened: {WrongKey()}"),
    ],
)
async def test_a_copy_without_a_key_is_named_and_kept(
    opening_core: Core, opening: OpeningStore, failure: Exception, problem: str
) -> None:
    """It may be asked for again, with the right database or before its domain is destroyed."""
    await opening_core.push_blob(b"hello")
    opening.failure = failure

    assert await verify(opening_core) == [Checked(str(HELLO), 5, problem)]
    assert await states(opening_core) == {"stored"}


async def test_a_key_that_cannot_be_had_ends_the_run(opening_core: Core, opening: OpeningStore) -> None:
    await opening_core.push_blob(b"hello")
    opening.failure = KeyUnavailable("the key service does not answer: try again")

    with pytest.raises(KeyUnavailable):
        await verify(opening_core)

    assert await states(opening_core) == {"stored"}


async def test_a_copy_that_does_not_open_is_bad(opening_core: Core, opening: OpeningStore) -> None:
    await opening_core.push_blob(b"hello")
    opening.damage(0)

    assert await verify(opening_core) == [Checked(str(HELLO), 5, f"it does not open: {DAMAGED}")]
    assert await states(opening_core) == {"quarantined"}


async def test_a_copy_that_is_stored_anew_meanwhile_is_looked_at_again(
    opening_core: Core, opening: OpeningStore
) -> None:
    await opening_core.push_blob(b"hello")
    opening.meanwhile = lambda: seal_anew(opening_core)

    assert await verify(opening_core) == [Checked(str(HELLO), 5, None)]


async def test_files_are_looked_at(core_on_files: Core, files: FilesystemStore) -> None:
    await core_on_files.push_blob(b"hello")
    good = await verify(core_on_files)
    [copy] = [path for path in files._disk.blobs.rglob("*") if path.is_file()]
    copy.write_bytes(b"hellO")

    bad = await verify(core_on_files)

    assert good == [Checked(str(HELLO), 5, None)]
    assert bad == [Checked(str(HELLO), 5, "its bytes are not what its digest names")]
