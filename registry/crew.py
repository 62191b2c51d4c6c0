"""The workers of one server: what each of them is given, and what is said about them."""

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import uvloop

from registry import logs
from registry.config import Settings
from registry.config_encryption import NOT_ENCRYPTED
from registry.core.metrics import WORKER_RESTARTS, Counts
from registry.release import release
from registry.run import Run
from registry.sockets import address_of
from registry.supervisor import Channel
from registry.tls import CertificateInvalid
from registry.worker import Assignment, Factory, News, work
from storage.errors import StorageError

_EXPECTED: Final = (StorageError, CertificateInvalid, OSError)


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all workers of a server share."""

    settings: Settings
    factory: Factory
    listeners: Sequence[socket.socket]
    channel: Channel


class Crew:
    """The workers of one server."""

    def __init__(self, equipment: Equipment, began: float) -> None:
        """`began` is when the start of the server began, on the monotonic clock."""
        self._equipment = equipment
        self._began = began
        self._address = address_of(equipment.listeners[0])
        workers = len(equipment.listeners)
        counts = Counts(writers=workers + 1)
        self._run = Run(epoch=os.urandom(32), worker=0, started_at=time.time(), counts=counts)
        self._counts = counts.writer(workers)

    def start(self, index: int) -> int:
        """Be this worker until it ends, in the forked child; returns its exit code."""
        channel = self._equipment.channel
        log = logs.logger(worker=index)
        told: list[News] = []

        def tell(news: News) -> None:
            told.append(news)
            channel.tell(news, str(index))

        given = Assignment(
            settings=self._equipment.settings,
            run=replace(self._run, worker=index),
            factory=self._equipment.factory,
            listener=self._equipment.listeners[index],
            life=channel.life,
            tell=tell,
            log=log,
        )
        try:
            uvloop.run(work(given))
        except Exception as error:
            if told or not isinstance(error, _EXPECTED):
                log.exception("the worker failed")
            if not told:
                channel.tell(News.FAILED, _sentence(error))
            return 1
        return 0

    def ready(self) -> None:
        """Say where the server is, and what is special about it."""
        settings = self._equipment.settings
        scheme = "https" if settings.server.tls_certificate else "http"
        log = logs.logger()
        if settings.storage.durability == "relaxed":
            log.warning("durability is relaxed: what was acknowledged may be lost in a power cut")
        if settings.encryption.mode == "off":
            log.warning(NOT_ENCRYPTED)
        if settings.dev:
            log.warning("--dev: everyone on this machine may push and pull")
        log.info(
            "serving",
            version=release(),
            address=f"{scheme}://{self._address}",
            workers=len(self._equipment.listeners),
            root=settings.storage.root,
            encryption=settings.encryption.mode,
            durability=settings.storage.durability,
            start_milliseconds=round((time.monotonic() - self._began) * 1000),
        )

    def restarted(self) -> None:
        """Count a worker that died and is started again."""
        self._counts.add(self._counts.slot(WORKER_RESTARTS.key()))

    def failed(self, reason: str) -> None:
        """Say why the server ends by itself."""
        complain(reason)


def complain(reason: str) -> None:
    """Write the one line that says why a command failed."""
    print(f"lading: {reason}", file=sys.stderr, flush=True)  # noqa: T201 (for the person at the terminal)


def _sentence(error: BaseException) -> str:
    if isinstance(error, StorageError):
        return error.in_full
    return str(error) if isinstance(error, _EXPECTED) else f"a worker failed to start: {type(error).__name__}: {error}"
