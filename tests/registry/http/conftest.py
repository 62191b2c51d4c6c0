"""Event loops: what works on sockets is tried on the loop of production as well."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.registry.http.body_server import Served, serving_bodies

_ON_BOTH = {"test_receiving.py", "test_receiving_chunks.py", "test_connection.py", "test_sending.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in _ON_BOTH:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server that pours bodies into a store."""
    async with serving_bodies() as served:
        yield served
