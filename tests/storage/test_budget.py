"""The memory that streams share."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.budget import BufferBudget


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_free_bytes_are_taken_at_once() -> None:
    """Up to the bound, which is inclusive."""
    budget = BufferBudget(100)

    assert budget.try_take(60)
    assert budget.try_take(40)
    assert not budget.try_take(1)
    assert budget.held_bytes == 100


async def test_stream_waits_until_bytes_are_given_back() -> None:
    """It exceeds nothing meanwhile."""
    budget = BufferBudget(100)
    await budget.take(80)

    waiting = asyncio.create_task(budget.take(30))
    await settle()
    assert not waiting.done()
    budget.give(80)
    await waiting

    assert budget.held_bytes == 30


async def test_streams_wait_in_line() -> None:
    """A small piece does not overtake a large one for ever."""
    budget = BufferBudget(100)
    await budget.take(100)
    large, small = asyncio.create_task(budget.take(90)), asyncio.create_task(budget.take(20))
    await settle()

    budget.give(50)
    await settle()
    assert (large.done(), small.done(), budget.try_take(1)) == (False, False, False)
    budget.give(50)
    await settle()

    assert (large.done(), small.done(), budget.held_bytes) == (True, False, 90)
    budget.give(90)
    await small


async def test_piece_larger_than_the_budget_gets_it_alone() -> None:
    """Or it would wait for ever."""
    budget = BufferBudget(100)
    await budget.take(10)
    waiting = asyncio.create_task(budget.take(500))
    await settle()
    assert not waiting.done()

    budget.give(10)
    await waiting

    assert budget.held_bytes == 500
    assert not budget.try_take(1)


async def test_stream_that_gives_up_holds_nothing() -> None:
    """And lets the next in line go on."""
    budget = BufferBudget(100)
    await budget.take(90)
    first, second = asyncio.create_task(budget.take(50)), asyncio.create_task(budget.take(10))
    await settle()

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(5):
        await second

    assert budget.held_bytes == 100


async def test_stream_that_gives_up_as_its_turn_comes_gives_it_back() -> None:
    """Cancelled between the turn and its own next step."""
    budget = BufferBudget(100)
    await budget.take(100)
    waiting = asyncio.create_task(budget.take(40))
    await settle()

    budget.give(100)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert budget.held_bytes == 0
    assert budget.try_take(100)


async def test_two_of_one_size_give_up_each_for_itself() -> None:
    """Who leaves the line is the one that was cancelled."""
    budget = BufferBudget(10)
    await budget.take(10)
    first, second = asyncio.create_task(budget.take(5)), asyncio.create_task(budget.take(5))
    await settle()

    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    budget.give(10)
    async with asyncio.timeout(5):
        await first

    assert budget.held_bytes == 5


async def test_who_holds_without_need_is_asked_for_as_long_as_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be sent may be held by streams that stand still, or come to stand still later."""
    monkeypatch.setattr("storage.budget._PRESS_SECONDS", 0.01)
    budget = BufferBudget(100)
    asked = 0

    def press() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            budget.give(60)

    budget.when_short(press)
    await budget.take(100)
    assert asked == 0

    async with asyncio.timeout(5):
        await budget.take(50)

    assert (asked, budget.held_bytes) == (3, 90)


@settings(deadline=None)
@given(
    limit=st.integers(1, 50),
    streams=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=6), min_size=1, max_size=8),
    seed=st.integers(),
)
def test_streams_never_hold_more_than_the_budget(limit: int, streams: list[list[int]], seed: int) -> None:
    """However they interleave and whoever is cancelled, all end, and nothing stays held."""
    chance = random.Random(seed)
    budget = BufferBudget(limit)
    holders: Counter[int] = Counter()

    async def stream(number: int, pieces: list[int]) -> None:
        for piece in pieces:
            if not budget.try_take(piece):
                await budget.take(piece)
            holders[number] = piece
            assert budget.held_bytes <= limit or budget.held_bytes == piece
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                holders[number] = 0
                budget.give(piece)

    async def run() -> None:
        tasks = [asyncio.create_task(stream(number, pieces)) for number, pieces in enumerate(streams)]
        for _ in range(20):
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
            await asyncio.sleep(0)
            assert budget.held_bytes >= sum(holders.values())
        async with asyncio.timeout(5):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}

    asyncio.run(run())

    assert budget.held_bytes == 0
    assert budget.try_take(limit)


@pytest.mark.parametrize("size", [0, 1])
async def test_nothing_is_always_free(size: int) -> None:
    """An empty piece waits for nobody while nobody waits."""
    budget = BufferBudget(1)

    assert budget.try_take(size)
