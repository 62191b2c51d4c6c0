"""Work that goes on to its end when who waits for it is cancelled; blocking calls do so on a thread."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from storage.outcome import Outcome

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


async def run_to_end(executor: Executor, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Run a blocking call on a thread; a cancelled caller waits for it, so nothing the call uses is closed under it."""
    outcome: Outcome[Result] = Outcome()
    executor.submit(_run, outcome, call, arguments)
    return await outcome.wait_to_end()


def _run(outcome: Outcome[Result], call: Callable[..., Result], arguments: tuple[object, ...]) -> None:
    try:
        result = call(*arguments)
    except BaseException as error:  # noqa: BLE001  whoever waits is told, whatever it is
        outcome.hand_over(None, error)
    else:
        outcome.hand_over(result)


async def to_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Await something that must not be left half done; a cancelled caller waits for it."""
    future = asyncio.ensure_future(work)
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
