"""`GET /healthz` and `GET /readyz`: is the process up, and can it take work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from storage.errors import StorageError

Probe = Callable[[], Awaitable[None]]

_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Part:
    """What a probe found: no reason means that the part works."""

    reason: str | None = None


class Readiness:
    """Asks every part with a probe, at most every so often, however many ask.

    A probe raises a StorageError when its part does not work; one that takes longer than its deadline has failed.
    `now` counts seconds and never goes back.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        now: Callable[[], float],
        *,
        every_seconds: float = 5,
        deadline_seconds: float = 5,
    ) -> None:
        self._probes = probes
        self._now = now
        self._every_seconds = every_seconds
        self._deadline_seconds = deadline_seconds
        self._probing = asyncio.Lock()
        self._probed_at: float | None = None
        self._parts: dict[str, Part] = {}

    async def parts(self) -> Mapping[str, Part]:
        """Tell for every part what its latest probe found."""
        async with self._probing:
            if self._probed_at is None or self._now() - self._probed_at >= self._every_seconds:
                self._parts = await self._probe_all()
                self._probed_at = self._now()
            return self._parts

    async def _probe_all(self) -> dict[str, Part]:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._ask(probe)) for name, probe in self._probes.items()}
        return {name: task.result() for name, task in tasks.items()}

    async def _ask(self, probe: Probe) -> Part:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await probe()
        except TimeoutError:
            return Part(f"no answer within {self._deadline_seconds:g} seconds")
        except StorageError as error:
            return Part(str(error) or type(error).__doc__ or type(error).__name__)
        return Part()


READINESS: Final = web.AppKey("readiness", Readiness)


async def health(request: web.Request) -> web.Response:  # noqa: ARG001 (a handler's signature)
    """Say that the process is up."""
    return _json({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Say whether every part works, and if not, which does not and why."""
    found = await request.app[READINESS].parts()
    parts = {
        name: {"ok": True} if part.reason is None else {"ok": False, "reason": part.reason}
        for name, part in found.items()
    }
    if all(part.reason is None for part in found.values()):
        return _json({"status": "ok", "parts": parts})
    return _json({"status": "unavailable", "parts": parts}, status=_UNAVAILABLE)


def _json(document: Mapping[str, object], status: int = 200) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(document), status=status, headers=headers)
