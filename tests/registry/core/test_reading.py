"""Reading copies that turn out to be bad, and those that gave way to others meanwhile."""

import pytest
from sqlalchemy import select, update

from registry.core.damage import Damage, DamageKind
from registry.core.errors import BlobUnknown, CopyReplaced
from storage.blobs.interface import Expected
from storage.digest import Digest
from storage.metadata.schema import blob
from tests.registry.core.opening import DAMAGED, OpeningStore
from tests.registry.core.services import ALPHA, Core

HELLO = Digest.of(b"hello")
SEALED = Expected(5, HELLO, "AES256")
NEW_KEY = "sha256/00/00/" + "0" * 64 + ".new"


async def seal_anew(core: Core) -> None:
    """What is done to a copy in the background: its row names another key, and the one it had is gone."""
    assert isinstance(core.store, OpeningStore)
    core.store.move(NEW_KEY)
    await core.database.write(lambda c: c.execute(update(blob).values(storage_key=NEW_KEY)).close())


async def states(core: Core) -> list[str]:
    return await core.database.read(lambda c: list(c.execute(select(blob.c.state)).scalars()))


async def read(core: Core) -> bytes:
    """Read the blob as the threads that send it do."""
    async with core.blobs.open(ALPHA, HELLO) as opened:
        assert opened.reader is not None
        return bytes(opened.reader.read(0, opened.size))


async def test_a_copy_is_read_as_what_its_row_says(opening_core: Core, opening: OpeningStore) -> None:
    """Its length, its digest, and the domain that it must be sealed in."""
    await opening_core.push_blob(b"hello")
    await opening_core.database.write(lambda c: c.execute(update(blob).values(domain="AES256")).close())
    opening.expected.clear()

    assert await read(opening_core) == b"hello"
    assert await opening_core.blobs.vouch(ALPHA, HELLO) == 5

    assert opening.expected == [SEALED, SEALED]


async def test_a_copy_that_does_not_open_is_unknown(opening_core: Core, opening: OpeningStore) -> None:
    """What tells of it names the repository that was asked."""
    await opening_core.push_blob(b"hello")
    opening.damage(0)

    with pytest.raises(BlobUnknown):
        await read(opening_core)

    assert await states(opening_core) == ["quarantined"]
    assert opening_core.damaged == [Damage(ALPHA, str(HELLO), DamageKind.SEAL, DAMAGED)]
    assert opening.readers == 0


async def test_who_is_late_to_see_damage_tells_nobody(opening_core: Core, opening: OpeningStore) -> None:
    """Two read it at once, and one of them takes it out of service."""
    await opening_core.push_blob(b"hello")
    opening.damage(0)

    async def read_late() -> None:
        async with opening_core.blobs.open(ALPHA, HELLO) as opened:
            with pytest.raises(BlobUnknown):
                await read(opening_core)
            assert opened.reader is not None
            opened.reader.read(0, 5)

    with pytest.raises(BlobUnknown):
        await read_late()

    assert len(opening_core.damaged) == 1


async def test_a_push_of_what_went_missing_is_damage(opening_core: Core, opening: OpeningStore) -> None:
    """Nobody had read it since; now it is there again."""
    await opening_core.push_blob(b"hello")
    opening.lose()

    await opening_core.push_blob(b"hello")

    assert [damage.kind for damage in opening_core.damaged] == [DamageKind.MISSING]
    assert await read(opening_core) == b"hello"


async def test_a_copy_that_gave_way_to_another_is_no_damage(opening_core: Core, opening: OpeningStore) -> None:
    """Asked again, the blob is there."""
    await opening_core.push_blob(b"hello")
    opening.meanwhile = lambda: seal_anew(opening_core)

    with pytest.raises(CopyReplaced):
        await read(opening_core)

    assert await read(opening_core) == b"hello"
    assert (await states(opening_core), opening_core.damaged) == (["stored"], [])


async def test_who_vouches_for_a_copy_that_gives_way_looks_again(opening_core: Core, opening: OpeningStore) -> None:
    await opening_core.push_blob(b"hello")
    opening.meanwhile = lambda: seal_anew(opening_core)

    assert await opening_core.blobs.vouch(ALPHA, HELLO) == 5
    assert opening_core.damaged == []
