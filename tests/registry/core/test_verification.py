"""Checking everything that is stored."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from registry.core.errors import BlobUnknown
from registry.core.verification import Checked
from storage.blobs.memory import MemoryStore
from storage.digest import Digest
from storage.metadata.schema import manifest
from tests.registry.core.documents import image, parsed
from tests.registry.core.services import ALPHA, Core

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
    assert await verify(core) == []


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

    assert checked[1] == Checked(str(pushed.digest), 1, "its bytes are not what its digest names")


async def test_only_what_was_chosen_is_looked_at(core: Core) -> None:
    await core.push_blob(b"hello")
    await core.push_blob(b"other")

    assert await verify(core, lambda digest: digest == str(HELLO)) == [Checked(str(HELLO), 5, None)]


async def test_more_than_a_page_is_looked_at(core: Core) -> None:
    """Copies are read from the database by the page."""
    for number in range(201):
        await core.push_blob(b"%d" % number)

    assert len(await verify(core)) == 201
