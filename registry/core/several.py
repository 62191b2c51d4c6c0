"""Doing the same to many things, several at a time: what waits for a disk or a bucket need not wait for each other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def several(
    items: AsyncIterator[Item], act: Callable[[Item], Awaitable[Result]], *, at_once: int
) -> AsyncGenerator[Result, None]:
    """What `act` gave for every item, in the order of finishing; at most `at_once` are under way or taken from `items`.

    What it raises ends this, once the others that were begun have ended or been cancelled.
    """
    under_way: list[asyncio.Future[Result]] = []
    is_over = False
    try:
        while not is_over or under_way:
            while not is_over and len(under_way) < at_once:
                try:
                    under_way.append(asyncio.ensure_future(act(await anext(items))))
                except StopAsyncIteration:
                    is_over = True
            if under_way:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            done = [future for future in under_way if future.done()]
            under_way = [future for future in under_way if not future.done()]
            for future in done:
                yield future.result()
    finally:
        for future in under_way:
            future.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
