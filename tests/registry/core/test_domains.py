"""Encryption domains: made on demand, their keys take turns, and can be destroyed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.core.domains import Encryption, EncryptionDomains, EncryptionType, KeyState
from registry.core.errors import (
    DestructionRefused,
    DestructionTooEarly,
    DomainProtected,
    DomainUnknown,
    EncryptionInvalid,
)
from registry.core.repositories import Repositories
from registry.core.root_rotation import RootRotation
from storage.encryption.contexts import secrets_key_context
from storage.encryption.keyring import Keyring
from storage.errors import DomainUnusable, KeyUnavailable
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.domain_keys import DomainKeyRows, Sealed, list_keys
from storage.metadata.migration import REGISTRY_SCHEMA
from storage.metadata.secrets_key import add_secrets_key
from tests.contracts.database_places import Place
from tests.registry.core.services import ALPHA, BETA, Clock
from tests.storage.encryption.root_keys import FakeRootKeys

REGISTRY = "registry"
KMS = Encryption(EncryptionType.KMS, "alias/team")
DAY = 86_400


@pytest.fixture
def roots() -> FakeRootKeys:
    return FakeRootKeys()


@pytest.fixture
async def database(place: Place, roots: FakeRootKeys) -> AsyncIterator[Database]:
    async with place.opened(REGISTRY_SCHEMA) as database:
        await database.write(lambda c: add_account(c, "123456789012", 1.0))
        secrets_key = await roots.wrap(bytes(32), secrets_key_context(REGISTRY))
        await database.write(lambda c: add_secrets_key(c, secrets_key))
        yield database


@pytest.fixture
async def domains(database: Database, roots: FakeRootKeys, clock: Clock) -> EncryptionDomains:
    made = EncryptionDomains(database, roots, REGISTRY, clock)
    await made.found()
    return made


@pytest.fixture
def keyring(database: Database, roots: FakeRootKeys, clock: Clock) -> Keyring:
    return Keyring(DomainKeyRows(database), roots, REGISTRY, clock)


async def test_the_default_domain_is_founded_with_one_key(domains: EncryptionDomains, keyring: Keyring) -> None:
    (key,) = await domains.keys()

    assert (key.domain, key.version, key.state, key.root) == ("AES256", 1, KeyState.CURRENT, "root-1")
    assert len((await keyring.current("AES256")).secret) == 32
    assert len((await keyring.current("AES256")).id) == 16


async def test_founding_again_changes_nothing(domains: EncryptionDomains, keyring: Keyring) -> None:
    before = await keyring.current("AES256")

    await domains.found()

    assert await keyring.current("AES256") == before


async def test_of_processes_that_found_at_once_one_does(place: Place, roots: FakeRootKeys, clock: Clock) -> None:
    """What any of them seals, all of them open."""
    async with place.opened(REGISTRY_SCHEMA) as one, place.opened(REGISTRY_SCHEMA) as other:
        await asyncio.gather(
            *(EncryptionDomains(each, roots, REGISTRY, clock).found() for each in (one, other) for _ in range(5))
        )

        assert len(await one.read(list_keys)) == 1
        keys = [await Keyring(DomainKeyRows(each), roots, REGISTRY, clock).current("AES256") for each in (one, other)]
        assert keys[0] == keys[1]


async def test_a_kms_key_names_a_domain_of_its_own(domains: EncryptionDomains, keyring: Keyring) -> None:
    """Also where no key management service wraps it: then the root key stands in."""
    await domains.make(KMS)
    await domains.make(Encryption(EncryptionType.KMS, "alias/other"))
    await domains.make(KMS)

    assert [(key.domain, key.version, key.root) for key in await domains.keys()] == [
        ("AES256", 1, "root-1"),
        ("alias/other", 1, "root-1"),
        ("alias/team", 1, "root-1"),
    ]
    secrets = {(await keyring.current(name)).secret for name in ("AES256", "alias/other", "alias/team")}
    assert len(secrets) == 3


async def test_the_key_of_a_domain_is_wrapped_by_its_kms_key(database: Database, clock: Clock) -> None:
    roots = FakeRootKeys(has_kms=True)
    domains = EncryptionDomains(database, roots, REGISTRY, clock)

    await domains.make(KMS)
    await domains.rotate("alias/team")
    await domains.make(Encryption(EncryptionType.KMS))

    assert [(key.domain, key.root) for key in await domains.keys()] == [
        ("alias/aws/ecr", "root-1"),
        ("alias/team", "kms:alias/team"),
        ("alias/team", "kms:alias/team"),
    ]


@pytest.mark.parametrize(
    "encryption",
    [Encryption(EncryptionType.AES256, "alias/team"), Encryption(EncryptionType.KMS, "AES256")],
    ids=["a key without KMS", "the default's name as a key"],
)
async def test_a_configuration_that_makes_no_sense_is_refused(
    domains: EncryptionDomains, encryption: Encryption
) -> None:
    with pytest.raises(EncryptionInvalid):
        await domains.make(encryption)


@pytest.mark.parametrize(
    "encryption", [Encryption(), KMS, Encryption(EncryptionType.KMS, "alias/aws/ecr")], ids=["AES256", "KMS", "managed"]
)
def test_a_domain_tells_the_configuration_that_named_it(encryption: Encryption) -> None:
    assert Encryption.of(encryption.domain) == encryption


async def test_new_content_is_sealed_in_the_domain_of_its_repository(
    domains: EncryptionDomains, database: Database
) -> None:
    """A repository that appears with its first push is one of the default domain."""
    await Repositories(database, most=9).create(ALPHA, "{}", 1.0, await domains.make(KMS))

    assert await domains.of(ALPHA) == "alias/team"
    assert await domains.of(BETA) == "AES256"


async def test_nothing_is_sealed_where_encryption_is_off(
    domains: EncryptionDomains, database: Database, roots: FakeRootKeys, clock: Clock
) -> None:
    """The configuration is kept, and counts from when it is on."""
    await Repositories(database, most=9).create(ALPHA, "{}", 1.0, await domains.make(KMS))

    assert await EncryptionDomains(database, roots, REGISTRY, clock, seals=False).of(ALPHA) == ""


async def test_a_rotation_seals_with_a_new_key_and_still_opens_with_the_old(
    domains: EncryptionDomains, keyring: Keyring
) -> None:
    old = await keyring.current("AES256")

    rotated = await domains.rotate("AES256")

    assert (rotated.version, rotated.state) == (2, KeyState.CURRENT)
    new = await keyring.current("AES256")
    assert (new.version, new.id) == (2, old.id)
    assert new.secret != old.secret
    assert await keyring.of(old.id, 1) == old
    assert [(key.version, key.state) for key in await domains.keys("AES256")] == [
        (1, KeyState.RETIRED),
        (2, KeyState.CURRENT),
    ]


async def test_rotations_at_once_leave_a_key_that_everybody_opens(domains: EncryptionDomains, keyring: Keyring) -> None:
    await asyncio.gather(*(domains.rotate("AES256") for _ in range(5)))

    newest = await keyring.current("AES256")
    assert newest.version == len(await domains.keys("AES256"))


async def test_a_key_that_was_wrapped_before_the_root_was_rotated_is_wrapped_again(
    domains: EncryptionDomains, database: Database, roots: FakeRootKeys, keyring: Keyring
) -> None:
    """Else the end of the rotation would take away what it needs."""
    roots.gate = asyncio.Event()
    making = asyncio.ensure_future(domains.make(KMS))
    await roots.is_asked.wait()
    gate, roots.gate = roots.gate, None

    roots.names = ["root-2", "root-1"]
    await RootRotation(database, roots, REGISTRY).run(_NoTurn())
    roots.names = ["root-2"]
    gate.set()
    await making

    assert {key.root for key in await domains.keys()} == {"root-2"}
    assert len((await keyring.current("alias/team")).secret) == 32


async def test_no_domain_is_made_while_its_key_cannot_be_wrapped(
    domains: EncryptionDomains, roots: FakeRootKeys
) -> None:
    roots.is_away = True

    with pytest.raises(KeyUnavailable):
        await domains.make(KMS)

    assert [key.domain for key in await domains.keys()] == ["AES256"]


async def test_a_domain_that_there_is_not_is_told_apart(domains: EncryptionDomains) -> None:
    for asked in (domains.rotate("x"), domains.keys("x"), domains.destroy("x"), domains.keep("x"), domains.domain("x")):
        with pytest.raises(DomainUnknown, match=r"there is no encryption domain x: list them with `lading encryption"):
            await asked


async def test_the_default_domain_cannot_be_destroyed(domains: EncryptionDomains) -> None:
    with pytest.raises(DomainProtected, match="cannot be destroyed"):
        await domains.destroy("AES256")


async def test_keys_are_destroyed_in_two_steps_with_a_week_between(
    domains: EncryptionDomains, keyring: Keyring, clock: Clock
) -> None:
    """From the first on nothing can be read or written; nothing else is touched."""
    await domains.make(KMS)
    before = await keyring.current("alias/team")

    planned = await domains.destroy("alias/team")

    assert planned.destroy_at == clock.time + 7 * DAY
    assert [key.state for key in await domains.keys("alias/team")] == [KeyState.PENDING]
    with pytest.raises(DomainUnusable):
        await keyring.of(before.id, 1)
    clock.time += 7 * DAY - 1
    with pytest.raises(DestructionTooEarly, match=r"from 1970-01-08T00:16:40Z on: run the same command again then"):
        await domains.destroy("alias/team")

    clock.time += 1
    destroyed = await domains.destroy("alias/team")

    assert destroyed.destroyed_at == clock.time
    assert [key.state for key in await domains.keys("alias/team")] == [KeyState.DESTROYED]
    assert (await keyring.current("AES256")).version == 1
    with pytest.raises(DestructionRefused, match="were destroyed"):
        await domains.destroy("alias/team")
    with pytest.raises(DestructionRefused, match="were destroyed"):
        await domains.keep("alias/team")


async def test_no_wrapped_key_is_left_of_a_destroyed_domain(
    domains: EncryptionDomains, database: Database, clock: Clock
) -> None:
    await domains.make(KMS)
    await domains.rotate("alias/team")
    await domains.destroy("alias/team", 3600)
    clock.time += 3600

    await domains.destroy("alias/team")

    left = await database.read(list_keys)
    assert [(key.domain, key.wrapped is None) for key in left] == [
        ("AES256", False),
        ("alias/team", True),
        ("alias/team", True),
    ]


async def test_a_destruction_can_be_called_off(domains: EncryptionDomains, keyring: Keyring) -> None:
    await domains.make(KMS)
    before = await keyring.current("alias/team")
    await domains.destroy("alias/team")

    await domains.keep("alias/team")

    assert await keyring.current("alias/team") == before
    assert (await domains.keep("alias/team")).destroy_at is None


@pytest.mark.parametrize("seconds", [0, 3599, 30 * DAY + 1, float("nan")])
async def test_a_wait_is_an_hour_to_thirty_days(domains: EncryptionDomains, seconds: float) -> None:
    await domains.make(KMS)

    with pytest.raises(DestructionRefused, match="after 3600 to 2592000 seconds"):
        await domains.destroy("alias/team", seconds)

    assert [key.state for key in await domains.keys("alias/team")] == [KeyState.CURRENT]


async def test_a_planned_destruction_does_not_move(domains: EncryptionDomains) -> None:
    """Not even to sooner: who wants that calls it off first, and thinks again."""
    await domains.make(KMS)
    await domains.destroy("alias/team")

    with pytest.raises(DestructionRefused, match="call it off first"):
        await domains.destroy("alias/team", 3600)


async def test_a_domain_whose_keys_are_to_be_destroyed_takes_nothing_new(
    domains: EncryptionDomains, clock: Clock
) -> None:
    """Neither a repository nor a key; its name never comes to stand for other keys."""
    await domains.make(KMS)
    await domains.destroy("alias/team")

    await _takes_nothing(domains)

    clock.time += 7 * DAY
    await domains.destroy("alias/team")
    await _takes_nothing(domains)


async def _takes_nothing(domains: EncryptionDomains) -> None:
    with pytest.raises(DomainUnusable):
        await domains.make(KMS)
    with pytest.raises(DomainUnusable):
        await domains.rotate("alias/team")


async def test_what_is_sealed_is_counted(domains: EncryptionDomains) -> None:
    await domains.rotate("AES256")

    assert await domains.sealed("AES256") == [Sealed(0, 0, 0), Sealed(1, 0, 0), Sealed(2, 0, 0)]
    assert (await domains.domain("AES256")).kms_key is None


class _NoTurn:
    """Root keys that take turns by themselves."""

    async def begin(self) -> None:
        pass

    async def end(self) -> None:
        pass
