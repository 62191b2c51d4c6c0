"""Doing the same to many things, several at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from registry.core.several import several


async def numbers(count: int, taken: list[int] | None = None) -> AsyncIterator[int]:
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield number


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@pytest.mark.parametrize("count", [0, 1, 3, 4, 20])
async def test_every_item_has_a_result(count: int) -> None:
    results = [result async for result in several(numbers(count), double, at_once=4)]

    assert sorted(results) == [2 * number for number in range(count)]


async def test_no_more_are_under_way_than_may_be() -> None:
    now = most = 0

    async def count(_number: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    assert [result async for result in several(numbers(30), count, at_once=4)] == [None] * 30
    assert most == 4


async def test_results_come_in_the_order_of_finishing() -> None:
    first = asyncio.Event()

    async def act(number: int) -> int:
        if number == 0:
            await first.wait()
        return number

    results = []
    async for result in several(numbers(3), act, at_once=2):
        results.append(result)
        if result == 2:
            first.set()

    assert results == [1, 2, 0]


async def test_what_one_raises_ends_all() -> None:
    """The others are not left running."""
    cancelled: list[int] = []

    async def act(number: int) -> int:
        if number == 1:
            raise ConnectionResetError
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    with pytest.raises(ConnectionResetError):
        await anext(several(numbers(9), act, at_once=3))

    assert cancelled == [0, 2]


async def test_no_more_items_are_taken_than_are_needed() -> None:
    taken: list[int] = []

    async with aclosing(several(numbers(100, taken), double, at_once=3)) as results:
        await anext(results)

    assert len(taken) == 3
