"""Blocking calls made from the event loop: each on a thread, and to its end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


async def run_to_end(executor: Executor, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Run a blocking call on a thread; a cancelled caller waits for it, so nothing the call uses is closed under it."""
    future = asyncio.get_running_loop().run_in_executor(executor, call, *arguments)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # marks it as seen: the cancellation is what the caller learns
        raise cancelled
    return future.result()
