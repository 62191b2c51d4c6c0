"""The audit trail of a registry that serves, as another process reads it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from auth.bootstrap import open_registry
from registry.audit_parts import history_of
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.core.audit_history import AuditHistory
from registry.databases import open_databases
from registry.roots import open_roots
from tests.http.client import Registry, eventually

Event = dict[str, Any]


@asynccontextmanager
async def history(root: Path) -> AsyncIterator[AuditHistory]:
    settings = Settings(storage=StorageSettings(root=root))
    databases = open_databases(settings)
    with open_roots(settings) as roots:
        prepared = await open_registry(databases.registry, roots)
    try:
        yield history_of(databases.activity, prepared.secrets_key)
    finally:
        await databases.close()


async def recorded(root: Path, *kinds: str) -> list[Event]:
    """The events of these kinds, or all, in the order of time."""
    async with history(root) as opened:
        events = [event.document() async for event in opened.events()]
    return [event for event in events if not kinds or event["event"] in kinds]


async def noted(registry: Registry, count: int, *kinds: str) -> list[Event]:
    """The events of these kinds, once there are so many: what is only noted comes a little later."""

    async def ask() -> list[Event]:
        return await recorded(registry.root, *kinds)

    return await eventually(ask, lambda events: len(events) >= count)


def lines(file: Path) -> list[Event]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]
