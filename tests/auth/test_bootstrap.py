"""The first start, and every later one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, func, select

from auth.bootstrap import Drawn, Prepared, draw, open_registry, prepare
from auth.keys import SigningKey
from auth.passwords import Passwords
from storage.errors import DatabaseUnavailable, KeyFileInvalid, SchemaOutdated
from storage.keyfile import fingerprint, load_root_keys, make_root_key
from storage.metadata import schema
from storage.metadata.database import Database
from storage.metadata.principals import find_principal
from storage.metadata.secrets_key import read_secrets_key
from storage.metadata.sqlite import SqliteDatabase
from storage.roots.held import FileKeys, HeldKeys

T = TypeVar("T")

SECRETS_KEY = bytes(range(32))
NOW = 1_700_000_000.0
FOUNDED = (schema.account, schema.principal, schema.signing_key)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


def roots_of(key_file: Path) -> HeldKeys:
    return HeldKeys(FileKeys(key_file))


def counts(connection: Connection) -> list[int]:
    """How many accounts, principals and signing keys there are."""
    return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in FOUNDED]


async def start(
    database: Database, key_file: Path, passwords: Passwords, admin_password: str | None = None
) -> Prepared:
    return await prepare(database, roots_of(key_file), passwords=passwords, admin_password=admin_password, now=NOW)


async def test_first_start_makes_the_registry(
    database: SqliteDatabase, key_file: Path, passwords: Passwords, key: SigningKey
) -> None:
    """An empty database gets an account, its root user, a signing key and a secrets key wrapped by the key file."""
    drawn = Drawn("123456789012", "registry-id", "pass-word", key, SECRETS_KEY)

    prepared = await prepare(
        database, roots_of(key_file), passwords=passwords, admin_password=None, now=NOW, draw=lambda: drawn
    )

    assert (prepared.account_id, prepared.registry_id) == ("123456789012", "registry-id")
    assert [signing_key.kid for signing_key in prepared.signing_keys] == [key.kid]
    assert prepared.generated_password == "pass-word"
    assert await database.read(counts) == [1, 1, 1]
    assert prepared.secrets_key == SECRETS_KEY
    stored = await database.read(read_secrets_key)
    assert stored is not None
    assert stored.root == f"local:{fingerprint(load_root_keys(key_file)[0])}"
    assert SECRETS_KEY not in stored.secret


async def test_generated_password_opens_the_root_user(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """What is shown once is what logs in."""
    prepared = await start(database, key_file, passwords)

    admin = await database.read(lambda connection: find_principal(connection, "admin"))
    assert admin is not None
    assert (admin.account_id, admin.kind) == (prepared.account_id, "root")
    assert await passwords.check(prepared.generated_password or "", admin.password_hash)


async def test_given_password_is_used_and_not_shown(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """Who sets the password needs no other."""
    prepared = await start(database, key_file, passwords, "given")

    admin = await database.read(lambda connection: find_principal(connection, "admin"))
    assert admin is not None
    assert prepared.generated_password is None
    assert await passwords.check("given", admin.password_hash)


async def test_empty_password_counts_as_none(database: SqliteDatabase, key_file: Path, passwords: Passwords) -> None:
    """A variable that is set to nothing never makes a root user without a password."""
    prepared = await start(database, key_file, passwords, "")

    assert prepared.generated_password


async def test_later_start_finds_the_same_registry(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """A password given later changes nothing, and no password is shown twice."""
    first = await start(database, key_file, passwords)

    second = await start(database, key_file, passwords, "other")

    assert (second.account_id, second.registry_id) == (first.account_id, first.registry_id)
    assert [key.jwk for key in second.signing_keys] == [key.jwk for key in first.signing_keys]
    assert second.generated_password is None
    assert await database.read(counts) == [1, 1, 1]
    admin = await database.read(lambda connection: find_principal(connection, "admin"))
    assert admin is not None
    assert not await passwords.check("other", admin.password_hash)


async def test_worker_opens_what_the_first_start_made(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """A worker finds the registry and shows no password."""
    made = await start(database, key_file, passwords)

    opened = await open_registry(database, roots_of(key_file))

    assert (opened.account_id, opened.registry_id) == (made.account_id, made.registry_id)
    assert [key.jwk for key in opened.signing_keys] == [key.jwk for key in made.signing_keys]
    assert opened.generated_password is None


async def test_worker_makes_nothing(database: SqliteDatabase, key_file: Path) -> None:
    """An empty database is refused before a key file is made."""
    with pytest.raises(SchemaOutdated):
        await open_registry(database, roots_of(key_file))
    assert not await asyncio.to_thread(key_file.exists)


async def test_start_without_the_key_file_is_refused(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """A missing key is never silently replaced: what it sealed would be lost."""
    await start(database, key_file, passwords)
    await asyncio.to_thread(key_file.unlink)

    with pytest.raises(KeyFileInvalid, match="missing"):
        await start(database, key_file, passwords)
    assert not await asyncio.to_thread(key_file.exists)


async def test_start_with_another_key_file_is_refused(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """Its fingerprint tells one registry's key from another's."""
    await start(database, key_file, passwords)
    await asyncio.to_thread(key_file.unlink)
    make_root_key(key_file)

    with pytest.raises(KeyFileInvalid, match="not the one"):
        await start(database, key_file, passwords)


async def test_key_file_of_a_first_start_that_was_cut_short_is_used(
    database: SqliteDatabase, key_file: Path, passwords: Passwords
) -> None:
    """A crash between the key file and the database needs no hand; nodes may also be given a shared file."""
    make_root_key(key_file)
    made = load_root_keys(key_file)

    await start(database, key_file, passwords)

    assert load_root_keys(key_file) == made


async def test_failed_start_leaves_nothing(
    database: SqliteDatabase, key_file: Path, passwords: Passwords, key: SigningKey
) -> None:
    """A registry is there whole or not at all, and the next start makes it."""
    impossible = Drawn(None, "registry-id", "pass-word", key, SECRETS_KEY)  # type: ignore[arg-type]  # an account id the schema refuses

    with pytest.raises(DatabaseUnavailable):
        await prepare(
            database, roots_of(key_file), passwords=passwords, admin_password=None, now=NOW, draw=lambda: impossible
        )
    assert await database.read(counts) == [0, 0, 0]

    await start(database, key_file, passwords)
    assert await database.read(counts) == [1, 1, 1]


async def test_processes_that_start_together_agree(
    database: SqliteDatabase, key_file: Path, tmp_path: Path, passwords: Passwords
) -> None:
    """One of them draws; one password is shown; all sign with the same key."""
    others = [SqliteDatabase(tmp_path / "registry.db") for _ in range(3)]

    prepared = await asyncio.gather(*(start(each, key_file, passwords) for each in (database, *others)))

    for other in others:
        await other.close()
    assert len({(each.account_id, each.registry_id, each.signing_keys[0].kid) for each in prepared}) == 1
    assert sum(each.generated_password is not None for each in prepared) == 1
    assert await database.read(counts) == [1, 1, 1]


class LosingDatabase:
    """A database where another founder commits first and the loser hears of a unique key, as PostgreSQL does it."""

    def __init__(self, database: SqliteDatabase, winner: Drawn, key_file: Path, passwords: Passwords) -> None:
        self.database = database
        self.winner: Callable[[], Awaitable[Prepared]] = lambda: prepare(
            database, roots_of(key_file), passwords=passwords, admin_password="w", now=NOW, draw=lambda: winner
        )

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.database.read(query)

    async def scan(self, query: Callable[[Connection], T]) -> T:
        return await self.database.scan(query)

    async def write(self, change: Callable[[Connection], T]) -> T:  # noqa: ARG002  the change is what fails
        await self.winner()
        message = "duplicate key"
        raise DatabaseUnavailable(message)

    async def close(self) -> None:
        await self.database.close()


async def test_loser_of_a_race_goes_on_with_what_the_winner_drew(
    database: SqliteDatabase, key_file: Path, passwords: Passwords, key: SigningKey
) -> None:
    """A unique key that is taken means that somebody else was first, not that the start failed."""
    winner = Drawn("000000000001", "won", "pass-word", key, SECRETS_KEY)

    prepared = await start(LosingDatabase(database, winner, key_file, passwords), key_file, passwords)

    assert prepared == Prepared("000000000001", "won", prepared.signing_keys, SECRETS_KEY, None)


def test_drawn_account_id_has_twelve_digits() -> None:
    """ARNs take nothing else."""
    account_id = draw().account_id

    assert len(account_id) == 12
    assert account_id.isdecimal()


def test_secrets_are_not_in_the_repr() -> None:
    """What was drawn may get into a traceback, its secrets not."""
    drawn = draw()

    assert drawn.password not in repr(drawn)
    assert repr(drawn.secrets_key) not in repr(drawn)
    assert "canary" not in repr(Prepared("1", "2", (), b"canary", "canary"))
