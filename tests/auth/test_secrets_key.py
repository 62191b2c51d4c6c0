"""The secrets key: what wraps it, what opens it, and what becomes of a database that has none."""

from pathlib import Path

import pytest
from sqlalchemy import Connection

from auth.bootstrap import Drawn, Prepared, draw, open_registry, prepare
from auth.keys import SigningKey, seal_private_key
from auth.passwords import Passwords
from auth.secrets_key import rewrap_secrets_key, unwrap_secrets_key
from storage.errors import KeyFileInvalid, KeyUnavailable, WrongKey
from storage.keyfile import begin_rotation, end_rotation, fingerprint, load_root_keys, make_root_key
from storage.metadata.accounts import add_setting, find_setting
from storage.metadata.secrets_key import read_secrets_key, replace_secrets_key
from storage.metadata.signing_keys import StoredSigningKey, add_signing_key
from storage.metadata.sqlite import SqliteDatabase
from storage.roots.held import EnvironmentKeys, FileKeys, HeldKeys
from storage.roots.interface import Wrapped

NOW = 1_700_000_000.0
VARIABLE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


@pytest.fixture
def roots(key_file: Path) -> HeldKeys:
    return HeldKeys(FileKeys(key_file), EnvironmentKeys(None))


async def start(database: SqliteDatabase, roots: HeldKeys, passwords: Passwords) -> Prepared:
    return await prepare(database, roots, passwords=passwords, admin_password="x", now=NOW)


async def stored_key(database: SqliteDatabase) -> Wrapped:
    stored = await database.read(read_secrets_key)
    assert stored is not None
    return stored


def as_before(connection: Connection, key: SigningKey, root_key: bytes) -> None:
    """What a version wrote that knew no secrets key."""
    add_setting(connection, "account_id", "123456789012")
    add_setting(connection, "registry_id", "older")
    add_setting(connection, "root_key_fingerprint", fingerprint(root_key))
    add_signing_key(connection, StoredSigningKey(key.kid, key.algorithm, seal_private_key(key, root_key), NOW))


@pytest.fixture
async def older(database: SqliteDatabase, key_file: Path, key: SigningKey) -> SqliteDatabase:
    make_root_key(key_file)
    await database.write(lambda c: as_before(c, key, load_root_keys(key_file)[0]))
    return database


async def test_every_registry_draws_its_own() -> None:
    assert draw().secrets_key != draw().secrets_key
    assert len(draw().secrets_key) == 32


async def test_root_key_that_is_turned_leaves_secrets_as_they_are(
    database: SqliteDatabase, key_file: Path, roots: HeldKeys, passwords: Passwords
) -> None:
    """One row is wrapped again, in a transaction with whatever else is."""
    made = await start(database, roots, passwords)
    (current, _) = begin_rotation(key_file)
    before = await stored_key(database)

    after = await rewrap_secrets_key(before, made.registry_id, roots)
    assert await database.write(lambda c: replace_secrets_key(c, before, after))
    end_rotation(key_file, fingerprint(current))

    assert after.root == f"local:{fingerprint(current)}"
    assert (await open_registry(database, roots)).secrets_key == made.secrets_key


async def test_only_one_of_two_rotations_replaces_what_both_read(
    database: SqliteDatabase, roots: HeldKeys, passwords: Passwords
) -> None:
    """The other one sees that nothing was done, and undoes its transaction."""
    await start(database, roots, passwords)
    before, other = await stored_key(database), Wrapped("local:other", b"other")
    assert await database.write(lambda c: replace_secrets_key(c, before, other))

    assert not await database.write(lambda c: replace_secrets_key(c, before, Wrapped("local:late", b"late")))

    assert await stored_key(database) == other


async def test_secrets_key_of_another_registry_does_not_open(
    database: SqliteDatabase, roots: HeldKeys, passwords: Passwords
) -> None:
    """Though one root key wraps both: rows cannot be put together from two databases."""
    await start(database, roots, passwords)
    stored = await stored_key(database)

    with pytest.raises(KeyFileInvalid, match=r"does not open the secrets key of this registry \(another\): put back"):
        await unwrap_secrets_key(stored, "another", roots)


async def test_database_of_before_keeps_its_root_key_as_secrets_key(
    older: SqliteDatabase, key_file: Path, roots: HeldKeys, passwords: Passwords, key: SigningKey
) -> None:
    """So everything that it sealed stays readable; the root key itself may then be turned."""
    (root_key,) = load_root_keys(key_file)

    opened = await start(older, roots, passwords)

    assert opened.secrets_key == root_key
    assert [each.kid for each in opened.signing_keys] == [key.kid]
    stored = await stored_key(older)
    assert stored.root == f"local:{fingerprint(root_key)}"
    assert root_key not in stored.secret
    assert await older.read(lambda c: find_setting(c, "root_key_fingerprint")) is None


async def test_command_that_is_first_wraps_it_as_well(older: SqliteDatabase, roots: HeldKeys) -> None:
    """A rotation is then always about a wrapped secrets key, whatever was run before it."""
    opened = await open_registry(older, roots)

    assert (await open_registry(older, roots)).secrets_key == opened.secrets_key
    assert await older.read(read_secrets_key) is not None


async def test_database_of_before_can_move_to_the_environment_at_once(
    older: SqliteDatabase, key_file: Path, roots: HeldKeys
) -> None:
    """While the file is still there; afterwards it is needed no more."""
    environment = HeldKeys(EnvironmentKeys(VARIABLE), FileKeys(key_file))

    opened = await open_registry(older, environment)

    remove(key_file)
    assert (await open_registry(older, environment)).secrets_key == opened.secrets_key
    assert (await stored_key(older)).root.startswith("environment:")


def remove(path: Path) -> None:
    path.unlink()


async def test_database_of_before_refuses_another_key(older: SqliteDatabase, key_file: Path, roots: HeldKeys) -> None:
    remove(key_file)
    make_root_key(key_file)

    with pytest.raises(KeyFileInvalid, match="is not the one this database was made with"):
        await open_registry(older, roots)
    assert await older.read(read_secrets_key) is None


async def test_database_of_before_refuses_to_start_without_the_file(
    older: SqliteDatabase, key_file: Path, roots: HeldKeys
) -> None:
    remove(key_file)

    with pytest.raises(KeyFileInvalid, match="missing"):
        await open_registry(older, roots)


class FailingRoots(HeldKeys):
    """Roots of a service that does not give what is asked."""

    def __init__(self, error: Exception) -> None:
        super().__init__(EnvironmentKeys(VARIABLE))
        self.error = error

    async def wrap(self, *_: object, **__: object) -> Wrapped:
        raise self.error

    async def unwrap(self, *_: object) -> bytes:
        raise self.error


async def test_registry_does_not_start_while_its_key_cannot_be_had(
    database: SqliteDatabase, roots: HeldKeys, passwords: Passwords
) -> None:
    """KMS refuses, or is away: its own words say which."""
    await start(database, roots, passwords)
    unavailable = KeyUnavailable("the key management service does not answer", "see to it")

    with pytest.raises(KeyUnavailable) as raised:
        await open_registry(database, FailingRoots(unavailable))

    assert raised.value is unavailable


async def test_wrong_key_says_what_to_put_back(database: SqliteDatabase, roots: HeldKeys, passwords: Passwords) -> None:
    await start(database, roots, passwords)

    with pytest.raises(KeyFileInvalid, match="put back the database, or the key, that it was made with"):
        await open_registry(database, FailingRoots(WrongKey()))


async def test_registry_that_nothing_can_wrap_for_is_not_founded(
    database: SqliteDatabase, passwords: Passwords, key: SigningKey
) -> None:
    """It would lose its secrets at the first restart."""
    drawn = Drawn("123456789012", "one", "x", key, bytes(32))

    with pytest.raises(KeyUnavailable):
        await prepare(
            database,
            FailingRoots(KeyUnavailable("away")),
            passwords=passwords,
            admin_password="x",
            now=NOW,
            draw=lambda: drawn,
        )

    assert await database.read(lambda c: find_setting(c, "registry_id")) is None
