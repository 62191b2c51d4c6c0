"""Tokens that were taken back, as rows."""

from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.revoked_tokens import add_revoked_token, delete_expired_revocations, is_token_revoked


async def revoke(database: Database, token_id: str, expires_at: float = 5.0) -> bool:
    return await database.write(lambda c: add_revoked_token(c, token_id, now=1.0, expires_at=expires_at))


async def test_a_token_is_taken_back_once(database: Database) -> None:
    assert not await database.read(lambda c: is_token_revoked(c, "a"))

    assert await revoke(database, "a")

    assert await database.read(lambda c: is_token_revoked(c, "a"))
    assert not await database.read(lambda c: is_token_revoked(c, "A"))
    assert not await revoke(database, "a")


async def test_taking_back_voids_what_is_kept(database: Database) -> None:
    before = await database.read(current_generation)

    await revoke(database, "a")

    assert await database.read(current_generation) == before + 1


async def test_expired_ones_are_forgotten_so_many_at_once(database: Database) -> None:
    for token_id, expires_at in (("a", 5.0), ("b", 5.0), ("c", 9.0)):
        await revoke(database, token_id, expires_at)

    assert await database.write(lambda c: delete_expired_revocations(c, 5.0, limit=9)) == 0
    assert await database.write(lambda c: delete_expired_revocations(c, 6.0, limit=1)) == 1
    assert await database.write(lambda c: delete_expired_revocations(c, 6.0, limit=9)) == 1
    assert await database.read(lambda c: is_token_revoked(c, "c"))
