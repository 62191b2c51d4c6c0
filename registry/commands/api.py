"""The admin API as commands call it: in the data directory, or of a server with `--server`."""

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from auth.errors import AuthError
from registry.admin.operation import AnyOperation
from registry.commands.settings import settings_of
from registry.commands.subcommands import Report, UsageInvalid, Work, complain, refuse, tell
from registry.config import SettingsInvalid
from registry.core.errors import RegistryError
from storage.errors import StorageError

Json = Any
"""What a document is once it was read."""


class Api(Protocol):
    """Does operations of the admin API, whoever answers them."""

    async def call(
        self,
        operation: AnyOperation,
        names: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Json:
        """The answer as JSON, None where there is none; raises a fact, or Refused in a server's words."""


class Refused(Exception):
    """A server did not do what was asked, or cannot be reached; the text says why and what to do."""


def query_text(query: Mapping[str, object]) -> dict[str, str]:
    """A query as a URL carries it."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}


async def pages(api: Api, operation: AnyOperation, names: Mapping[str, str] | None = None) -> list[Json]:
    """Every item of a list, page after page."""
    items: list[Json] = []
    after = ""
    while True:
        page = await api.call(operation, names, query={"limit": 1000, "after": after})
        items += page["items"]
        if page["next"] is None:
            return items
        after = page["next"]


def run_with_api(arguments: argparse.Namespace) -> int:
    """Do a subcommand's work on the registry that the arguments name; returns the exit code."""
    work: Work = arguments.work
    try:
        report = asyncio.run(_work(arguments, work))
    except UsageInvalid as error:
        return refuse(error)
    except (SettingsInvalid, AuthError, RegistryError, StorageError, Refused, OSError) as error:
        return complain(error)
    tell(report, as_json=arguments.json)
    return 0


async def _work(arguments: argparse.Namespace, work: Work) -> Report:
    if arguments.server is not None:
        from registry.commands.remote import remote_api  # noqa: PLC0415 (a client is loaded where one is used)

        async with remote_api(arguments.server) as api:
            return await work(api, arguments)
    from registry.commands.local import local_api  # noqa: PLC0415 (the same)

    async with local_api(settings_of(arguments).settings) as api:
        return await work(api, arguments)
