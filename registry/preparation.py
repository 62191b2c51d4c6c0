"""Preparing the data directory in a child process, so that what only that needs is never loaded where requests are."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Protocol, cast

import orjson

from registry import logs
from registry.config import Settings
from storage.errors import StorageError

_CHUNK_BYTES = 65536


class Prepared(Protocol):
    """What preparing the data directory has to say."""

    @property
    def notice(self) -> str | None:
        """Text for the person who started the server, shown once: the first password, say."""


Prepare = Callable[[Settings], Awaitable[Prepared]]


class StartFailed(Exception):
    """The server cannot start; the text says why and what to do."""


class Preparation:
    """A child process that prepares; it runs from construction until `result`."""

    def __init__(self, settings: Settings, prepare: Prepare | None) -> None:
        self._answer, writer = os.pipe()
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                os.write(writer, orjson.dumps(_outcome(settings, prepare)))
                code = 0
            finally:
                os._exit(code)  # never back into the parent's frames
        os.close(writer)

    def result(self) -> str | None:
        """Wait for the end and return the notice to show; raises StartFailed."""
        answer = b""
        while chunk := os.read(self._answer, _CHUNK_BYTES):
            answer += chunk
        os.close(self._answer)
        _, status = os.waitpid(self._pid, 0)
        if not answer:
            msg = f"preparing the data directory ended with {os.waitstatus_to_exitcode(status)}: try again"
            raise StartFailed(msg)
        outcome = cast("dict[str, str | None]", orjson.loads(answer))
        if outcome["error"] is not None:
            raise StartFailed(outcome["error"])
        return outcome["notice"]


def _outcome(settings: Settings, prepare: Prepare | None) -> dict[str, str | None]:
    """Prepare, in the child."""
    try:
        chosen = prepare or cast("Prepare", import_module("registry.bootstrap").prepare)
        return {"notice": asyncio.run(_await(chosen, settings)), "error": None}
    except StorageError as error:
        return {"notice": None, "error": error.in_full}
    except OSError as error:
        return {"notice": None, "error": f"{error.strerror or error}: {error.filename or settings.storage.root}"}
    except Exception as error:  # noqa: BLE001 (the end of a process: the parent must hear what happened)
        logs.logger().exception("preparing the data directory failed")
        return {"notice": None, "error": f"preparing the data directory failed: {type(error).__name__}: {error}"}


async def _await(prepare: Prepare, settings: Settings) -> str | None:
    return (await prepare(settings)).notice
