"""Unwrapped keys: remembered for 15 minutes, asked for once, and gone when a domain is."""

import asyncio
from dataclasses import replace

import pytest

from storage.domain_records import StoredKey
from storage.encryption.contexts import domain_key_context
from storage.encryption.keyring import KEY_SECONDS, RETRY_SECONDS, Keyring
from storage.encryption.keys import DomainKey
from storage.errors import DomainUnusable, KeyUnavailable, WrongKey
from tests.storage.encryption.root_keys import FakeRootKeys

REGISTRY = "registry"
SECRET = bytes(range(32))


class Records:
    """Rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, int], StoredKey] = {}

    async def newest(self, domain: str) -> StoredKey | None:
        versions = [row for row in self.rows.values() if row.domain == domain]
        return max(versions, key=lambda row: row.version, default=None)

    async def find(self, domain_id: bytes, version: int) -> StoredKey | None:
        return self.rows.get((domain_id, version))

    def change(self, domain: str, **changes: object) -> None:
        """Change every row of a domain."""
        for place, row in self.rows.items():
            if row.domain == domain:
                self.rows[place] = replace(row, **changes)  # type: ignore[arg-type]  # names and types are the test's


class Ring:
    """A keyring with all that is around it."""

    def __init__(self) -> None:
        self.records = Records()
        self.roots = FakeRootKeys()
        self.time = 1000.0
        self.keyring = Keyring(self.records, self.roots, REGISTRY, lambda: self.time)

    async def add(self, domain: str, version: int = 1, secret: bytes = SECRET) -> StoredKey:
        """Record a version of a domain's key."""
        wrapped = await self.roots.wrap(secret, domain_key_context(REGISTRY, domain, version))
        row = StoredKey(domain, _id(domain), version, wrapped.root, wrapped.secret, created_at=1.0)
        self.records.rows[_id(domain), version] = row
        return row


def _id(domain: str) -> bytes:
    return domain.encode().ljust(16, b".")


@pytest.fixture
async def ring() -> Ring:
    made = Ring()
    await made.add("AES256")
    return made


async def _settle() -> None:
    """Let what goes on in the background go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_sealed_with_the_current_key_opens_by_its_id_and_version(ring: Ring) -> None:
    current = await ring.keyring.current("AES256")

    assert current == DomainKey("AES256", _id("AES256"), 1, SECRET)
    assert await ring.keyring.of(_id("AES256"), 1) == current


async def test_a_key_is_unwrapped_once_however_often_it_is_used(ring: Ring) -> None:
    """As many unwraps as there are keys: a million objects cost what one costs."""
    await ring.add("other")

    for _ in range(50):
        await ring.keyring.current("AES256")
        await ring.keyring.of(_id("AES256"), 1)
        await ring.keyring.of(_id("other"), 1)

    assert ring.roots.unwraps == 2


async def test_requests_that_want_a_key_at_once_ask_for_it_once(ring: Ring) -> None:
    found = await asyncio.gather(*(ring.keyring.current("AES256") for _ in range(100)))

    assert {key.secret for key in found} == {SECRET}
    assert ring.roots.unwraps == 1


async def test_a_request_that_is_broken_off_takes_no_other_with_it(ring: Ring) -> None:
    ring.roots.gate = asyncio.Event()
    first, second = (asyncio.ensure_future(ring.keyring.current("AES256")) for _ in range(2))
    await _settle()

    first.cancel()
    ring.roots.gate.set()

    assert (await second).secret == SECRET


async def test_a_version_that_was_added_seals_from_the_next_push_on(ring: Ring) -> None:
    """On every worker, though each remembers the version before."""
    await ring.keyring.current("AES256")

    await ring.add("AES256", 2, b"2" * 32)

    assert (await ring.keyring.current("AES256")).version == 2
    assert (await ring.keyring.of(_id("AES256"), 1)).secret == SECRET


async def test_remembered_keys_serve_while_the_kms_is_away_until_their_time_is_over(ring: Ring) -> None:
    await ring.keyring.current("AES256")
    ring.roots.is_away = True

    ring.time += KEY_SECONDS - 1
    assert (await ring.keyring.current("AES256")).secret == SECRET

    ring.time += 1
    with pytest.raises(KeyUnavailable, match="does not answer"):
        await ring.keyring.current("AES256")


async def test_a_key_is_had_again_when_the_kms_is_back(ring: Ring) -> None:
    ring.roots.is_away = True
    with pytest.raises(KeyUnavailable):
        await ring.keyring.current("AES256")
    ring.roots.is_away = False

    ring.time += RETRY_SECONDS

    assert (await ring.keyring.current("AES256")).secret == SECRET


async def test_a_kms_that_is_away_is_not_asked_by_every_request(ring: Ring) -> None:
    """It takes long to find out; for a few seconds what was found out is told."""
    ring.roots.is_away = True

    for _ in range(20):
        with pytest.raises(KeyUnavailable, match="does not answer"):
            await ring.keyring.current("AES256")

    assert ring.roots.unwraps == 1


async def test_a_grant_that_was_taken_back_counts_within_the_time(ring: Ring) -> None:
    await ring.keyring.of(_id("AES256"), 1)
    ring.roots.refused.add("root-1")

    ring.time += KEY_SECONDS

    with pytest.raises(KeyUnavailable, match="refuses"):
        await ring.keyring.of(_id("AES256"), 1)


async def test_a_key_in_use_is_unwrapped_again_before_its_time_is_over(ring: Ring) -> None:
    """No request waits for it, and one unwraps for all."""
    async with ring.keyring.running():
        await ring.keyring.current("AES256")
        ring.time += KEY_SECONDS / 2 - 1
        await ring.keyring.current("AES256")
        await _settle()
        assert ring.roots.unwraps == 1

        ring.time += 1
        for _ in range(5):
            await ring.keyring.current("AES256")
        await _settle()

        assert ring.roots.unwraps == 2
        ring.roots.is_away = True
        ring.time += KEY_SECONDS - 1
        assert (await ring.keyring.current("AES256")).secret == SECRET


async def test_a_refresh_that_fails_is_tried_again_and_serves_what_is_remembered(ring: Ring) -> None:
    async with ring.keyring.running():
        await ring.keyring.current("AES256")
        ring.time += KEY_SECONDS / 2
        ring.roots.is_away = True
        for _ in range(5):
            assert (await ring.keyring.current("AES256")).secret == SECRET
            await _settle()
        assert ring.roots.unwraps == 2

        ring.roots.is_away = False
        ring.time += RETRY_SECONDS
        await ring.keyring.current("AES256")
        await _settle()

    assert ring.roots.unwraps == 3


async def test_a_refresh_under_way_holds_up_no_stop(ring: Ring) -> None:
    async with asyncio.timeout(5), ring.keyring.running():
        await ring.keyring.current("AES256")
        ring.time += KEY_SECONDS / 2
        ring.roots.gate = asyncio.Event()
        await ring.keyring.current("AES256")
        await _settle()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"destroy_at": 2000.0}, "wait for their destruction"),
        ({"destroyed_at": 1.0, "wrapped": None}, "were destroyed"),
    ],
)
async def test_a_domain_that_is_to_be_destroyed_is_unusable_at_once(
    ring: Ring, changes: dict[str, object], told: str
) -> None:
    """Though its key is remembered; no other domain is touched."""
    await ring.add("other")
    await ring.keyring.current("AES256")

    ring.records.change("AES256", **changes)

    with pytest.raises(DomainUnusable, match=told):
        await ring.keyring.current("AES256")
    with pytest.raises(DomainUnusable, match=told):
        await ring.keyring.of(_id("AES256"), 1)
    assert (await ring.keyring.current("other")).secret == SECRET


async def test_a_destruction_that_was_called_off_gives_the_domain_back(ring: Ring) -> None:
    ring.records.change("AES256", destroy_at=2000.0)
    with pytest.raises(DomainUnusable):
        await ring.keyring.current("AES256")

    ring.records.change("AES256", destroy_at=None)

    assert (await ring.keyring.current("AES256")).secret == SECRET


async def test_an_object_of_a_key_that_there_is_not_is_sealed_with_another_key(ring: Ring) -> None:
    with pytest.raises(WrongKey):
        await ring.keyring.of(_id("AES256"), 2)
    with pytest.raises(WrongKey):
        await ring.keyring.of(bytes(16), 1)


async def test_a_domain_without_a_key_cannot_seal(ring: Ring) -> None:
    with pytest.raises(KeyUnavailable, match="domain other has no key"):
        await ring.keyring.current("other")


async def test_a_key_in_the_place_of_another_does_not_open(ring: Ring) -> None:
    """What is wrapped is bound to registry, domain and version."""
    row = await ring.add("other")
    ring.records.change("AES256", wrapped=row.wrapped)

    with pytest.raises(KeyUnavailable, match="version 1 of the key of the encryption domain AES256 does not open"):
        await ring.keyring.current("AES256")


async def test_a_root_key_that_is_rotated_while_a_key_is_unwrapped_is_no_failure(ring: Ring) -> None:
    """The row that was read names a root key that is gone by now: the row is read again."""
    ring.roots.gate = asyncio.Event()
    waiting = asyncio.ensure_future(ring.keyring.current("AES256"))
    await _settle()
    ring.roots.names = ["root-2"]
    open_gate, ring.roots.gate = ring.roots.gate, None
    await ring.add("AES256")

    open_gate.set()

    assert (await waiting).secret == SECRET


async def test_what_fails_while_keys_are_looked_after_is_told_as_it_is(ring: Ring) -> None:
    """Whoever runs a command is told what is wrong, not that a group of things is."""
    with pytest.raises(KeyUnavailable, match=r"^away$"):
        async with ring.keyring.running():
            raise KeyUnavailable("away")
