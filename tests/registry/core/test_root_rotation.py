"""Rotating the root key: interrupted anywhere, the registry works, and the next run finishes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from registry.core.domains import Encryption, EncryptionDomains, EncryptionType
from registry.core.root_rotation import RootRotation, Rotated
from storage.encryption.contexts import secrets_key_context
from storage.encryption.keyring import Keyring
from storage.errors import KeyFileInvalid, KeyUnavailable
from storage.metadata.accounts import add_account
from storage.metadata.database import Database
from storage.metadata.domain_keys import DomainKeyRows, destroy_keys, list_keys
from storage.metadata.migration import REGISTRY_SCHEMA
from storage.metadata.secrets_key import add_secrets_key, read_secrets_key
from tests.contracts.database_places import Place
from tests.registry.core.services import Clock
from tests.storage.encryption.root_keys import FakeRootKeys

T = TypeVar("T")

REGISTRY = "registry"
SECRETS_KEY = b"s" * 32
KMS = Encryption(EncryptionType.KMS, "alias/team")


class Interrupted(Exception):
    """The process was killed."""


@dataclass
class Turn:
    """Root keys in a file: the next one first, until the turn ends."""

    roots: FakeRootKeys
    fails_at: set[str] = field(default_factory=set)
    begun: int = 0

    async def begin(self) -> None:
        self._fail("before begin")
        if len(self.roots.names) == 1:
            self.begun += 1
            self.roots.names.insert(0, f"root-{self.begun + 1}")
        self._fail("after begin")

    async def end(self) -> None:
        self._fail("before end")
        del self.roots.names[1:]
        self._fail("after end")

    def _fail(self, moment: str) -> None:
        if moment in self.fails_at:
            raise Interrupted


class Registry:
    """A registry with three domains, one of which has two versions."""

    def __init__(self, database: Database, roots: FakeRootKeys, clock: Clock) -> None:
        self.database = database
        self.roots = roots
        self.turn = Turn(roots)
        self.domains = EncryptionDomains(database, roots, REGISTRY, clock)
        self.rotation = RootRotation(database, roots, REGISTRY)
        self.clock = clock

    async def found(self) -> None:
        secrets_key = await self.roots.wrap(SECRETS_KEY, secrets_key_context(REGISTRY))
        await self.database.write(lambda c: add_secrets_key(c, secrets_key))
        await self.domains.found()
        await self.domains.rotate("AES256")
        await self.domains.make(KMS)

    async def secrets(self) -> list[bytes]:
        """Everything that is wrapped, as a process that has just started unwraps it."""
        keyring = Keyring(DomainKeyRows(self.database), self.roots, REGISTRY, self.clock)
        wrapped = await self.database.read(read_secrets_key)
        assert wrapped is not None
        secrets_key = await self.roots.unwrap(wrapped, secrets_key_context(REGISTRY))
        keys = await self.database.read(list_keys)
        return [secrets_key, *[(await keyring.of(key.domain_id, key.version)).secret for key in keys]]

    async def wrapped_by(self) -> set[str]:
        """The roots that anything is wrapped by."""
        wrapped = await self.database.read(read_secrets_key)
        assert wrapped is not None
        return {wrapped.root, *[key.root for key in await self.database.read(list_keys)]}


@pytest.fixture
async def registry(place: Place, clock: Clock) -> AsyncIterator[Registry]:
    async with place.opened(REGISTRY_SCHEMA) as database:
        await database.write(lambda c: add_account(c, "123456789012", 1.0))
        made = Registry(database, FakeRootKeys(), clock)
        await made.found()
        yield made


async def test_everything_is_wrapped_by_the_next_root_key(registry: Registry) -> None:
    before = await registry.secrets()

    rotated = await registry.rotation.run(registry.turn)

    assert rotated == Rotated("root-2", "root-1", keys=3, kept=0)
    assert registry.roots.names == ["root-2"]
    assert await registry.wrapped_by() == {"root-2"}
    assert await registry.secrets() == before


@pytest.mark.parametrize("moment", ["before begin", "after begin", "before end", "after end"])
async def test_interrupted_anywhere_everything_opens_and_another_run_finishes(registry: Registry, moment: str) -> None:
    before = await registry.secrets()
    registry.turn.fails_at = {moment}

    with pytest.raises(Interrupted):
        await registry.rotation.run(registry.turn)

    assert await registry.secrets() == before
    registry.turn.fails_at = set()
    await registry.rotation.run(registry.turn)
    assert len(registry.roots.names) == 1
    assert await registry.wrapped_by() == set(registry.roots.names)
    assert await registry.secrets() == before


@pytest.mark.parametrize("calls", range(8))
async def test_root_keys_that_fail_in_the_middle_change_nothing(registry: Registry, calls: int) -> None:
    """It takes four unwraps and four wraps; whichever fails, all is as it was, and works."""
    before = await registry.secrets()
    registry.roots.calls_left = calls

    with pytest.raises(KeyUnavailable):
        await registry.rotation.run(registry.turn)

    registry.roots.calls_left = None
    assert await registry.wrapped_by() == {"root-1"}
    assert await registry.secrets() == before
    await registry.rotation.run(registry.turn)
    assert await registry.wrapped_by() == {"root-2"}
    assert await registry.secrets() == before


class Failing:
    """A database in which no change comes to its end."""

    def __init__(self, database: Database) -> None:
        self.read, self.scan, self.close = database.read, database.scan, database.close
        self._database = database

    async def write(self, change: Callable[[Connection], T]) -> T:
        def interrupted(connection: Connection) -> T:
            change(connection)
            raise Interrupted

        return await self._database.write(interrupted)


async def test_a_database_that_fails_in_the_middle_changes_nothing(registry: Registry) -> None:
    """All keys are replaced in one transaction, or none is."""
    before = await registry.secrets()
    failing = RootRotation(Failing(registry.database), registry.roots, REGISTRY)

    with pytest.raises(Interrupted):
        await failing.run(registry.turn)

    assert await registry.wrapped_by() == {"root-1"}
    assert await registry.secrets() == before


async def test_a_key_that_is_made_meanwhile_is_wrapped_too(registry: Registry) -> None:
    """By another process, after everything was read and before anything was replaced."""
    registry.roots.gate = asyncio.Event()
    running = asyncio.ensure_future(registry.rotation.run(registry.turn))
    await registry.roots.is_asked.wait()
    gate, registry.roots.gate = registry.roots.gate, None
    await registry.domains.rotate("alias/team")

    gate.set()
    rotated = await running

    assert rotated.keys == 4
    assert await registry.wrapped_by() == {"root-2"}
    assert len(await registry.secrets()) == 5


async def test_rotations_at_once_leave_one_root_key_that_wraps_everything(registry: Registry) -> None:
    before = await registry.secrets()

    await asyncio.gather(*(registry.rotation.run(registry.turn) for _ in range(3)))

    assert await registry.wrapped_by() == set(registry.roots.names)
    assert await registry.secrets() == before


async def test_a_rotation_that_another_one_overtakes_begins_again(registry: Registry) -> None:
    """The root key that wrapped what it saw may be given up by then."""
    before, gate = await registry.secrets(), asyncio.Event()
    registry.roots.gate = gate
    slow = asyncio.ensure_future(registry.rotation.run(registry.turn))
    await registry.roots.is_asked.wait()
    registry.roots.gate = None
    await registry.rotation.run(registry.turn)
    gate.set()

    assert (await slow).root == "root-2"
    assert await registry.wrapped_by() == {"root-2"}
    assert await registry.secrets() == before


async def test_a_process_that_remembers_keys_goes_on_over_a_rotation(registry: Registry) -> None:
    """It asks for nothing again; when it must, the row names the next root key."""
    keyring = Keyring(DomainKeyRows(registry.database), registry.roots, REGISTRY, registry.clock)
    before = await keyring.current("AES256")

    await registry.rotation.run(registry.turn)

    assert await keyring.current("AES256") == before
    registry.clock.time += 3600
    assert await keyring.current("AES256") == before


async def test_a_root_key_that_is_missing_ends_nothing(registry: Registry) -> None:
    """The key before is given up only after everything was wrapped by the next."""
    registry.roots.names = ["root-9"]

    with pytest.raises(KeyFileInvalid):
        await registry.rotation.run(registry.turn)

    assert await registry.wrapped_by() == {"root-1"}


async def test_keys_that_were_destroyed_are_passed_over(registry: Registry) -> None:
    await registry.database.write(lambda c: destroy_keys(c, "alias/team", 1.0))

    assert (await registry.rotation.run(registry.turn)).keys == 2


async def test_a_kms_key_that_was_taken_back_holds_up_no_rotation(place: Place, clock: Clock) -> None:
    """Its domain is not wrapped by the root key; what happens to it is its owner's business."""
    roots = FakeRootKeys(has_kms=True)
    async with place.opened(REGISTRY_SCHEMA) as database:
        registry = Registry(database, roots, clock)
        await registry.found()
        roots.refused.add("kms:alias/team")

        rotated = await registry.rotation.run(registry.turn)

        assert rotated == Rotated("root-2", "root-1", keys=2, kept=1)
        roots.refused.clear()
        assert await registry.wrapped_by() == {"root-2", "kms:alias/team"}
        assert len(await registry.secrets()) == 4
