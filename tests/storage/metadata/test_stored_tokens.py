"""Refresh and service tokens as rows."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from storage.metadata.access_keys import StoredAccessKey, add_access_key, delete_access_key
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.principals import delete_principal
from storage.metadata.stored_tokens import (
    REFRESH,
    SERVICE,
    StoredToken,
    add_stored_token,
    count_stored_tokens,
    delete_expired_tokens,
    delete_oldest_tokens,
    delete_service_token,
    find_stored_token,
    list_stored_tokens,
    lock_user,
)
from tests.storage.metadata.rows import make_principal

DEPLOY = StoredToken("t1", "alice", SERVICE, "deploy", b"\x00hash\xff", "{}", None, 1.5, 9.5)
LOGIN = StoredToken("r1", "alice", REFRESH, None, b"hash", None, None, 2.5, 5.5)


def add(connection: Connection, *tokens: StoredToken) -> list[bool]:
    added = []
    for token in tokens:
        user_id = lock_user(connection, token.user)
        assert user_id is not None
        added.append(add_stored_token(connection, user_id, token))
    return added


@pytest.fixture
async def alice(database: Database) -> int:
    await database.write(make_principal)
    user_id = await database.write(lambda c: lock_user(c, "alice"))
    assert user_id is not None
    return user_id


async def generation(database: Database) -> int:
    return await database.read(current_generation)


async def test_a_token_is_kept_as_it_was_given(database: Database, alice: int) -> None:
    await database.write(lambda c: add(c, DEPLOY, LOGIN))

    assert await database.read(lambda c: find_stored_token(c, "t1")) == DEPLOY
    assert await database.read(lambda c: find_stored_token(c, "r1")) == LOGIN
    assert await database.read(lambda c: find_stored_token(c, "T1")) is None


def test_a_token_shows_no_hash() -> None:
    assert "hash" not in repr(LOGIN).replace("secret_hash", "")


async def test_names_are_taken_once_a_user(database: Database, alice: int) -> None:
    await database.write(lambda c: make_principal(c, "bob"))
    await database.write(lambda c: add(c, DEPLOY))

    same = replace(DEPLOY, id="t2")
    assert await database.write(lambda c: add(c, same, replace(same, user="bob"))) == [False, True]


async def test_refresh_tokens_have_no_name_and_do_not_collide(database: Database, alice: int) -> None:
    assert await database.write(lambda c: add(c, LOGIN, replace(LOGIN, id="r2"))) == [True, True]


async def test_tokens_are_counted_and_listed_by_kind(database: Database, alice: int) -> None:
    later = replace(DEPLOY, id="t0", name="other", created_at=3.5)
    await database.write(lambda c: add(c, later, DEPLOY, LOGIN))

    assert await database.read(lambda c: count_stored_tokens(c, alice, SERVICE)) == 2
    assert await database.read(lambda c: list_stored_tokens(c, "alice", SERVICE)) == [DEPLOY, later]
    assert await database.read(lambda c: list_stored_tokens(c, "nobody", SERVICE)) == []


async def test_nobody_has_the_tokens_of_a_name_that_is_not_there(database: Database) -> None:
    assert await database.write(lambda c: lock_user(c, "nobody")) is None


async def test_a_token_that_goes_voids_what_is_kept_and_one_that_comes_does_not(database: Database, alice: int) -> None:
    before = await generation(database)
    await database.write(lambda c: add(c, DEPLOY, LOGIN))
    assert await generation(database) == before

    assert await database.write(lambda c: delete_service_token(c, alice, "deploy"))
    assert await generation(database) == before + 1
    await database.write(lambda c: delete_oldest_tokens(c, alice, REFRESH, 1))
    assert await generation(database) == before + 2
    assert not await database.write(lambda c: delete_service_token(c, alice, "deploy"))
    assert await generation(database) == before + 2


async def test_the_oldest_make_room(database: Database, alice: int) -> None:
    tokens = [replace(LOGIN, id=f"r{n}", created_at=float(n)) for n in range(5)]
    await database.write(lambda c: add(c, *reversed(tokens)))

    await database.write(lambda c: delete_oldest_tokens(c, alice, REFRESH, 3))

    assert [each.id for each in await database.read(lambda c: list_stored_tokens(c, "alice", REFRESH))] == ["r3", "r4"]


async def test_expired_tokens_are_removed_so_many_at_once(database: Database, alice: int) -> None:
    endless = replace(LOGIN, id="r0", expires_at=None)
    await database.write(lambda c: add(c, DEPLOY, LOGIN, replace(LOGIN, id="r2"), endless))

    assert await database.write(lambda c: delete_expired_tokens(c, 5.5, limit=9)) == 0
    assert await database.write(lambda c: delete_expired_tokens(c, 9.0, limit=1)) == 1
    assert await database.write(lambda c: delete_expired_tokens(c, 9.0, limit=9)) == 1
    assert await database.read(lambda c: find_stored_token(c, "t1")) == DEPLOY
    assert await database.read(lambda c: find_stored_token(c, "r0")) == endless


async def test_tokens_go_with_their_user_and_their_access_key(database: Database, alice: int) -> None:
    key = StoredAccessKey("LK1", "alice", b"", is_active=True, created_at=1)
    await database.write(lambda c: add_access_key(c, key, most=2))
    await database.write(lambda c: add(c, DEPLOY, replace(LOGIN, access_key="LK1")))

    await database.write(lambda c: delete_access_key(c, "LK1"))
    assert await database.read(lambda c: find_stored_token(c, "r1")) is None
    await database.write(lambda c: delete_principal(c, "alice", "user"))
    assert await database.read(lambda c: find_stored_token(c, "t1")) is None
