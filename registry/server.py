"""`serve`: check, prepare the data directory, listen, fork the workers, and stay until they have ended.

Everything that a worker needs is imported before it is forked: once, and shared.
"""

import gc
import os
import time
from importlib import import_module
from typing import cast

from registry import logs
from registry.config import Settings
from registry.crew import Crew, Equipment, complain
from registry.heaps import bound_heaps
from registry.preflight import problems
from registry.preparation import Preparation, Prepare, StartFailed
from registry.sockets import ListenFailed, bind
from registry.supervisor import Channel, Plan, Restarts, Supervisor
from registry.worker import Factory


def serve(settings: Settings, factory: Factory | None = None, prepare: Prepare | None = None) -> int:
    """Serve until told to stop; returns the exit code. Without a factory and a prepare it serves the real registry."""
    began = time.monotonic()
    gc.disable()  # what is imported is there to stay: to look for what is not takes a tenth of a start
    logs.configure(settings.log)
    os.umask(0o077)  # whatever any of the processes writes is its owner's alone
    bound_heaps()
    server = settings.server
    try:
        _check(settings)
        listeners = bind(server.host, server.port, server.workers)
        preparation = Preparation(settings, prepare)
        chosen = factory or _real_factory(settings)  # imported while the child prepares the data directory
        notice = preparation.result()
    except (StartFailed, ListenFailed) as error:
        gc.enable()
        complain(str(error))
        return 1
    if notice:
        print(notice, flush=True)  # noqa: T201 (for the person at the terminal, and not for the log)
    gc.enable()
    gc.collect()
    gc.freeze()  # what is shared with the workers stays shared: a collection would write to every page
    channel = Channel()
    crew = Crew(Equipment(settings, chosen, listeners, channel), began)
    plan = Plan(listeners, server.drain_seconds, Restarts())
    return Supervisor(plan, channel, crew, logs.logger()).run()


def _check(settings: Settings) -> None:
    found = list(problems(settings))
    if found:
        raise StartFailed("\n".join(found))


def _real_factory(settings: Settings) -> Factory:
    """Import the registry; by name, for it is imported at this moment and no other."""
    if settings.storage.backend == "s3" or settings.encryption.mode == "aws-kms":
        import_module("boto3.session")
    return cast("Factory", import_module("registry.app").create_app)
