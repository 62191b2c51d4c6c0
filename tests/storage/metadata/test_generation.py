"""The generation moves with the change it stands for, and never without."""

import asyncio

import pytest
from sqlalchemy import Connection

from storage.metadata.database import Database
from storage.metadata.generation import current_generation, hold_generation, touch_generation


async def test_a_database_starts_at_generation_zero(database: Database) -> None:
    assert await database.read(current_generation) == 0


async def test_every_touch_moves_the_generation(database: Database, other_database: Database) -> None:
    """Two changes at once are two."""
    await asyncio.gather(*((database, other_database)[n % 2].write(touch_generation) for n in range(20)))

    assert await database.read(current_generation) == 20


async def test_another_process_sees_the_generation_move(database: Database, other_database: Database) -> None:
    assert await other_database.read(current_generation) == 0

    await database.write(touch_generation)

    assert await other_database.read(current_generation) == 1


async def test_a_change_that_is_undone_moves_nothing(database: Database) -> None:
    def change(connection: Connection) -> None:
        touch_generation(connection)
        raise InterruptedError

    with pytest.raises(Exception, match="InterruptedError"):
        await database.write(change)

    assert await database.read(current_generation) == 0


async def test_nobody_comes_between_what_was_read_and_what_follows(
    database: Database, other_database: Database
) -> None:
    """Of many who change what they all saw, one wins."""
    await database.write(touch_generation)

    def change(connection: Connection) -> bool:
        hold_generation(connection)
        is_first = current_generation(connection) == 1
        if is_first:
            touch_generation(connection)
        return is_first

    won = await asyncio.gather(*((database, other_database)[n % 2].write(change) for n in range(16)))

    assert won.count(True) == 1
