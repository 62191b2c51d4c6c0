"""Work that goes on to its end when who waits for it is cancelled; blocking calls do so on a thread."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


async def run_to_end(executor: Executor, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Run a blocking call on a thread; a cancelled caller waits for it, so nothing the call uses is closed under it."""
    return await _to_end(asyncio.get_running_loop().run_in_executor(executor, call, *arguments))


async def to_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Await something that must not be left half done; a cancelled caller waits for it."""
    return await _to_end(asyncio.ensure_future(work))


async def _to_end(future: asyncio.Future[Result]) -> Result:
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
