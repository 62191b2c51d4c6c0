"""Signing keys taking turns."""

from types import SimpleNamespace

import pytest

from auth.errors import NotThere, RotationRefused
from auth.keys import Algorithm
from auth.signing_keys import SigningKeys
from storage.metadata.sqlite import SqliteDatabase

SECRETS_KEY = bytes(range(32))
NOW = 1_700_000_000.0
OVERLAP = 43_200 + 120


@pytest.fixture
def keys(database: SqliteDatabase, clock: SimpleNamespace) -> SigningKeys:
    return SigningKeys(database, SECRETS_KEY, lambda: clock.time)


async def states(keys: SigningKeys) -> list[tuple[str, str]]:
    return [(key.algorithm, key.state.value) for key in await keys.list()]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
async def test_key_that_is_made_signs_at_once(keys: SigningKeys, algorithm: Algorithm) -> None:
    """Unless it is told to wait."""
    made = await keys.rotate(algorithm)

    assert (made.algorithm, made.state, made.signs_from, made.retires_at) == (algorithm, "signing", NOW, None)


async def test_key_before_verifies_while_anything_it_signed_is_valid(keys: SigningKeys, clock: SimpleNamespace) -> None:
    """Twelve hours, the life of an authorization token, and the leeway on either side."""
    first = await keys.rotate("ES256")
    await keys.rotate("EdDSA")

    assert (await keys.list())[0].retires_at == NOW + OVERLAP
    assert await states(keys) == [("ES256", "verifying"), ("EdDSA", "signing")]
    clock.time += OVERLAP
    assert await states(keys) == [("ES256", "retired"), ("EdDSA", "signing")]
    assert first.kid == (await keys.list())[0].kid


async def test_key_can_be_published_before_it_signs(keys: SigningKeys, clock: SimpleNamespace) -> None:
    """Others who keep our keys have it by then; the one before ends that much later."""
    await keys.rotate("ES256")
    await keys.rotate("EdDSA", 600)
    assert await states(keys) == [("ES256", "signing"), ("EdDSA", "next")]
    assert (await keys.list())[0].retires_at == NOW + 600 + OVERLAP

    clock.time += 600

    assert await states(keys) == [("ES256", "verifying"), ("EdDSA", "signing")]


async def test_key_made_by_a_clock_that_is_behind_still_signs(keys: SigningKeys, clock: SimpleNamespace) -> None:
    """The last one made is the one that counts."""
    await keys.rotate("ES256")
    clock.time -= 30

    await keys.rotate("EdDSA")

    assert await states(keys) == [("ES256", "next"), ("EdDSA", "signing")]


async def test_retired_key_is_refused_at_once(keys: SigningKeys) -> None:
    """After its secret got out."""
    first = await keys.rotate("ES256")
    await keys.rotate("ES256")

    await keys.retire(first.kid)

    assert [key.state for key in await keys.list()] == ["retired", "signing"]


async def test_key_that_signs_is_not_retired(keys: SigningKeys) -> None:
    """Nor the one that is to sign next: another has to follow first."""
    first = await keys.rotate("ES256")
    with pytest.raises(RotationRefused, match="lading signing rotate"):
        await keys.retire(first.kid)
    following = await keys.rotate("ES256", 600)

    for kid in (first.kid, following.kid):
        with pytest.raises(RotationRefused, match="lading signing rotate"):
            await keys.retire(kid)
    with pytest.raises(NotThere):
        await keys.retire("unknown")


async def test_keys_are_bounded(keys: SigningKeys) -> None:
    """Whoever fetches them reads a short document."""
    for _ in range(16):
        await keys.rotate("EdDSA")

    with pytest.raises(RotationRefused):
        await keys.rotate("EdDSA")


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1, float("nan"), float("inf")])
async def test_delay_is_bounded(keys: SigningKeys, seconds: float) -> None:
    """To a month."""
    with pytest.raises(RotationRefused):
        await keys.rotate("ES256", seconds)


async def test_keys_go_a_week_after_they_retired(keys: SigningKeys, clock: SimpleNamespace) -> None:
    """By the sweep, and by the next rotation."""
    first = await keys.rotate("ES256")
    second = await keys.rotate("ES256")
    clock.time += OVERLAP + 7 * 86_400 + 1

    await keys.sweep()

    assert first.kid not in {key.kid for key in await keys.list()}
    assert second.kid in {key.kid for key in await keys.list()}
